"""Claims about what servers write otherwise than OpenAI's: how a response ends, ids that are absent or used again, words told too soon."""

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from adapters.realtime.incoming import Audio, Happened
from adapters.realtime.wire import Wire
from fsm.call import events
from fsm.call.effects import CancelResponse, Cause, CommitTurn, CreateResponse, SendToolResult
from fsm.call.events import ErrorReceived
from tests.shared.speech import wav
from tests.shared.wire import CALL, LOCAL, RESPONSE, SOUND, TEXT, VOICE, confirmed, hear, responding, say

# How a response ends.


def ended(response: dict[str, Any], kind: str = "response.done", **fields: Any) -> list[Any]:
    """What the end of a response comes to that was begun."""
    made = responding()
    return hear(made, type=kind, response=RESPONSE | response, **fields)


@pytest.mark.parametrize("status", ["requires_action", "tool_calls", "stop", "novel"])
def test_a_response_whose_status_nobody_knows_is_whole_where_no_error_is_told(status: str) -> None:
    """R89, R97: what it called is run, and what was heard of it is not asked for again."""
    told = ended({"status": status, "output": [CALL]})
    assert [one.event for one in told] == [events.ToolCalled, events.ResponseCompleted]


@pytest.mark.parametrize("more", [{"status_details": {"error": {"code": "odd"}}}, {"error": {"type": "odd"}}])
def test_one_that_tells_an_error_has_failed_whatever_its_status_is_called(more: dict[str, Any]) -> None:
    """R15."""
    assert ended({"status": "novel", "output": [CALL], **more}) == [Happened(events.ResponseFailed, ("r1", "odd"))]


@pytest.mark.parametrize("status", ["error", "timeout", "expired"])
def test_a_status_may_call_a_failure_otherwise(status: str) -> None:
    """R15."""
    assert ended({"status": status, "output": [CALL]}) == [Happened(events.ResponseFailed, ("r1", ""))]


@pytest.mark.parametrize("reason", ["turn_detected", "client_cancelled", "interrupted"])
def test_an_incomplete_response_that_was_interrupted_is_a_cancelled_one(reason: str) -> None:
    """R15: nothing is recovered that the caller cut off."""
    told = ended({"status": "incomplete", "status_details": {"type": "incomplete", "reason": reason}})
    assert told == [Happened(events.ResponseCancelled, ("r1", reason))]


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("response.completed", events.ResponseCompleted),
        ("response.interrupted", events.ResponseCancelled),
        ("response.cancelled", events.ResponseCancelled),
        ("response.incomplete", events.ResponseIncomplete),
        ("response.failed", events.ResponseFailed),
    ],
)
@pytest.mark.parametrize("status", [{}, {"status": "in_progress"}])
def test_an_end_may_be_named_by_what_it_is(kind: str, event: object, status: dict[str, str]) -> None:
    """R102."""
    assert [one.event for one in ended(status, kind)] == [event]
    assert [one.event for one in ended(status, kind, response_id="r1")] == [event]


def test_a_response_that_is_told_to_have_failed_says_why_beside_itself() -> None:
    """R108."""
    told = ended({}, "response.failed", error={"code": "server_error", "message": "The model is away."})
    assert told == [
        Happened(ErrorReceived, ("server_error", "The model is away.")),
        Happened(events.ResponseFailed, ("r1", "server_error")),
    ]


# Races, in words.


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("code", [None, "conversation_already_has_active_response"])
def test_a_response_too_many_is_known_by_its_words_and_without_the_command_that_it_names(named: bool, code: str | None) -> None:
    """R02, R11: it can be about nothing else than the one that is asked for."""
    made = confirmed()
    event_id = say(made, CreateResponse(Cause.USER_TURN))["event_id"]
    error = {"type": "invalid_request_error", "code": code, "message": "Conversation already has an active response"}
    refused = Happened(events.CreateRefused, ("conversation_already_has_active_response",))
    assert hear(made, type="error", error=error | {"event_id": event_id if named else None}) == [refused]


def test_a_cancel_too_late_is_known_by_its_words() -> None:
    """R02."""
    made = confirmed()
    error = {
        "code": None,
        "message": "Cancellation failed: no active response found",
        "event_id": say(made, CancelResponse("r1"))["event_id"],
    }
    assert hear(made, type="error", error=error) == [Happened(events.CancelRefused, ("r1", "response_cancel_not_active"))]


# Tool calls.


def called(made: Wire, response_id: str, **fields: Any) -> list[str]:
    """The ids of the calls that a response tells, whose end lists them once more."""
    call = {**CALL, "call_id": "call_0", **fields}
    hear(made, type="response.created", response=RESPONSE | {"id": response_id})
    told = hear(made, type="response.output_item.done", response_id=response_id, item=call)
    told += hear(made, type="response.done", response=RESPONSE | {"id": response_id, "status": "completed", "output": [call]})
    return [one.args[0] for one in told if isinstance(one, Happened) and one.event is events.ToolCalled]


@pytest.mark.parametrize(
    "other", [{"id": "f2"}, {"id": "f2", "arguments": '{"day": "Tuesday"}'}, {"id": None, "arguments": '{"day": "Tuesday"}'}]
)
def test_a_call_id_that_a_later_response_uses_again_is_another_call(other: dict[str, Any]) -> None:
    """R89: some count the calls of each response anew, or name a call by its function."""
    made = confirmed()
    [first] = called(made, "r1")
    [second] = called(made, "r2", **other)
    [third] = called(made, "r3", id="f3")
    assert len({first, second, third}) == 3
    answers = [say(made, SendToolResult(one, "9 to 5"))["item"]["call_id"] for one in (first, second, third)]
    assert answers == ["call_0"] * 3


def test_a_call_that_a_later_response_only_tells_again_is_the_same() -> None:
    """R89."""
    made = confirmed()
    assert called(made, "r1") == ["call_0"]
    assert called(made, "r2") == []


@pytest.mark.parametrize("arguments", ['{}{"day": "Monday"}', '{"day": "Monday"}{"day": "Monday"}', '{} {"day": "Monday"}\n{}'])
def test_arguments_that_are_told_behind_an_empty_object_or_twice_are_one_object(arguments: str) -> None:
    """R89."""
    made = responding()
    [told, _] = hear(made, type="response.output_item.done", response_id="r1", item=CALL | {"arguments": arguments})
    assert told == Happened(events.ToolCalled, ("c1", "hours", '{"day": "Monday"}', "r1"))


def test_arguments_of_which_nobody_can_say_which_are_meant_stay_as_they_are() -> None:
    made = responding()
    both = '{"day": "Monday"}{"day": "Tuesday"}'
    [told, _] = hear(made, type="response.output_item.done", response_id="r1", item=CALL | {"arguments": both})
    assert told.args[2] == both


# Ids.


def told_with(name: Callable[[int], Any]) -> list[Any]:
    """What comes of a turn and of an answer that says and calls something, where `name` makes the ids; `0` and half a hundred are some."""
    made = confirmed()
    turn = {"item_id": name(0), "event_id": name(50)}
    answer = {"id": name(1), "conversation_id": name(5)}
    said = {"id": name(2), "type": "message", "role": "assistant"}
    part = {"response_id": name(1), "item_id": name(2)}
    call = CALL | {"id": name(3), "call_id": name(4)}
    messages = (
        {"type": "input_audio_buffer.speech_started", **turn},
        {"type": "input_audio_buffer.speech_stopped", **turn},
        {"type": "input_audio_buffer.committed", **turn, "previous_item_id": name(6)},
        {"type": "conversation.item.input_audio_transcription.completed", **turn, "transcript": "Are you open?"},
        {"type": "response.created", "event_id": name(51), "response": answer},
        {"type": "response.created", "event_id": name(51), "response": answer},
        {"type": "response.output_item.added", "response_id": name(1), "output_index": 0, "item": said},
        {"type": "conversation.item.added", "previous_item_id": name(0), "item": said},
        {"type": "response.output_audio.delta", **part, "delta": SOUND},
        {"type": "response.output_audio.delta", "response_id": name(9), "item_id": name(8), "delta": SOUND},
        {"type": "conversation.item.deleted", "item_id": name(2)},
        {"type": "error", "error": {"type": "odd", "message": "Odd.", "event_id": name(52)}},
        {"type": "response.done", "response": answer | {"status": "completed", "output": [said, call]}},
    )
    return [one for message in messages for one in hear(made, **message)]


def test_an_id_that_is_a_number_is_taken_as_its_text_wherever_it_stands() -> None:
    """R84, R102: each message with one was malformed, so its turn, its sound, its call and its end were lost."""
    told = told_with(int)
    assert told == told_with(str)
    assert Happened(events.ToolCalled, ("4", CALL["name"], CALL["arguments"], "1")) in told
    assert told[-1] == Happened(events.ResponseCompleted, ("1", ""))


def test_sound_that_nobody_is_to_hear_is_known_by_the_number_of_its_response() -> None:
    """R91."""
    made = confirmed(TEXT)
    hear(made, type="response.created", response={"id": 1})
    hear(made, type="response.output_audio.delta", response_id=1, item_id=2, delta=SOUND)
    why, _ = hear(made, type="response.done", response={"id": 1})
    assert why.args[0] == "sound_without_words"


# Responses without ids.


@pytest.mark.parametrize("begun", [True, False])
def test_the_responses_of_a_server_that_gives_them_no_ids_are_told_apart_by_their_ends(begun: bool) -> None:
    """R102: one at a time is asked for."""
    made, ids = confirmed(), set()
    for _ in range(2):
        say(made, CreateResponse(Cause.USER_TURN))
        told = hear(made, type="response.created", response={"status": "in_progress"}) if begun else []
        for _ in range(2):
            told += hear(made, type="response.output_audio.delta", delta=SOUND)
        told += hear(made, type="response.done", response={"status": "completed"})
        kinds = [type(one) if isinstance(one, Audio) else one.event for one in told if isinstance(one, Audio | Happened)]
        assert kinds == [events.ResponseCreated, Audio, Audio, events.ResponseCompleted]
        ids |= {one.response_id if isinstance(one, Audio) else one.args[0] for one in told if isinstance(one, Audio | Happened)}
    assert len(ids) == 2


def test_a_response_without_an_id_is_cancelled_without_one() -> None:
    made = confirmed()
    say(made, CreateResponse(Cause.USER_TURN))
    [created] = hear(made, type="response.created")
    assert "response_id" not in say(made, CancelResponse(created.args[0]))


def test_an_id_that_a_later_response_uses_again_is_another_response() -> None:
    """R06, R102: it is asked for, and begun anew."""
    made, ids = confirmed(), list[str]()
    for _ in range(3):
        say(made, CreateResponse(Cause.USER_TURN))
        [created] = hear(made, type="response.created", response=RESPONSE)
        told = hear(made, type="response.output_audio.delta", response_id="r1", item_id="i1", delta=SOUND)
        told += hear(made, type="response.done", response=RESPONSE)
        ids.append(created.args[0])
        kinds = [events.ItemAdded, Audio, events.ResponseCompleted]
        assert [type(one) if isinstance(one, Audio) else one.event for one in told] == kinds
        assert {one.response_id if isinstance(one, Audio) else one.args[0] for one in told} == {created.args[0]}
        assert hear(made, type="response.done", response=RESPONSE)[-1].args[0] == created.args[0]
    assert (ids[0], len(set(ids))) == ("r1", 3)
    assert hear(made, type="response.created", response=RESPONSE) == [Happened(events.ResponseCreated, (ids[-1],))]


def test_a_beginning_that_is_told_late_is_no_other_response() -> None:
    """R72: what was told of it first has begun it, or the server gives each response an id of its own."""
    made = confirmed()
    say(made, CreateResponse(Cause.USER_TURN))
    hear(made, type="response.output_audio.delta", response_id="r1", item_id="i1", delta=SOUND)
    hear(made, type="response.done", response=RESPONSE)
    say(made, CreateResponse(Cause.USER_TURN))
    assert hear(made, type="response.created", response=RESPONSE) == []
    for response in (RESPONSE | {"id": "r2"}, RESPONSE | {"id": "r3"}):
        hear(made, type="response.created", response=response)
        hear(made, type="response.done", response=response)
    say(made, CreateResponse(Cause.USER_TURN))
    assert hear(made, type="response.created", response=RESPONSE | {"id": "r3"}) == [Happened(events.ResponseCreated, ("r3",))]


def test_a_beginning_that_is_told_twice_is_no_other_response() -> None:
    """R06: while the next one is asked for, of a server that numbers its messages."""
    made = confirmed()
    say(made, CreateResponse(Cause.USER_TURN))
    born = {"type": "response.created", "event_id": "event_7", "response": RESPONSE}
    hear(made, **born)
    hear(made, type="response.done", response=RESPONSE)
    say(made, CreateResponse(Cause.USER_TURN))
    assert hear(made, **born) == []
    assert hear(made, type="response.created", response=RESPONSE | {"id": "r2"}) == [Happened(events.ResponseCreated, ("r2",))]


def test_one_message_without_an_id_of_a_server_that_gives_ids_is_malformed() -> None:
    """R84."""
    made = responding()
    hear(made, type="response.done", response=RESPONSE)
    say(made, CreateResponse(Cause.USER_TURN))
    for message in ({"type": "response.created"}, {"type": "response.output_audio.delta", "delta": SOUND}):
        assert [one.event for one in hear(made, **message) if isinstance(one, Happened)] == [ErrorReceived]


# Sound.


def test_the_header_of_a_wav_before_each_piece_is_no_sound() -> None:
    made = responding()
    pieces = (wav(np.array([1, 2, 3], "<i2")), b"RIFF", wav(np.array([4], "<i2")))
    told = [
        one
        for piece in pieces
        for one in hear(made, type="response.output_audio.delta", response_id="r1", item_id="i1", delta=base64.b64encode(piece).decode())
        if isinstance(one, Audio)
    ]
    assert b"".join(one.pcm for one in told) == pieces[0][44:] + b"RIFF" + pieces[2][44:]


# Silence.


@pytest.mark.parametrize(("sound", "told"), [(bytes(144_000), True), (bytes(143_998) + b"\1\0", False), (bytes(2), True)])
def test_a_response_whose_sound_is_silence_alone_says_so(sound: bytes, told: bool) -> None:
    """R91: nothing else would tell why nothing is heard."""
    made = responding()
    for at in range(0, len(sound), 4_800):
        delta = base64.b64encode(sound[at : at + 4_800]).decode()
        hear(made, type="response.output_audio.delta", response_id="r1", item_id="i1", delta=delta)
    *why, end = hear(made, type="response.done", response=RESPONSE)
    assert [one.args[0] for one in why] == ["silent_sound"] * told
    assert end.event is events.ResponseCompleted


# The caller's speech.


def test_how_long_the_caller_spoke_is_told_by_the_servers_clock() -> None:
    """R29: its start has the padding before it; a server that does not tell both ends says nothing of it."""
    made = confirmed()
    for start, end, told in (({"audio_start_ms": 1_000}, 2_068, (768.0,)), ({}, 9_000, ()), ({"audio_start_ms": 9_000}, 9_300, ())):
        hear(made, type="input_audio_buffer.speech_started", item_id="u1", **start)
        [stopped] = hear(made, type="input_audio_buffer.speech_stopped", item_id="u1", audio_end_ms=end)
        assert stopped == Happened(events.SpeechStopped, ("u1", *told))


# The caller's words.


def words(made: Wire, text: str, **fields: str) -> list[Any]:
    """The events of a transcript that is told to be complete."""
    told = hear(made, type="conversation.item.input_audio_transcription.completed", transcript=text, **fields)
    return [one.event for one in told if isinstance(one, Happened)]


@pytest.mark.parametrize("item", [{"item_id": "u1"}, {}])
@pytest.mark.parametrize("committed", [True, False])
def test_words_that_are_told_while_the_caller_speaks_end_no_turn(item: dict[str, str], committed: bool) -> None:
    """R19, R94: some tell what there is as complete, again and again; the words after the end count."""
    made = confirmed()
    hear(made, type="input_audio_buffer.speech_started", item_id="u0")
    hear(made, type="input_audio_buffer.speech_stopped", item_id="u0")
    hear(made, type="input_audio_buffer.speech_started", **item)
    assert words(made, "Yeah", **item) == words(made, "Yeah, on", **item) == []
    hear(made, type="input_audio_buffer.speech_stopped", **item)
    if committed:
        hear(made, type="input_audio_buffer.committed", **item)
    assert words(made, "Yeah, on Tuesday.", **item) == [events.TurnCommitted] * (not committed) + [events.Transcribed]


@pytest.mark.parametrize(("dialect", "taken"), [("ga", True), ("xai", False)])
def test_words_end_the_turn_of_a_server_that_has_told_of_no_end(dialect: str, taken: bool) -> None:
    """R19, R24: some never tell it, and nothing else would; of xAI's it is known that it does."""
    made = confirmed()
    made.memory.setup.dialect = dialect
    hear(made, type="input_audio_buffer.speech_started", item_id="u1")
    assert words(made, "Are you open?", item_id="u1") == [events.TurnCommitted, events.Transcribed] * taken


def test_the_words_of_a_turn_are_told_once() -> None:
    """R21: they come twice, and those of the next turn may be the same."""
    made = confirmed()
    for item in ({"item_id": "u1"}, {"item_id": "u2"}, {}, {}):
        hear(made, type="input_audio_buffer.speech_started", **item)
        hear(made, type="input_audio_buffer.speech_stopped", **item)
        hear(made, type="input_audio_buffer.committed", **item)
        assert words(made, "Stop.", **item) == [events.Transcribed, events.TurnDismissed]
        assert words(made, "Stop.", **item) == []


@pytest.mark.parametrize("order", ["commit first", "words first", "words alone", "words late"])
def test_a_turn_whose_messages_each_name_another_item_is_one(order: str) -> None:
    """R12, R21, R102: it was answered twice, once for its commit and once for its words."""
    made, kinds, late = confirmed(), list[type[events.Event]](), list[dict[str, str]]()
    for turn in range(3):
        told = {"type": "conversation.item.input_audio_transcription.completed", "item_id": f"d{turn}", "transcript": f"Number {turn}?"}
        commit = {"type": "input_audio_buffer.committed", "item_id": f"c{turn}"}
        hear(made, type="input_audio_buffer.speech_started", item_id=f"a{turn}")
        messages = late
        hear(made, type="input_audio_buffer.speech_stopped", item_id=f"b{turn}")
        messages += {"commit first": [commit, told], "words first": [told, commit], "words alone": [told], "words late": [commit]}[order]
        kinds += [one.event for message in messages for one in hear(made, **message)]
        late = [told] if order == "words late" else []
    assert kinds.count(events.TurnCommitted) == 3
    assert kinds.count(events.Transcribed) == 3 - (order == "words late")


@pytest.mark.parametrize("ours", [True, False])
def test_an_id_that_a_later_turn_uses_again_is_another_turn(ours: bool) -> None:
    """R21, R102."""
    made, ids = confirmed(LOCAL if ours else VOICE), set[str]()
    for _ in range(3):
        if ours:
            say(made, CommitTurn())
        else:
            hear(made, type="input_audio_buffer.speech_started", item_id="u1")
            hear(made, type="input_audio_buffer.speech_stopped", item_id="u1")
        for _ in range(2):
            [taken] = hear(made, type="input_audio_buffer.committed", item_id="u1")
            ids.add(taken.args[0])
        [heard] = hear(made, type="conversation.item.input_audio_transcription.completed", item_id="u1", transcript="Yes, please.")
        assert heard == Happened(events.Transcribed, (taken.args[0], "Yes, please."))
    assert len(ids) == 3


def test_a_commit_that_is_answered_by_a_buffer_that_was_cleared_is_refused() -> None:
    """R95: the server has found no turn in it."""
    made = confirmed(LOCAL)
    assert hear(made, type="input_audio_buffer.cleared") == []
    say(made, CommitTurn())
    assert hear(made, type="input_audio_buffer.cleared") == [Happened(events.CommitRefused, ("input_audio_buffer_cleared",))]
    assert hear(made, type="input_audio_buffer.cleared") == []


def test_words_alone_are_a_turn() -> None:
    """R24: of a server that tells of no speech."""
    made = confirmed()
    assert words(made, "Are you open?", item_id="u1") == [events.TurnCommitted, events.Transcribed]
    assert words(made, "", item_id="u2") == [events.Transcribed]


def test_a_server_that_does_not_tell_that_speech_stopped_though_its_kind_does_is_known_with_its_second_turn() -> None:
    """R24, R102."""
    made = confirmed()
    made.memory.setup.dialect = "xai"
    hear(made, type="input_audio_buffer.speech_started", item_id="u1")
    assert words(made, "Hello?", item_id="u1") == []
    [taken, begun] = hear(made, type="input_audio_buffer.speech_started", item_id="u2")
    assert (taken.event, begun.event) == (events.TurnCommitted, events.SpeechStarted)
    assert words(made, "Are you there?", item_id="u2") == [events.TurnCommitted, events.Transcribed]
