"""A sentence's way through the Chatterbox server: at most one in synthesis, one sentence ahead of the one heard.

Each sentence has a session id of (call, response, sentence), made here before its POST, so that a cancel can name it at any time.
What was interrupted is never synthesised: the guard is the response's admission, not a clock (R67).
"""

from fsm.call import events as ev
from fsm.call.common import ending, guarded
from fsm.call.effects import CancelSynthesis, Level, Log, Synthesise
from fsm.call.guards import AUDIBLE, asks_patience, ended_before, of_session
from fsm.call.snapshot import Call, Sentence, Synthesis
from fsm.call.states import AHEAD, OVER, RESTING, SYNTHESISING
from fsm.engine.notation import always, go, ignore, region, row, sets, stay

LIVE = (RESTING, SYNTHESISING, AHEAD)
WORKING = (SYNTHESISING, AHEAD)
SILENCED = (ev.ResponseCancelled, ev.VoiceMissing, ev.PlayoutStalled)
"""What ends a playout before its sentences do (R77). Where the voice is missing none follows: its response is generated still."""


def refused(call: Call, event: ev.SentenceCut) -> bool:
    """Is the sentence of a response that may not be heard (R66, R67)?"""
    return call.playout.state not in AUDIBLE or event.response_id not in (call.playout.id, call.playout.next_id) or overtaken(call, event)


def overtaken(call: Call, event: ev.SentenceCut) -> bool:
    """Have the sentences of the response that follows begun? This one would be spoken after them, when its response is over."""
    next_id = call.playout.next_id
    begun = (call.synthesis.response_id, *(sentence.response_id for sentence in call.synthesis.queue))
    return bool(next_id) and event.response_id != next_id and next_id in begun


def full(call: Call, _: ev.SentenceCut) -> bool:
    """Do as many sentences wait as may (R07)?"""
    return len(call.synthesis.queue) >= call.policy.queued_sentences


def of_sentence(call: Call, event: ev.ResponseCancelled | ev.VoiceMissing | ev.PlayoutStalled) -> bool:
    """Is the response of the sentence in synthesis or ahead not heard any more?"""
    return _gone(call, event) == call.synthesis.response_id


def next_in_line(call: Call, event: ev.ResponseCancelled | ev.VoiceMissing | ev.PlayoutStalled) -> bool:
    """Is it, with a sentence of the response that follows waiting behind it?"""
    return of_sentence(call, event) and bool(_others(call, event))


def more_waits(call: Call, event: ev.SynthesisEnded | ev.SentenceStarted) -> bool:
    """Does the event belong to that sentence, with another one waiting?"""
    return of_session(call, event) and bool(call.synthesis.queue)


def another_waits(call: Call, _: ev.SynthesisExpired) -> bool:
    """Does another sentence wait?"""
    return bool(call.synthesis.queue)


def session_id(call: Call, response_id: str, number: int) -> str:
    """The synthesis session of a sentence: unique among calls, responses and sentences (R64)."""
    return f"{call.call_id}.{response_id}.{number}"


def synthesise(call: Call, event: ev.SentenceCut) -> Synthesise:
    """Begin the sentence that was just cut."""
    return Synthesise(session_id(call, event.response_id, event.sentence), event.response_id, event.text)


def synthesise_next(call: Call, _: ev.Event) -> Synthesise:
    """Begin the sentence that waits longest."""
    sentence = call.synthesis.queue[0]
    return Synthesise(session_id(call, sentence.response_id, sentence.number), sentence.response_id, sentence.text)


def synthesise_other(call: Call, event: ev.ResponseCancelled | ev.VoiceMissing | ev.PlayoutStalled) -> Synthesise:
    """Begin the sentence of the response that follows."""
    sentence = _others(call, event)[0]
    return Synthesise(session_id(call, sentence.response_id, sentence.number), sentence.response_id, sentence.text)


def ask_patience(call: Call, event: ev.ResponseFailed) -> Synthesise:
    """Tell the caller that it takes a moment, as sentence number 0 of the response that failed (R92)."""
    return Synthesise(session_id(call, event.response_id, 0), event.response_id, call.policy.wait_words)


def cancel_synthesis(call: Call, _: ev.Event) -> CancelSynthesis:
    """Stop the sentence in synthesis (R65, R77)."""
    return CancelSynthesis(call.synthesis.session_id)


def log_dropped(call: Call, event: ev.SentenceCut) -> Log:
    """Note a sentence for which there is no room."""
    return Log(Level.WARNING, "sentence_dropped", session_id(call, event.response_id, event.sentence))


def log_lost(call: Call, _: ev.Event) -> Log:
    """Note a sentence that will not be spoken."""
    return Log(Level.WARNING, "sentence_lost", call.synthesis.session_id)


def log_outcome(_: Call, event: ev.SynthesisCancelAnswered) -> Log:
    """Note what became of a cancel (R64)."""
    return Log(Level.INFO, "synthesis_cancel_" + event.outcome.replace(" ", "_"), event.session_id)


@sets("session_id", "response_id", "item_id", "text")
def take_sentence(call: Call, event: ev.SentenceCut) -> tuple[str, str, str, str]:
    """The sentence in synthesis."""
    return session_id(call, event.response_id, event.sentence), event.response_id, event.item_id, event.text


@sets("session_id", "response_id", "item_id", "text", "queue")
def take_next(call: Call, _: ev.Event) -> tuple[str, str, str, str, tuple[Sentence, ...]]:
    """The sentence that waits longest is in synthesis."""
    sentence, *rest = call.synthesis.queue
    session = session_id(call, sentence.response_id, sentence.number)
    return session, sentence.response_id, sentence.item_id, sentence.text, tuple(rest)


@sets("session_id", "response_id", "item_id", "text")
def take_patience(call: Call, event: ev.ResponseFailed) -> tuple[str, str, str, str]:
    """Words of ours, and of no item of the model's, are in synthesis."""
    return session_id(call, event.response_id, 0), event.response_id, "", call.policy.wait_words


@sets("queue")
def enqueue(call: Call, event: ev.SentenceCut) -> tuple[Sentence, ...]:
    """The sentence waits."""
    return (*call.synthesis.queue, Sentence(event.response_id, event.sentence, event.text, event.item_id))


@sets("queue")
def drop_waiting(call: Call, event: ev.ResponseCancelled) -> tuple[Sentence, ...]:
    """The sentences of a response that will not be heard wait no longer (R67)."""
    return _others(call, event)


@sets("session_id", "response_id", "item_id", "text", "queue")
def take_others(
    call: Call, event: ev.ResponseCancelled | ev.VoiceMissing | ev.PlayoutStalled
) -> tuple[str, str, str, str, tuple[Sentence, ...]]:
    """The first sentence of the response that follows is in synthesis; those of the one that is not heard any more are gone."""
    sentence, *rest = _others(call, event)
    session = session_id(call, sentence.response_id, sentence.number)
    return session, sentence.response_id, sentence.item_id, sentence.text, tuple(rest)


def _gone(call: Call, event: ev.ResponseCancelled | ev.VoiceMissing | ev.PlayoutStalled) -> str:
    """The response that is not heard any more: the one that was cancelled, or what the device did not play."""
    return event.response_id if isinstance(event, ev.ResponseCancelled) else call.playout.id


def _others(call: Call, event: ev.ResponseCancelled | ev.VoiceMissing | ev.PlayoutStalled) -> tuple[Sentence, ...]:
    gone = _gone(call, event)
    return tuple(sentence for sentence in call.synthesis.queue if sentence.response_id != gone)


@sets("failed")
def count_failed(call: Call, _: ev.Event) -> int:
    """One more sentence in a row could not be synthesised."""
    return call.synthesis.failed + 1


@sets("failed")
def voice_works(_: Call, __: ev.SentenceSynthesised) -> int:
    """A sentence was synthesised."""
    return 0


@sets("session_id", "response_id", "item_id", "text", "queue")
def forget(_: Call, __: ev.Event) -> tuple[str, str, str, str, tuple[Sentence, ...]]:
    """No sentence is in synthesis, ahead or waiting."""
    return "", "", "", "", ()


SYNTHESIS = region(
    "synthesis",
    *guarded(LIVE),
    *ending((SYNTHESISING,), cancel_synthesis, forget),
    *ending((RESTING, AHEAD), forget),
    #   while              on                       if              then
    row(LIVE,              ev.SentenceCut,          refused,        ignore("its response may not be heard: nothing is synthesised for it (R67)")),
    row(RESTING,           ev.SentenceCut,          always,         go(SYNTHESISING, take_sentence, synthesise)),
    row(WORKING,           ev.SentenceCut,          full,           stay(log_dropped)),
    row(WORKING,           ev.SentenceCut,          always,         stay(enqueue)),

    row(RESTING,           ev.ResponseFailed,       asks_patience,  go(SYNTHESISING, take_patience, ask_patience)),

    row(SYNTHESISING,      ev.SentenceSynthesised,  of_session,     go(AHEAD, voice_works)),
    row(SYNTHESISING,      ev.SynthesisDiscarded,   more_waits,     go(SYNTHESISING, take_next, synthesise_next, log_lost)),
    row(SYNTHESISING,      ev.SynthesisDiscarded,   of_session,     go(RESTING, forget, log_lost)),
    row(SYNTHESISING,      ev.SynthesisFailed,      more_waits,     go(SYNTHESISING, take_next, count_failed, synthesise_next, log_lost)),
    row(SYNTHESISING,      ev.SynthesisFailed,      of_session,     go(RESTING, forget, count_failed, log_lost)),
    row(SYNTHESISING,      ev.SynthesisExpired,     another_waits,  go(SYNTHESISING, take_next, count_failed, cancel_synthesis, synthesise_next, log_lost)),
    row(SYNTHESISING,      ev.SynthesisExpired,     always,         go(RESTING, forget, count_failed, cancel_synthesis, log_lost)),
    row(AHEAD,             ev.SentenceStarted,      more_waits,     go(SYNTHESISING, take_next, synthesise_next)),
    row(AHEAD,             ev.SentenceStarted,      of_session,     go(RESTING, forget)),

    row(SYNTHESISING,      (ev.BargedIn, ev.TakenUp), always,       go(RESTING, cancel_synthesis, forget)),
    row(AHEAD,             (ev.BargedIn, ev.TakenUp), always,       go(RESTING, forget)),
    row(WORKING,           ev.ResponseCancelled,    ended_before,   ignore("it has ended before (R06)")),
    row(SYNTHESISING,      (ev.ResponseCancelled, ev.PlayoutStalled), next_in_line,   go(SYNTHESISING, cancel_synthesis, take_others, synthesise_other)),
    row(SYNTHESISING,      SILENCED,                of_sentence,    go(RESTING, cancel_synthesis, forget)),
    row(AHEAD,             (ev.ResponseCancelled, ev.PlayoutStalled), next_in_line,   go(SYNTHESISING, take_others, synthesise_other)),
    row(AHEAD,             SILENCED,                of_sentence,    go(RESTING, forget)),
    row(WORKING,           ev.ResponseCancelled,    always,         stay(drop_waiting)),

    row(LIVE,              ev.SynthesisCancelAnswered, always,      stay(log_outcome)),
    row(LIVE,              ev.SentenceEvent,        always,         ignore("of a sentence that is no longer awaited (R66)")),
    row(LIVE,              ev.DeviceEvent,          always,         ignore("of a sentence that is not the one ahead, or no sentence")),
    row(LIVE,              ev.ModelEvent,           always,         ignore("sentences come as they are cut, and end with their playout")),
    row(LIVE,              (ev.Expired, ev.Signal), always,         ignore("another region's deadline, or nothing that stops a sentence")),
    row(LIVE,              (ev.CallerEvent, ev.LineEvent, ev.AppEvent), always, ignore("only an interruption stops a sentence")),
    doc="the sentences of a Chatterbox voice, from their text to their first sound",
    record=Synthesis,
    states=(*LIVE, OVER),
    expired=ev.SynthesisExpired,
)  # fmt: skip
