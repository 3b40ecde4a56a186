"""The session in both dialects, its file, its address: a server is asked for what it speaks, and for nothing that it need not have."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from adapters.realtime.incoming import Audio, Happened, Incoming, Reply
from adapters.realtime.place import address, headers, is_openai, wire_at
from adapters.realtime.session_file import read_session_file
from adapters.realtime.settings import RealtimeSettings
from adapters.realtime.wire import Wire
from adapters.seam.ports import PCM, PCMU, Sound
from fsm.call import events as ev
from fsm.call.effects import Cause, ConfigureSession, CreateResponse, Effect, ReleaseResponse, RewriteItem
from fsm.call.policy import Policy

VOICE, WRITING = Policy(voice="realtime"), Policy(voice="chatterbox")
BETA_SESSION = {
    "id": "sess_1",
    "modalities": ["audio", "text"],
    "voice": "af_heart",
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "input_audio_transcription": {"model": "whisper-small"},
    "turn_detection": {"type": "server_vad", "threshold": 0.9, "create_response": True},
}
XAI_SESSION = {"voice": "Ara", "turn_detection": {"type": "server_vad"}, "audio": {"input": {"transcription": None}}}


def hear(wire: Wire, **message: Any) -> list[Incoming]:
    return wire.receive(json.dumps(message))


def asked(policy: Policy = VOICE, shown: Any = None, form: Sound = PCM, **settings: Any) -> tuple[Wire, dict[str, Any]]:
    """A wire, and the session that it asks for where session.created shows `shown`."""
    wire = Wire(RealtimeSettings(**settings), policy, hears=form, speaks=form)
    assert hear(wire, type="session.created", session=shown or {}) == [Happened(ev.SessionOpened)]
    (message,) = wire.send(ConfigureSession())
    return wire, message["session"]


def test_a_server_that_is_not_openais_is_asked_for_neither_voice_nor_transcription() -> None:
    """R102."""
    _, session = asked()
    assert session["audio"]["output"] == {"format": {"type": "audio/pcm", "rate": 24_000}}
    assert "transcription" not in session["audio"]["input"]
    _, session = asked(voice="nova", transcription="whisper-1")
    assert session["audio"]["output"]["voice"] == "nova"
    assert session["audio"]["input"]["transcription"] == {"model": "whisper-1"}


def test_a_format_that_the_server_has_is_not_asked_for() -> None:
    """R102."""
    pcm = {"format": {"type": "audio/pcm", "rate": 24_000}}
    _, session = asked(shown={"type": "realtime", "audio": {"input": pcm, "output": {"format": {"type": "audio/pcm", "rate": 16_000}}}})
    assert "format" not in session["audio"]["input"]
    assert session["audio"]["output"] == pcm


def test_a_telephones_octets_are_asked_for_counted_and_not_cut_in_pairs() -> None:
    wire, session = asked(form=PCMU)
    assert [session["audio"][way]["format"] for way in ("input", "output")] == [{"type": "audio/pcmu"}] * 2
    [refused] = hear(wire, type="session.updated", session={"audio": {"output": {"format": {"type": "audio/pcm", "rate": 24_000}}}})
    assert refused == Happened(
        ev.SessionRefused, ("the server set audio.output.format.type to 'audio/pcm', and we asked for 'audio/pcmu'",)
    )
    wire, session = asked(form=PCMU)
    assert hear(wire, type="session.updated", session=session) == [Happened(ev.SessionConfirmed)]
    hear(wire, type="response.created", response={"id": "r"})
    octets = bytes(range(161))
    *_, piece = hear(wire, type="response.output_audio.delta", response_id="r", item_id="i", delta=b64encode(octets).decode())
    assert piece == Audio("r", "i", octets, 0, PCMU)
    assert piece.ms == 161 / 8
    _, session = asked(shown=BETA_SESSION, form=PCMU)
    assert {session[f"{way}_audio_format"] for way in ("input", "output")} == {"g711_ulaw"}
    _, session = asked(WRITING, form=PCMU)
    assert session["audio"] == {"input": session["audio"]["input"]}, "a voice of our own speaks"
    assert session["audio"]["input"]["format"] == {"type": "audio/pcmu"}


@pytest.mark.parametrize("answer", [None, {}, {"type": "realtime", "output_modalities": None, "audio": {"input": {"format": None}}}])
def test_what_is_absent_or_null_contradicts_nothing(answer: Any) -> None:
    """R102."""
    wire, _ = asked()
    assert hear(wire, type="session.updated", session=answer) == [Happened(ev.SessionConfirmed)]


@pytest.mark.parametrize(
    ("form", "kind", "rate"),
    [(PCM, "audio/PCM", "24000"), (PCM, "pcm16", 24_000.0), (PCMU, "audio/G711-ulaw", 8_000), (PCMU, "g711_ulaw", 8_000)],
)
def test_what_is_written_otherwise_contradicts_nothing(form: Sound, kind: str, rate: object) -> None:
    """R102."""
    wire, session = asked(form=form)
    told = {way: {"format": {"type": kind, "rate": rate}} for way in ("input", "output")}
    told["input"]["turn_detection"] = {name: str(value) for name, value in session["audio"]["input"]["turn_detection"].items()}
    assert hear(wire, type="session.updated", session={"audio": told}) == [Happened(ev.SessionConfirmed)]


def test_a_vad_that_is_told_to_be_none_is_not_the_one_that_we_asked_for() -> None:
    wire, _ = asked()
    (incoming,) = hear(wire, type="session.updated", session={"audio": {"input": {"turn_detection": None}}})
    assert incoming.event is ev.SessionRefused


@pytest.mark.parametrize("policy", [VOICE, WRITING, Policy(voice="realtime", interrupts="server", create_response=True)])
def test_a_beta_server_is_spoken_to_in_its_own_words(policy: Policy) -> None:
    """R103."""
    wire, session = asked(policy, BETA_SESSION)
    assert "audio" not in session
    assert "type" not in session
    assert session["modalities"] == (["audio", "text"] if policy.voice == "realtime" else ["text"])
    assert not {"input_audio_format", "input_audio_transcription", "voice"} & session.keys()
    assert session["turn_detection"]["type"] == "server_vad"
    echo = BETA_SESSION | {"modalities": session["modalities"][::-1], "turn_detection": session["turn_detection"]}
    assert hear(wire, type="session.updated", session=echo) == [Happened(ev.SessionConfirmed)]
    (create,) = wire.send(CreateResponse(Cause.USER_TURN))
    assert create["response"] == {"modalities": session["modalities"]}
    for update in wire.send(ReleaseResponse()):
        assert update["session"]["turn_detection"]["create_response"] is True


def test_a_beta_server_that_sets_another_vad_is_refused_in_one_line() -> None:
    wire, _ = asked(shown=BETA_SESSION)
    (incoming,) = hear(wire, type="session.updated", session=BETA_SESSION)
    words = "the server set audio.input.turn_detection.create_response to True, and we asked for False"
    assert incoming == Happened(ev.SessionRefused, (words,))


@pytest.mark.parametrize(("wire", "shown"), [("auto", XAI_SESSION), ("xai", {}), ("xai", BETA_SESSION)])
def test_a_vad_and_a_voice_may_stand_in_the_session_itself(wire: str, shown: Any) -> None:
    """R103: as at xAI, in an otherwise new session."""
    one, session = asked(shown=shown, wire=wire, voice="Rex", turn_detection={"idle_timeout_ms": 6_000})
    assert session["voice"] == "Rex"
    assert (session["turn_detection"]["type"], session["turn_detection"]["idle_timeout_ms"]) == ("server_vad", 6_000)
    assert session["output_modalities"] == ["audio"]
    assert session["audio"] == {way: {"format": {"type": "audio/pcm", "rate": 24_000}} for way in ("input", "output")}
    (release,) = one.send(ReleaseResponse()) or [{"session": session}]
    assert set(release["session"]) - set(session) == set()
    assert "turn_detection" in release["session"]
    (none,) = hear(one, type="session.updated", session=session | {"turn_detection": None})
    assert none == Happened(ev.SessionRefused, ("the server set audio.input.turn_detection to None, and we asked for 'server_vad'",))
    one.send(ConfigureSession())
    assert hear(one, type="session.updated", session=session) == [Happened(ev.SessionConfirmed)]


def test_a_session_that_tells_of_its_vad_in_both_places_is_a_new_one() -> None:
    _, session = asked(shown={"turn_detection": None, "audio": {"input": {"turn_detection": None}}})
    assert "turn_detection" in session["audio"]["input"]


@pytest.mark.parametrize(("wire", "shown", "beta"), [("beta", {}, True), ("ga", BETA_SESSION, False), ("auto", {"voice": "x"}, False)])
def test_the_dialect_can_be_given(wire: str, shown: Any, beta: bool) -> None:
    """R103."""
    _, session = asked(shown=shown, wire=wire)
    assert ("modalities" in session) is beta


def sent_by(wire: Wire, effect: Effect, *answers: dict[str, Any]) -> list[dict[str, Any]]:
    """What is sent for an effect, and for each answer of the server's to the last of it."""
    messages = wire.send(effect)
    for answer in answers:
        told = json.loads(json.dumps(answer).replace("LAST", messages[-1]["event_id"]))
        messages += [wire.answer(one) for one in hear(wire, **told) if isinstance(one, Reply)]
    return [{name: value for name, value in message.items() if name != "event_id"} for message in messages]


DELETED = {"type": "conversation.item.deleted", "item_id": "i1"}
REFUSED = {"type": "error", "error": {"code": "odd", "event_id": "LAST"}}
UNNAMED = {"type": "error", "error": {"type": "invalid_request_error", "message": "bad"}}
MADE = {"type": "conversation.item.created", "item": {"id": "cf_item_1", "type": "message", "role": "assistant"}}


def test_an_item_is_made_anew_once_the_old_one_is_gone_and_where_it_was() -> None:
    """R34: text has no milliseconds, so the item is replaced."""
    wire, _ = asked(WRITING)
    hear(wire, type="response.output_item.added", response_id="r1", item={"id": "i1", "type": "message"})
    hear(wire, type="conversation.item.added", previous_item_id="u1", item={"id": "i1", "type": "message", "role": "assistant"})
    delete, create = sent_by(wire, RewriteItem("i1", "We are open"), DELETED)
    assert delete == {"type": "conversation.item.delete", "item_id": "i1"}
    assert create["previous_item_id"] == "u1"
    assert create["item"]["content"] == [{"type": "output_text", "text": "We are open"}]
    assert create["item"]["role"] == "assistant"


@pytest.mark.parametrize("answers", [(), (REFUSED,), (UNNAMED,), (UNNAMED, REFUSED)])
def test_a_server_that_deletes_nothing_keeps_the_answer_and_is_given_no_second_one(answers: tuple[dict[str, Any], ...]) -> None:
    wire, _ = asked(WRITING)
    assert len(sent_by(wire, RewriteItem("i1", "We are"), *answers)) == 1


def test_a_server_that_deletes_without_a_word_is_given_the_answer_before_it_is_asked_again() -> None:
    wire, _ = asked(WRITING)
    wire.send(RewriteItem("i1", "We are"))
    create, ask = wire.send(CreateResponse(Cause.USER_TURN))
    assert create["item"]["content"][0]["text"] == "We are"
    assert ask["type"] == "response.create"
    assert hear(wire, **DELETED) == []
    wire.send(RewriteItem("i2", "And on"))
    said = hear(wire, type="input_audio_buffer.committed", item_id="u1")
    assert [wire.answer(one)["item"]["content"][0]["text"] for one in said if isinstance(one, Reply)] == ["And on"]


def test_a_server_that_does_not_say_what_it_deleted_has_deleted_what_was_asked_for_first() -> None:
    wire, _ = asked(WRITING)
    wire.send(RewriteItem("i1", "We are"))
    wire.send(RewriteItem("i2", "And on"))
    nameless = [{"type": "conversation.item.deleted", "item_id": ""}, {"type": "conversation.item.deleted"}]
    made = [wire.answer(one)["item"]["content"][0]["text"] for told in nameless for one in hear(wire, **told) if isinstance(one, Reply)]
    assert made == ["We are", "And on"]
    assert hear(wire, type="conversation.item.deleted") == []


@pytest.mark.parametrize("answers", [(REFUSED,), (UNNAMED,)])
def test_a_server_that_refuses_to_delete_is_given_no_second_answer_later(answers: tuple[dict[str, Any], ...]) -> None:
    wire, _ = asked(WRITING)
    sent_by(wire, RewriteItem("i1", "We are"), *answers)
    assert len(wire.send(CreateResponse(Cause.USER_TURN))) == 1


@pytest.mark.parametrize("refusal", [REFUSED, UNNAMED])
def test_an_answer_is_not_lost_where_the_new_item_is_refused(refusal: dict[str, Any]) -> None:
    wire, _ = asked(WRITING)
    _, *creates = sent_by(wire, RewriteItem("i1", "We are"), DELETED, refusal, refusal, refusal, refusal)
    assert [(one["item"]["role"], one["item"]["content"][0]["type"]) for one in creates] == [
        ("assistant", "output_text"),
        ("assistant", "text"),
        ("system", "input_text"),
    ]
    assert {one["item"]["id"] for one in creates} == {"cf_item_1"}


def test_an_answer_that_is_made_anew_is_not_made_twice() -> None:
    wire, _ = asked(WRITING)
    assert len(sent_by(wire, RewriteItem("i1", "We are"), DELETED, MADE, UNNAMED, DELETED)) == 2


def test_an_answer_is_written_to_a_beta_server_in_its_words() -> None:
    wire, _ = asked(WRITING, BETA_SESSION | {"modalities": ["text"]})
    _, create = sent_by(wire, RewriteItem("i1", "We are"), DELETED)
    assert create["item"]["content"] == [{"type": "text", "text": "We are"}]
    (restored,) = wire.restore([{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]}])
    assert restored["item"]["content"] == [{"type": "text", "text": "Hi"}]


# The file of further fields.


def written(tmp_path: Path, held: Any) -> Path:
    path = tmp_path / "session.json"
    path.write_text(held if isinstance(held, str) else json.dumps(held))
    return path


@pytest.mark.parametrize("wrap", [lambda held: held, lambda held: {"type": "session.update", "session": {"type": "realtime", **held}}])
def test_further_fields_of_the_session_are_sent_as_they_are_written(tmp_path: Path, wrap: Any) -> None:
    held = {
        "prompt": {"id": "pmpt_1"},
        "audio": {
            "input": {"noise_reduction": {"type": "near_field"}, "turn_detection": {"type": "semantic_vad", "eagerness": "low"}},
            "output": {"speed": 1.1},
        },
        "tools": [{"type": "mcp", "server_label": "calendar"}],
    }
    session, turn_detection = read_session_file(written(tmp_path, wrap(held)))
    wire, sent = asked(session=session, turn_detection=turn_detection)
    assert sent["prompt"] == {"id": "pmpt_1"}
    assert sent["audio"]["input"]["noise_reduction"] == {"type": "near_field"}
    assert sent["audio"]["output"]["speed"] == 1.1
    assert sent["tools"] == held["tools"]
    rights = {"create_response": False, "interrupt_response": False}
    assert sent["audio"]["input"]["turn_detection"] == {"type": "semantic_vad", "eagerness": "low", **rights}
    assert hear(wire, type="session.updated", session=sent) == [Happened(ev.SessionConfirmed)]


def test_a_field_of_the_vad_is_merged_with_ours_in_either_dialect(tmp_path: Path) -> None:
    session, turn_detection = read_session_file(written(tmp_path, {"turn_detection": {"idle_timeout_ms": 6000, "threshold": 0.7}}))
    for shown in ({}, BETA_SESSION):
        _, sent = asked(shown=shown, session=session, turn_detection=turn_detection)
        vad = sent["turn_detection"] if shown else sent["audio"]["input"]["turn_detection"]
        assert (vad["idle_timeout_ms"], vad["threshold"], vad["prefix_padding_ms"]) == (6000, 0.7, 300)
        assert ("turn_detection" in sent) is bool(shown)


@pytest.mark.parametrize(
    ("held", "words"),
    [
        *[
            ("{", "it is no JSON"),
            ("[]", "must hold an object"),
            ({"instructions": "x"}, "instructions is not for this file"),
            ({"tools": {"type": "mcp"}}, "tools must be a list"),
        ],
        *[
            ({"output_modalities": ["text"]}, "output_modalities is not"),
            ({"audio": {"input": {"format": {}}}}, "audio.input.format is"),
        ],
        *[({"turn_detection": None}, "turn_detection must be an object"), ({"type": "transcription"}, "type is not for this file")],
        *[({"audio": []}, "audio must be an object"), ({"turn_detection": {"create_response": True}}, "give --set create_response=true")],
    ],
)
def test_a_session_file_that_is_none_or_decides_too_much_is_refused_in_one_line(tmp_path: Path, held: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_session_file(written(tmp_path, held))
    assert "\n" not in str(caught.value)


def test_a_session_file_may_begin_as_those_of_windows_do(tmp_path: Path) -> None:
    file = tmp_path / "session.json"
    file.write_text('{"speed": 1.1}', encoding="utf-8-sig")
    assert read_session_file(file) == ({"speed": 1.1}, {})


def test_a_session_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        read_session_file(tmp_path / "none.json")


# Where it is.

AZURE = "wss://res.openai.azure.com/openai"


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        (f"{AZURE}/v1/realtime", f"{AZURE}/v1/realtime?model=m"),
        (f"{AZURE}/v1/realtime?model=mine", f"{AZURE}/v1/realtime?model=mine"),
        (f"{AZURE}/realtime?api-version=2024-10-01-preview", f"{AZURE}/realtime?api-version=2024-10-01-preview&deployment=m"),
        (f"{AZURE}/realtime?api-version=x&deployment=d", f"{AZURE}/realtime?api-version=x&deployment=d"),
        ("https://res.openai.azure.com/openai/v1/realtime?model=d", f"{AZURE}/v1/realtime?model=d"),
    ],
)
def test_azures_forms_of_address_are_taken(url: str, whole: str) -> None:
    assert address(url, "m") == whole


def test_the_key_goes_where_the_server_looks_for_it() -> None:
    assert headers("wss://api.openai.com/v1/realtime", "k") == {"Authorization": "Bearer k"}
    assert headers(f"{AZURE}/realtime", "k") == {"api-key": "k"}
    assert headers("ws://127.0.0.1:1/openai/v1/realtime", "k") == {"Authorization": "Bearer k", "api-key": "k"}
    assert headers("ws://127.0.0.1:1/v1/realtime", "k") == {"Authorization": "Bearer k"}
    assert headers("ws://[::1", None) == {}


@pytest.mark.parametrize(
    ("url", "openai"),
    [
        *[("wss://api.openai.com/v1/realtime", True), (f"{AZURE}/v1/realtime", True), ("ws://127.0.0.1:8000/v1/realtime", False)],
        *[("wss://openai.com.example.org/v1", False), ("wss://myopenai.com/v1", False), ("ws://[::1", False)],
    ],
)
def test_a_server_is_openais_by_its_host(url: str, openai: bool) -> None:
    assert is_openai(url) is openai


@pytest.mark.parametrize(
    ("url", "named", "wire"),
    [
        *[("wss://api.x.ai/v1/realtime", "auto", "xai"), ("wss://us-east-1.api.x.ai/v1/realtime", "auto", "xai")],
        *[("wss://api.x.ai/v1/realtime", "ga", "ga"), ("wss://max.ai/v1/realtime", "auto", "auto"), ("ws://[::1", "auto", "auto")],
    ],
)
def test_the_dialect_of_xais_server_is_known_by_its_host(url: str, named: str, wire: str) -> None:
    assert wire_at(url, named) == wire
