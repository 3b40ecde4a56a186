"""What is kept of a conversation for the session that comes after: what was heard, and no more (R34, R85)."""

from adapters.realtime.history import KEPT_ITEMS, History
from adapters.realtime.incoming import Audio, Happened, SpokenDelta, TextDelta
from fsm.call import events as ev
from fsm.call.effects import DeleteItem, RewriteItem, TruncateItem


def test_what_is_still_told_of_an_interrupted_answer_was_not_heard() -> None:
    """R34: its transcript is told when it is over, which is after the cut; late deltas come too."""
    history = History()
    for item_id, response_id in (("a1", "r1"), ("a2", "r2"), ("a3", "r3")):
        history.hear(Audio(response_id, item_id, bytes(48 * 100)))
        history.hear(SpokenDelta(response_id, item_id, "alpha beta"))
    history.do(TruncateItem("a1", 50))
    history.do(DeleteItem("a2"))
    history.do(RewriteItem("a3", "alph"))
    for item_id, response_id in (("a1", "r1"), ("a2", "r2"), ("a3", "r3")):
        history.hear(Audio(response_id, item_id, bytes(48 * 100)))
        history.hear(Happened(ev.ResponseTranscribed, (response_id, "alpha beta gamma delta")))
    assert [item["content"][0]["text"] for item in history.items()] == ["alpha", "alph"]


def test_the_sound_of_a_turn_is_kept_until_its_words_are_known() -> None:
    """R07, R85: that of the last turn alone; one that is told twice keeps its sound."""
    history = History()
    for item_id, sound in (("u1", b"12"), ("u2", b"1234"), ("u2", b"")):
        history.hear(Happened(ev.TurnCommitted, (item_id,)))
        history.keep_sound(item_id, sound)
    (told,) = history.items()
    assert (told["id"], told["role"], told["content"]) == ("u2", "user", [{"type": "input_audio", "audio": "MTIzNA=="}])
    history.hear(Happened(ev.Transcribed, ("u2", "A word.")))
    assert [item["content"][0]["type"] for item in history.items()] == ["input_text"]


def test_a_history_forgets_its_oldest() -> None:
    """R07."""
    history = History()
    for number in range(KEPT_ITEMS + 5):
        history.hear(Happened(ev.Transcribed, (f"u{number}", f"word {number}")))
        history.hear(TextDelta(f"r{number}", f"a{number}", "x"))
    assert len(history.items()) <= KEPT_ITEMS
    assert history.items()[-1]["id"] == f"a{KEPT_ITEMS + 4}"


def test_a_history_keeps_what_was_heard() -> None:
    """R34, R71."""
    history = History()
    history.hear(Audio("r1", "a1", bytes(48 * 100)))
    history.hear(Happened(ev.ResponseTranscribed, ("r1", "alpha beta gamma delta")))
    history.hear(Happened(ev.ResponseTranscribed, ("r9", "of a response without an item")))
    assert history.do(TruncateItem("a1", 25)) == TruncateItem("a1", 25)
    assert [item["content"][0]["text"] for item in history.items()] == ["alpha"]
    assert history.do(TruncateItem("a1", 100)) == RewriteItem("a1", "alpha")
    history.do(RewriteItem("a1", "other words"))
    assert history.items()[0]["content"][0]["text"] == "other words"
    history.do(DeleteItem("a1"))
    assert history.items() == []
    assert history.do(TruncateItem("a1", 25)) is None
