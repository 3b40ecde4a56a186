"""The realtime wire as tables: what each message says, what each effect sends, and that nothing makes it raise."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from adapters.realtime import rendering
from adapters.realtime.incoming import Audio, Happened, Incoming, Reply, SpokenDelta, TextDelta
from adapters.realtime.place import address
from adapters.realtime.settings import RealtimeSettings
from adapters.realtime.table import TABLE
from adapters.realtime.websocket import MAX_MESSAGE_BYTES
from adapters.realtime.wire import Wire, append
from fsm.call import events
from fsm.call.effects import (
    AddEntry,
    CancelResponse,
    Cause,
    CloseSession,
    ConfigureSession,
    CreateResponse,
    DeleteItem,
    Effect,
    ReleaseResponse,
    SendToolResult,
    TruncateItem,
)
from fsm.call.events import ErrorReceived, ResponseTranscribed
from fsm.call.policy import Policy
from tests.shared.wire import ADDED, RESPONSE, SERVER_OWNS, SETTINGS, SOUND, VOICE, confirmed, hear, responding, say, wire

# What the server says.


def unheard(text: str) -> list[Incoming]:
    """What words come to that were in no delta."""
    return [ADDED, SpokenDelta("r1", "i2", text), Happened(events.TextArrived, ("r1",))]


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"type": "session.created", "session": {}}, [Happened(events.SessionOpened)]),
        ({"type": "input_audio_buffer.speech_started", "item_id": "i1"}, [Happened(events.SpeechStarted, ("i1",))]),
        ({"type": "input_audio_buffer.speech_started"}, [Happened(events.SpeechStarted, ("",))]),
        ({"type": "input_audio_buffer.speech_stopped", "item_id": "i1"}, [Happened(events.SpeechStopped, ("i1",))]),
        ({"type": "input_audio_buffer.committed", "item_id": "i1", "previous_item_id": None}, [Happened(events.TurnCommitted, ("i1",))]),
        (
            {"type": "conversation.item.input_audio_transcription.completed", "item_id": "i1", "transcript": ""},
            [Happened(events.Transcribed, ("i1", ""))],
        ),
        (
            {"type": "conversation.item.input_audio_transcription.failed", "item_id": "i1", "error": {"message": "noise"}},
            [Happened(ErrorReceived, ("transcription_failed", "noise"))],
        ),
        ({"type": "response.created", "response": RESPONSE}, [Happened(events.ResponseCreated, ("r1",))]),
        ({"type": "response.created", "response": {"id": "r1"}}, [Happened(events.ResponseCreated, ("r1",))]),
        ({"type": "response.created", "response": RESPONSE | {"conversation_id": None}}, []),
        ({"type": "response.created", "response": RESPONSE | {"conversation_id": "none"}}, []),
        ({"type": "response.done", "response": RESPONSE | {"conversation_id": None, "status": "completed"}}, []),
        ({"type": "response.done", "response": RESPONSE | {"status": "completed"}}, [Happened(events.ResponseCompleted, ("r1", ""))]),
        (
            {"type": "response.done", "response": RESPONSE | {"status": "cancelled", "status_details": {"reason": "turn_detected"}}},
            [Happened(events.ResponseCancelled, ("r1", "turn_detected"))],
        ),
        (
            {"type": "response.done", "response": RESPONSE | {"status": "incomplete", "status_details": {"reason": "content_filter"}}},
            [Happened(events.ResponseIncomplete, ("r1", "content_filter"))],
        ),
        (
            {
                "type": "response.done",
                "response": RESPONSE
                | {
                    "status": "failed",
                    "status_details": {"type": "failed", "error": {"type": "server_error", "code": "insufficient_quota"}},
                },
            },
            [Happened(events.ResponseFailed, ("r1", "insufficient_quota"))],
        ),
        (
            {"type": "response.done", "response": RESPONSE | {"status": "failed", "status_details": {"error": {"type": "server_error"}}}},
            [Happened(events.ResponseFailed, ("r1", "server_error"))],
        ),
        (
            {"type": "response.done", "response": RESPONSE | {"status": "vanished"}},
            [Happened(events.ResponseCompleted, ("r1", ""))],
        ),
        ({"type": "response.done", "response": RESPONSE}, [Happened(events.ResponseCompleted, ("r1", ""))]),
        (
            {"type": "response.output_audio.delta", "response_id": "r1", "item_id": "i2", "delta": SOUND},
            [ADDED, Audio("r1", "i2", b"\x01\x02\x03\x04")],
        ),
        (
            {"type": "response.audio.delta", "response_id": "r1", "item_id": "i2", "delta": SOUND},
            [ADDED, Audio("r1", "i2", b"\x01\x02\x03\x04")],
        ),
        ({"type": "response.output_audio.delta", "response_id": "r1", "item_id": "i2", "delta": ""}, []),
        (
            {"type": "response.output_text.delta", "response_id": "r1", "item_id": "i2", "delta": "Hi"},
            unheard("Hi"),
        ),
        (
            {"type": "response.output_audio_transcript.done", "response_id": "r1", "item_id": "i2", "transcript": "Thanks. Goodbye!"},
            [
                *unheard("Thanks. Goodbye!"),
                Happened(ResponseTranscribed, ("r1", "Thanks. Goodbye!")),
                Happened(events.GoodbyeSaid, ("r1",)),
            ],
        ),
        (
            {"type": "response.audio_transcript.done", "response_id": "r1", "item_id": "i2", "transcript": "Bye."},
            [*unheard("Bye."), Happened(ResponseTranscribed, ("r1", "Bye.")), Happened(events.GoodbyeSaid, ("r1",))],
        ),
        (
            {"type": "response.output_text.done", "response_id": "r1", "item_id": "i2", "text": "Tschüss!"},
            [*unheard("Tschüss!"), Happened(ResponseTranscribed, ("r1", "Tschüss!")), Happened(events.GoodbyeSaid, ("r1",))],
        ),
        (
            {"type": "response.output_text.done", "response_id": "r1", "item_id": "i2", "text": "Hello."},
            [*unheard("Hello."), Happened(ResponseTranscribed, ("r1", "Hello."))],
        ),
        (
            {"type": "response.output_audio_transcript.delta", "response_id": "r1", "delta": "Goodbye."},
            [SpokenDelta("r1", "", "Goodbye."), Happened(events.TextArrived, ("r1",))],
        ),
        (
            {"type": "response.audio_transcript.delta", "response_id": "r1", "delta": "Good"},
            [SpokenDelta("r1", "", "Good"), Happened(events.TextArrived, ("r1",))],
        ),
        (
            {
                "type": "response.output_item.done",
                "response_id": "r1",
                "item": {"type": "function_call", "id": "i3", "call_id": "c1", "name": "find", "arguments": "{}", "status": "completed"},
            },
            [Happened(events.ToolCalled, ("c1", "find", "{}", "r1")), Happened(events.ItemsDone, ("r1",))],
        ),
        ({"type": "rate_limits.updated", "rate_limits": []}, []),
        ({"type": "error", "error": {"type": "server_error", "message": "oops"}}, [Happened(ErrorReceived, ("server_error", "oops"))]),
        (
            {"type": "error", "error": {"type": "invalid_request_error", "code": "odd", "message": "m", "event_id": "not_ours"}},
            [Happened(ErrorReceived, ("odd", "m"))],
        ),
    ],
)
def test_each_message_says_what_the_table_says(message: dict[str, Any], said: list[Incoming]) -> None:
    assert wire().receive(json.dumps(message)) == said


@pytest.mark.parametrize("wait", ["try again in 99999999999h", "retry after " + "9" * 330 + "s"])
def test_a_wait_without_end_is_a_day(wait: str) -> None:
    """R92, R107: the event is one that a trace can hold."""
    error = {"code": "rate_limit_exceeded", "message": wait}
    for resets in ([], [{"remaining": 0, "reset_seconds": 1e308}]):
        one = responding()
        hear(one, type="rate_limits.updated", rate_limits=resets)
        told = {} if resets else error
        details = {"error": {"code": "rate_limit_exceeded", **told}}
        [failed] = hear(one, type="response.done", response=RESPONSE | {"status": "failed", "status_details": details})
        assert failed == Happened(events.ResponseFailed, ("r1", "rate_limit_exceeded", 86_400_000.0))


@pytest.mark.parametrize(
    ("details", "wait_ms"),
    [
        *[("rate limited: try again in 2.5s", 2_500.0), ({"error": "429 Too Many Requests: retry after 3 s"}, 3_000.0)],
        *[({"error": {"code": "x", "error_message": "wait 4 seconds"}}, 4_000.0), ({"error": {"code": "rate_limit_exceeded"}}, 2_000.0)],
        *[
            ({"error": {"code": 429}}, 2_000.0),
            ({"reason": "RESOURCE_EXHAUSTED"}, 2_000.0),
            ({"error": {"type": "too_many_requests"}}, 2_000.0),
            ({"error": {"code": "rate_limit_exceeded", "message": "Bitte in 7.5 s erneut versuchen."}}, 7_500.0),
        ],
    ],
)
def test_a_failed_response_waits_as_it_is_told_and_a_rate_limit_always(details: Any, wait_ms: float) -> None:
    """R92: in whatever field the wait stands; where a rate limit states none, asking at once would only use it up."""
    one = responding()
    [failed] = hear(one, type="response.done", response=RESPONSE | {"status": "failed", "status_details": details})
    assert failed.args[2] == wait_ms


def test_a_response_is_told_whole_once_every_item_that_was_begun_is_done() -> None:
    """R97: of whatever kind; one that was cut off never is."""

    def told(kind: str, item_id: str, **item: Any) -> list[Incoming]:
        said = hear(one, type=f"response.output_item.{kind}", response_id="r1", item={"id": item_id, **item})
        return [happened for happened in said if happened == Happened(events.ItemsDone, ("r1",))]

    one = wire()
    for item_id, kind in (("i1", "message"), ("i2", "reasoning"), ("i3", "function_call")):
        assert told("added", item_id, type=kind) == []
    assert told("done", "i2", type="reasoning", status="completed") == []
    assert told("done", "i3", type="function_call", status="completed", call_id="c1", name="find", arguments="{}") == []
    assert hear(one, type="conversation.item.done", item={"id": "i1", "type": "message", "role": "assistant"}) == []
    assert len(told("done", "i1", type="message")) == 1
    assert told("added", "i4", type="message") == []
    assert told("done", "i4", type="message", status="incomplete") == []


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "{",
            "null",
            "[]",
            "7",
            '"text"',
            "NaN",
            "{}",
            '{"type": null}',
            '{"type": ["error"]}',
            '{"type": ""}',
            "[" * 100_000,
            "9" * 5_000,
        ),
        *('{"type": "error"}', '{"type": "error", "error": ""}', '{"type": "error", "error": {"code": [7]}}'),
        '{"type": "response.created", "response": {"id": 7.5}}',
        *('{"type": "response.done", "response": {"id": true}}', '{"type": "response.done", "response": {"id": "r", "status": {}}}'),
        '{"type": "response.output_audio.delta", "response_id": "r"}',
        '{"type": "response.output_audio.delta", "response_id": "r", "delta": "no base64!"}',
        '{"type": "response.output_audio.delta", "response_id": "r", "delta": "é"}',
        '{"type": "response.output_text.delta", "delta": "x"}',
        '{"type": "input_audio_buffer.speech_started", "item_id": {}}',
    ],
)
def test_what_cannot_be_understood_is_quarantined_and_counted(text: str) -> None:
    one = wire()
    (incoming,) = one.receive(text)
    assert (incoming.event, incoming.args[0]) == (ErrorReceived, "malformed_event")
    assert one.quarantined == {"malformed_event": 1}


LONG = "<b>&" * (2**20)
COSTLY = {
    "many parts": "[" + ",".join(["[]"] * 400_000) + "]",
    "deep": '{"type": "session.updated", "session": ' + '{"a": ' * 100_000 + "1" + "}" * 100_000 + "}",
    "large numbers": '{"type": "error", "error": [' + ",".join(["1" * 4_000] * 300) + "]}",
    "a long transcript": json.dumps({"type": "response.output_audio_transcript.done", "item_id": "i1", "transcript": LONG}),
    "long words of the caller": json.dumps(
        {"type": "conversation.item.input_audio_transcription.completed", "item_id": "i2", "transcript": LONG}
    ),
    "a long delta": json.dumps({"type": "response.output_audio_transcript.delta", "item_id": "i1", "delta": LONG}),
    "a long id": json.dumps({"type": "response.created", "response": {"id": LONG}}),
    "a long code": json.dumps({"type": "error", "error": {"code": LONG, "message": "oh"}}),
}
"""1.2 to 4 MB that would take from a tenth of a second to half a minute."""


@pytest.mark.parametrize("text", COSTLY.values(), ids=COSTLY)
def test_a_message_that_takes_long_to_take_in_is_set_aside_and_told(text: str) -> None:
    """R84, R106: while one is taken in no other call is heard; and what comes next is."""
    one = wire()
    hear(one, type="response.created", response={"id": "r1"})
    (told,) = one.receive(text)
    assert (told.event, told.args[0]) == (ErrorReceived, "malformed_event")
    assert hear(one, type="input_audio_buffer.speech_started", item_id="i3") == [Happened(events.SpeechStarted, ("i3",))]


def test_sound_is_heard_in_whatever_base64_it_is_written() -> None:
    """R102: with line breaks, in the alphabet of URLs, without its padding; what is none is an error (R84)."""
    sound = b"\xff\xfe\xfb\xf0" * 50
    wordings = (base64.encodebytes(sound), base64.urlsafe_b64encode(sound), base64.b64encode(sound).rstrip(b"="))
    for written in wordings:
        one = responding()
        *_, heard = hear(one, type="response.output_audio.delta", response_id="r1", item_id="i1", delta=written.decode())
        assert heard.pcm == sound
    for written in (b"a", b"AA==AA==", b"AAA*"):
        [told] = hear(one, type="response.output_audio.delta", response_id="r1", item_id="i1", delta=written.decode())
        assert told == Happened(ErrorReceived, ("malformed_event", "delta is not base64"))


def test_a_minute_of_sound_in_one_delta_is_heard() -> None:
    """Servers that make an answer whole send it whole."""
    one = wire()
    hear(one, type="response.output_item.added", response_id="r1", item={"id": "i1", "type": "message"})
    sound = bytes(24_000 * 2 * 60)
    text = json.dumps({"type": "response.output_audio.delta", "item_id": "i1", "delta": base64.b64encode(sound).decode()})
    assert len(text) < MAX_MESSAGE_BYTES
    assert one.receive(text) == [Audio("r1", "i1", sound)]


def test_an_unknown_type_is_quarantined_by_its_name() -> None:
    one = wire()
    assert hear(one, type="response.smell.delta") == [Happened(ErrorReceived, ("unknown_event", "response.smell.delta"))]
    assert one.quarantined == {"unknown_event": 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = ("response_id", "item_id", "delta", "transcript", "text", "error", "session", "response", "item")
NEAR = st.dictionaries(
    st.sampled_from(
        [*FIELDS, "id", "status", "status_details", "reason", "code", "type", "event_id", "message", "audio", "input", "format"]
    ),
    JSON | st.sampled_from(["r1", "cf_1", "completed", "session_expired"]),
    max_size=5,
)
MESSAGES = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from(sorted(TABLE)),
    st.dictionaries(st.sampled_from(FIELDS), JSON | NEAR, max_size=6),
)


@settings(max_examples=400)
@given(
    texts=st.lists(st.text() | st.binary().map(lambda data: data.decode(errors="replace")) | (JSON | MESSAGES).map(json.dumps), max_size=6)
)
def test_nothing_that_a_server_sends_makes_the_wire_raise(texts: list[str]) -> None:
    one = wire()
    for effect in (ConfigureSession(), CreateResponse(Cause.USER_TURN), CancelResponse("r1")):
        one.send(effect)
    for text in texts:
        for incoming in one.receive(text):
            if isinstance(incoming, Happened):
                incoming.event(0.0, *incoming.args)
            else:
                assert isinstance(incoming, Audio | TextDelta | SpokenDelta | Reply)


def test_the_rendered_table_is_not_stale() -> None:
    assert not rendering.stale(Path("diagrams")), "remake it: make diagrams"


def test_every_event_of_the_server_is_known() -> None:
    """OpenAI's GA types know 46 server events; xAI's voice server has one more."""
    assert len(TABLE) == 46 + 1


def test_words_that_more_come_behind_are_no_transcript() -> None:
    """xAI tells a turn's words again and again as `completed`, each time more of them, and marks all but the last."""
    one = confirmed()
    hear(one, type="input_audio_buffer.speech_started", item_id="i1")
    hear(one, type="input_audio_buffer.speech_stopped", item_id="i1")
    kind = "conversation.item.input_audio_transcription"
    assert hear(one, type=f"{kind}.updated", item_id="i1", transcript="Stop") == []
    assert hear(one, type=f"{kind}.completed", item_id="i1", transcript="Stop", status="in_progress") == []
    assert hear(one, type="ping", timestamp=1) == []
    said = Happened(events.Transcribed, ("i1", "Stop there."))
    assert said in hear(one, type=f"{kind}.completed", item_id="i1", transcript="Stop there.", status="completed")
    assert hear(one, type=f"{kind}.completed", item_id="i1", transcript="Stop there.") == []
    assert hear(one, type=f"{kind}.completed", item_id="i1", transcript="Stop there, please.") == [
        Happened(events.Transcribed, ("i1", "Stop there, please."))
    ]


def test_an_item_that_a_delta_leaves_out_is_the_last_one_added() -> None:
    one = wire()
    assert hear(one, type="response.output_item.added", response_id="r1", item={"id": "call_1", "type": "function_call"}) == []
    (added,) = hear(one, type="response.output_item.added", response_id="r1", item={"id": "i9", "type": "message"})
    assert added == Happened(events.ItemAdded, ("r1", "i9"))
    assert hear(one, type="response.output_audio.delta", response_id="r1", delta=SOUND) == [Audio("r1", "i9", b"\x01\x02\x03\x04")]


def test_sound_cut_in_the_middle_of_a_sample_is_put_together_again() -> None:
    one = wire()
    pieces = [b"\x01", b"\x02\x03", b"\x04\x05\x06"]
    said = [
        hear(one, type="response.output_audio.delta", response_id="r1", item_id="i", delta=base64.b64encode(piece).decode())
        for piece in pieces
    ]
    added = Happened(events.ItemAdded, ("r1", "i"))
    assert said == [[], [added, Audio("r1", "i", b"\x01\x02")], [Audio("r1", "i", b"\x03\x04\x05\x06")]]


def test_half_a_sample_never_passes_to_another_response() -> None:
    one = wire()
    odd = base64.b64encode(b"\x01").decode()
    assert hear(one, type="response.output_audio.delta", response_id="r1", item_id="i", delta=odd) == []
    assert hear(one, type="response.output_audio.delta", response_id="r2", item_id="i", delta=SOUND)[-1:] == [
        Audio("r2", "i", b"\x01\x02\x03\x04")
    ]


def test_nothing_of_a_response_outside_the_conversation_is_heard() -> None:
    one = wire()
    hear(one, type="response.created", response={"id": "r1", "conversation_id": None})
    assert hear(one, type="response.output_audio.delta", response_id="r1", item_id="i", delta=SOUND) == []
    assert hear(one, type="response.output_audio.delta", item_id="i", delta=SOUND) == []
    assert hear(one, type="response.output_text.delta", response_id="r1", item_id="i", delta="Hi") == []
    assert hear(one, type="response.output_text.done", response_id="r1", item_id="i", text="Bye.") == []
    assert hear(one, type="response.done", response={"id": "r1", "status": "completed"}) == []


@pytest.mark.parametrize("policy", [VOICE, SERVER_OWNS], ids=["asked for", "the server's own"])
def test_what_is_awaited_of_a_server_that_names_no_conversation_is_heard(policy: Policy) -> None:
    """R102: null is as good as absent; a response beside the conversation is one of those that nobody awaits."""
    one = wire(policy)
    if policy is VOICE:
        say(one, CreateResponse(Cause.USER_TURN))
    assert hear(one, type="response.created", response={"id": "r1", "conversation_id": None}) == [Happened(events.ResponseCreated, ("r1",))]
    assert Audio("r1", "i", b"\x01\x02\x03\x04") in hear(
        one, type="response.output_audio.delta", response_id="r1", item_id="i", delta=SOUND
    )
    done = {"id": "r1", "conversation_id": None, "status": "completed"}
    assert hear(one, type="response.done", response=done) == [Happened(events.ResponseCompleted, ("r1", ""))]


@pytest.mark.parametrize("policy", [VOICE, SERVER_OWNS], ids=["asked for", "the server's own"])
def test_where_conversations_are_named_a_response_without_one_is_beside_it(policy: Policy) -> None:
    one = wire(policy)
    hear(one, type="response.created", response=RESPONSE)
    hear(one, type="response.done", response=RESPONSE)
    say(one, CreateResponse(Cause.USER_TURN))
    assert hear(one, type="response.created", response={"id": "r2", "conversation_id": None}) == []


# The session.


def changed(session: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(session))
    *way, last = path.split(".")
    place = copy
    for name in way:
        place = place[name]
    place[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("output_modalities", ["text"]),
        ("audio.input.format", {"type": "audio/pcmu"}),
        ("audio.output.format", {"type": "audio/pcmu"}),
        ("audio.input.format.rate", 16_000),
        ("audio.input.turn_detection", None),
        ("audio.input.turn_detection.type", "semantic_vad"),
        ("audio.input.turn_detection.interrupt_response", True),
        ("audio.input.turn_detection.create_response", True),
    ],
)
def test_a_session_that_differs_from_what_was_asked_is_refused(path: str, value: object) -> None:
    one = wire()
    session = say(one, ConfigureSession())["session"]
    (incoming,) = hear(one, type="session.updated", session=changed(session, path, value))
    assert incoming.event is events.SessionRefused
    assert path.split(".")[-1] in incoming.args[0] or path.startswith("audio")
    assert not one.confirmed


def test_what_a_server_may_add_or_leave_out_does_not_refuse_the_session() -> None:
    one = wire()
    session = say(one, ConfigureSession())["session"]
    session["audio"]["input"]["turn_detection"]["idle_timeout_ms"] = None
    session["audio"]["output"]["format"] = {"type": "audio/pcm"}
    session["output_modalities"] = None
    del session["audio"]["input"]["turn_detection"]["create_response"]
    assert hear(one, type="session.updated", session={**session, "id": "sess_1", "tools": []}) == [Happened(events.SessionConfirmed)]
    assert one.confirmed


@pytest.mark.parametrize("policy", [VOICE, Policy()])
def test_a_server_that_answers_in_both_does_what_was_asked(policy: Policy) -> None:
    """R102: what was asked for is among what it does."""
    one = wire(policy)
    session = say(one, ConfigureSession())["session"]
    session["output_modalities"] = ["audio", "text"]
    assert hear(one, type="session.updated", session=session) == [Happened(events.SessionConfirmed)]


def test_neither_session_created_nor_an_update_nobody_asked_for_confirms() -> None:
    one = wire()
    session = say(wire(), ConfigureSession())["session"]
    assert hear(one, type="session.created", session=session) == [Happened(events.SessionOpened)]
    assert hear(one, type="session.updated", session=session) == []
    assert not one.confirmed


def test_the_session_asks_for_the_voice_that_speaks() -> None:
    spoken = say(wire(), ConfigureSession())["session"]
    assert spoken["output_modalities"] == ["audio"]
    assert spoken["audio"]["output"] == {"voice": "marin", "format": {"type": "audio/pcm", "rate": 24_000}}
    written = say(wire(Policy(voice="chatterbox")), ConfigureSession())["session"]
    assert written["output_modalities"] == ["text"]
    assert "output" not in written["audio"]
    silent = Wire(RealtimeSettings(transcription="none"), VOICE)
    assert say(silent, ConfigureSession())["session"]["audio"]["input"]["transcription"] is None


@pytest.mark.parametrize("interrupts", ["server", "client"])
@pytest.mark.parametrize("create_response", [True, False])
@pytest.mark.parametrize(("greeting", "protected"), [(True, True), (True, False), (False, True)])
def test_the_server_has_no_rights_while_the_greeting_is_protected(
    interrupts: str, create_response: bool, greeting: bool, protected: bool
) -> None:
    policy = Policy(
        voice="realtime", interrupts=interrupts, create_response=create_response, greeting=greeting, greeting_protected=protected
    )
    final = (interrupts == "server", create_response)
    held = greeting and protected
    one = confirmed(policy)
    vad = one.memory.setup.asked()["audio"]["input"]["turn_detection"]
    assert (vad["interrupt_response"], vad["create_response"]) == ((False, False) if held else final)
    update = one.send(ReleaseResponse())
    if not held or final == (False, False):
        assert update == []
        return
    released = update[0]["session"]["audio"]["input"]["turn_detection"]
    assert update[0]["session"] == {"type": "realtime", "audio": {"input": {"turn_detection": released}}}
    assert (released["interrupt_response"], released["create_response"]) == final
    assert one.send(ReleaseResponse()) == []


def test_the_answer_to_the_released_greeting_confirms_nothing_a_second_time() -> None:
    one = confirmed(SERVER_OWNS)
    before = one.memory.setup.asked()
    say(one, ReleaseResponse())
    assert hear(one, type="session.updated", session=one.memory.setup.asked()) == []
    assert one.quarantined == {}
    (incoming,) = hear(one, type="session.updated", session=before)
    assert incoming.event is ErrorReceived
    assert one.confirmed


# What we say.


@pytest.mark.parametrize(
    ("effect", "message"),
    [
        (CreateResponse(Cause.USER_TURN), {"type": "response.create", "event_id": "cf_1", "response": {"output_modalities": ["audio"]}}),
        (CreateResponse(Cause.RECOVERY), {"type": "response.create", "event_id": "cf_1", "response": {"output_modalities": ["audio"]}}),
        (
            CreateResponse(Cause.USER_TURN, "Be brief."),
            {
                "type": "response.create",
                "event_id": "cf_1",
                "response": {"output_modalities": ["audio"], "instructions": "Be kind.\n\nBe brief."},
            },
        ),
        (
            CreateResponse(Cause.GREETING),
            {
                "type": "response.create",
                "event_id": "cf_1",
                "response": {"output_modalities": ["audio"], "instructions": "Be kind.\n\nSay hello."},
            },
        ),
        (
            CreateResponse(Cause.GREETING, "Say hi."),
            {
                "type": "response.create",
                "event_id": "cf_1",
                "response": {"output_modalities": ["audio"], "instructions": "Be kind.\n\nSay hi."},
            },
        ),
        (CancelResponse("r1"), {"type": "response.cancel", "event_id": "cf_1", "response_id": "r1"}),
        (
            TruncateItem("i1", 1200),
            {"type": "conversation.item.truncate", "event_id": "cf_1", "item_id": "i1", "content_index": 0, "audio_end_ms": 1200},
        ),
        (
            TruncateItem("i1", 1200, 2),
            {"type": "conversation.item.truncate", "event_id": "cf_1", "item_id": "i1", "content_index": 2, "audio_end_ms": 1200},
        ),
        (
            AddEntry("42"),
            {
                "type": "conversation.item.create",
                "event_id": "cf_1",
                "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Keys: 42."}]},
            },
        ),
        (
            SendToolResult("c1", "found"),
            {
                "type": "conversation.item.create",
                "event_id": "cf_1",
                "item": {"type": "function_call_output", "call_id": "c1", "output": "found"},
            },
        ),
        (DeleteItem("i1"), {"type": "conversation.item.delete", "event_id": "cf_1", "item_id": "i1"}),
    ],
)
def test_each_effect_sends_what_the_table_says(effect: Effect, message: dict[str, Any]) -> None:
    assert wire().send(effect) == [message]


@pytest.mark.parametrize("cause", [Cause.IDLE_PROMPT, Cause.FAREWELL, Cause.LIMIT_WARNING])
def test_each_cause_of_ours_says_what_it_is_for(cause: Cause) -> None:
    """R12: with who the model is ahead of it, since instructions of a response replace those of the session."""
    (message,) = wire().send(CreateResponse(cause))
    assert message["response"]["instructions"] == f"Be kind.\n\n{getattr(SETTINGS, cause.value)}"


def test_only_the_first_words_of_a_response_are_told() -> None:
    """R16: one event a response, not one a word."""
    one = wire()
    assert hear(one, type="response.output_audio_transcript.delta", response_id="r1", delta="Hi") != []
    assert hear(one, type="response.output_audio_transcript.delta", response_id="r1", delta=" there") == [SpokenDelta("r1", "", " there")]


def test_an_outbound_call_gives_the_server_its_rights_at_once() -> None:
    """R36, R38: there is no greeting to guard, so nothing is released later."""
    one = wire(Policy(direction="outbound", interrupts="server", create_response=True))
    rights = one.memory.setup.asked()["audio"]["input"]["turn_detection"]
    assert rights["interrupt_response"] is True
    assert rights["create_response"] is True
    assert one.send(ReleaseResponse()) == []


def test_an_effect_of_another_port_sends_nothing() -> None:
    assert wire().send(CloseSession()) == []


@given(pcm=st.binary(max_size=2_000))
def test_the_callers_sound_is_json_with_base64(pcm: bytes) -> None:
    message = json.loads(append(pcm))
    assert message == {"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()}


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("wss://h/v1/realtime", "wss://h/v1/realtime?model=m%2F1"),
        ("wss://h/v1/realtime?a=b", "wss://h/v1/realtime?a=b&model=m%2F1"),
        ("wss://h/v1/realtime?model=mine", "wss://h/v1/realtime?model=mine"),
    ],
)
def test_the_model_is_put_into_a_url_that_names_none(url: str, whole: str) -> None:
    assert address(url, "m/1") == whole


# Goodbyes.


def test_the_phrases_are_a_setting() -> None:
    one = Wire(RealtimeSettings(goodbye_phrases=("Over and out",)), VOICE)
    assert hear(one, type="response.output_text.done", response_id="r", text="Bye.")[-1] == Happened(ResponseTranscribed, ("r", "Bye."))
    assert hear(one, type="response.output_text.done", response_id="r", text="Roger. Over and out.")[-2:] == [
        Happened(ResponseTranscribed, ("r", "Roger. Over and out.")),
        Happened(events.GoodbyeSaid, ("r",)),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("model", ""), ("model", 3), ("voice", " "), ("transcription", ""), ("vad_threshold", 1.5), ("vad_threshold", True)],
        *[("vad_prefix_ms", -1), ("vad_silence_ms", "500"), ("goodbye_phrases", ["bye"]), ("goodbye_phrases", ("!",)), ("instructions", 3)],
        *[("greeting", None), ("entry", "no place"), ("entry", "{digits} {digits}"), ("vad_silence_ms", 200.5)],
    ],
)
def test_a_bad_setting_is_refused_in_one_line_that_names_it(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field} is .*: it takes ") as caught:
        RealtimeSettings(**{field: value})
    assert "\n" not in str(caught.value)


def test_of_a_response_with_thousands_of_items_few_are_told_and_all_sound_is_heard() -> None:
    """R07, R108: what is beyond is heard as part of the last item that counts."""
    made = confirmed()
    came = hear(made, type="response.created", response=RESPONSE)
    for number in range(2_000):
        of = {"response_id": "r1", "item_id": f"i{number}", "output_index": number}
        item = {"id": f"i{number}", "type": "message", "role": "assistant"}
        came += hear(made, type="response.output_item.added", response_id="r1", output_index=number, item=item)
        came += hear(made, type="response.output_audio.delta", **of, content_index=0, delta=SOUND)
        came += hear(made, type="response.output_audio_transcript.done", **of, content_index=0, transcript="Yes?")
        came += hear(made, type="response.output_item.done", response_id="r1", output_index=number, item=item)
        came += hear(made, type="response.output_audio.delta", **{**of, "item_id": "i0"}, content_index=number, delta=SOUND)
        call = {"id": f"f{number}", "call_id": f"c{number}", "type": "function_call", "name": "hours", "arguments": "{}"}
        came += hear(made, type="response.output_item.done", response_id="r1", output_index=number, item=call)
    came += hear(made, type="response.done", response={**RESPONSE, "status": "completed"})
    heard = [one for one in came if isinstance(one, Audio)]
    assert len(heard) == 4_000
    assert len({(one.item_id, one.content_index) for one in heard}) <= 100
    assert len([one for one in came if isinstance(one, Happened)]) < 500
    assert came[-1] == Happened(events.ResponseCompleted, ("r1", ""))
