"""The realtime wire as tables: what each message says, what each effect sends, and that nothing makes it raise."""

import base64
import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings, strategies as st

from adapters.realtime import rendering
from adapters.realtime.incoming import Audio, Happened, Incoming, Reply, SpokenDelta, TextDelta
from adapters.realtime.place import address
from adapters.realtime.settings import RealtimeSettings
from adapters.realtime.table import TABLE
from adapters.realtime.websocket import MAX_MESSAGE_BYTES
from adapters.realtime.wire import Wire, append
from adapters.seam.bounded import REMEMBERED
from fsm.call import events
from fsm.call.effects import (
    AddEntry,
    CancelResponse,
    Cause,
    CloseSession,
    CommitTurn,
    ConfigureSession,
    CreateResponse,
    DeleteItem,
    Effect,
    ReleaseResponse,
    SendToolResult,
    TruncateItem,
)
from fsm.call.events import ErrorReceived, ResponseTranscribed
from fsm.call.guards import FATAL
from fsm.call.policy import Policy

SETTINGS = RealtimeSettings(greeting="Say hello.", instructions="Be kind.", entry="Keys: {digits}.")
VOICE = Policy(voice="realtime")
TEXT = Policy(voice="chatterbox")
LOCAL = Policy(voice="realtime", turns="local")
SERVER_OWNS = Policy(voice="realtime", interrupts="server", create_response=True)


def wire(policy: Policy = VOICE) -> Wire:
    return Wire(SETTINGS, policy, openai=True)


def hear(wire: Wire, **message: Any) -> list[Incoming]:
    return wire.receive(json.dumps(message))


def say(wire: Wire, effect: Effect) -> dict[str, Any]:
    (message,) = wire.send(effect)
    return message


def confirmed(policy: Policy = VOICE) -> Wire:
    made = wire(policy)
    session = say(made, ConfigureSession())["session"]
    assert hear(made, type="session.updated", session=session) == [Happened(events.SessionConfirmed)]
    return made


def refusal(wire: Wire, effect: Effect, code: str, message: str = "because") -> list[Incoming]:
    """The answer to an effect's message with an error that names it."""
    event_id = say(wire, effect)["event_id"]
    return hear(wire, type="error", error={"type": "invalid_request_error", "code": code, "message": message, "event_id": event_id})


# What the server says.

RESPONSE = {"id": "r1", "conversation_id": "conv_1"}
SOUND = base64.b64encode(b"\x01\x02\x03\x04").decode()


HEARD = Audio("r1", "i2", b"\x01\x02\x03\x04")
ADDED = Happened(events.ItemAdded, ("r1", "i2"))


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
            [Happened(events.ResponseFailed, ("r1", "unknown_status"))],
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
        one = wire()
        hear(one, type="response.created", response=RESPONSE)
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
    one = wire()
    hear(one, type="response.created", response=RESPONSE)
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
        *(
            '{"type": "response.created"}',
            '{"type": "response.created", "response": []}',
            '{"type": "response.created", "response": {"id": ""}}',
        ),
        *('{"type": "response.done", "response": {"id": 4}}', '{"type": "response.done", "response": {"id": "r", "status": {}}}'),
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
    assert isinstance(incoming, Happened)
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
    assert isinstance(told, Happened)
    assert (told.event, told.args[0]) == (ErrorReceived, "malformed_event")
    assert hear(one, type="input_audio_buffer.speech_started", item_id="i3") == [Happened(events.SpeechStarted, ("i3",))]


def test_sound_is_heard_in_whatever_base64_it_is_written() -> None:
    """R102: with line breaks, in the alphabet of URLs, without its padding; what is none is an error (R84)."""
    sound = b"\xff\xfe\xfb\xf0" * 50
    wordings = (base64.encodebytes(sound), base64.urlsafe_b64encode(sound), base64.b64encode(sound).rstrip(b"="))
    for written in wordings:
        one = confirmed()
        hear(one, type="response.created", response=RESPONSE)
        *_, heard = hear(one, type="response.output_audio.delta", response_id="r1", item_id="i1", delta=written.decode())
        assert isinstance(heard, Audio)
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
    """OpenAI's GA types know 46 server events."""
    assert len(TABLE) == 46


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


# Errors.


def test_an_error_is_the_refusal_of_the_command_that_it_names() -> None:
    assert refusal(wire(), CreateResponse(Cause.USER_TURN), "conversation_already_has_active_response") == [
        Happened(events.CreateRefused, ("conversation_already_has_active_response",))
    ]
    assert refusal(wire(), CancelResponse("r7"), "response_cancel_not_active") == [
        Happened(events.CancelRefused, ("r7", "response_cancel_not_active"))
    ]
    assert refusal(wire(), ConfigureSession(), "invalid_value", "no such voice") == [
        Happened(events.SessionRefused, ("invalid_value: no such voice",))
    ]
    for effect in (TruncateItem("i1", 200), DeleteItem("i1")):
        assert refusal(wire(), effect, "item_not_found") == [Happened(ErrorReceived, ("item_not_found", "because"))]
    assert refusal(confirmed(SERVER_OWNS), ReleaseResponse(), "odd") == [Happened(ErrorReceived, ("odd", "because"))]


def test_the_servers_own_words_are_told_where_an_answer_is_refused_or_fails() -> None:
    """R108: the first few times, without a key; of a race that is no fault nothing."""
    made = Wire(SETTINGS, VOICE, key="sk-secret-of-ours")
    for told in (True, True, True, False):
        error = {
            "code": "bad",
            "message": "Unknown: 'x'. sk-secret-of-ours",
            "event_id": say(made, CreateResponse(Cause.USER_TURN))["event_id"],
        }
        words, refused = hear(made, type="error", error=error)[:-1], Happened(events.CreateRefused, ("bad",))
        assert words == [Happened(ErrorReceived, ("bad", "Unknown: 'x'. …"))] * told
        assert refused not in words
    hear(made, type="response.created", response=RESPONSE)
    details = {"error": {"code": "server_error", "message": "The server had an error."}}
    failed = hear(made, type="response.done", response=RESPONSE | {"status": "failed", "status_details": details})
    assert failed == [
        Happened(ErrorReceived, ("server_error", "The server had an error.")),
        Happened(events.ResponseFailed, ("r1", "server_error")),
    ]
    for odd in (7, ["x"], "x" * 70_000):
        hear(made, type="response.created", response=RESPONSE)
        details = {"error": {"code": "server_error", "message": odd}}
        assert hear(made, type="response.done", response=RESPONSE | {"status": "failed", "status_details": details})[-1] == failed[-1]


def test_the_servers_own_words_are_told_of_any_command_that_it_refuses_unless_that_is_a_usual_race() -> None:
    """R108."""
    for effect, refused, usual in (
        (CancelResponse("r1"), Happened(events.CancelRefused, ("r1", "bad")), "response_cancel_not_active"),
        (CommitTurn(), Happened(events.CommitRefused, ("bad",)), "input_audio_buffer_commit_empty"),
        (CreateResponse(Cause.USER_TURN), Happened(events.CreateRefused, ("bad",)), "conversation_already_has_active_response"),
    ):
        assert refusal(wire(), effect, "bad", "The model is away.") == [Happened(ErrorReceived, ("bad", "The model is away.")), refused]
        assert len(refusal(wire(), effect, usual, "It is over already.")) == 1


def test_an_error_that_names_no_command_is_nobodys_refusal() -> None:
    one = wire()
    say(one, CancelResponse("r1"))
    for event_id in (None, "cf_99", ""):
        error = {"type": "invalid_request_error", "code": "response_cancel_not_active", "message": "", "event_id": event_id}
        assert hear(one, type="error", error=error) == [Happened(ErrorReceived, ("response_cancel_not_active", ""))]


def test_a_command_is_refused_at_most_once() -> None:
    one = wire()
    error = {"code": "x", "message": "", "event_id": say(one, CreateResponse(Cause.USER_TURN))["event_id"]}
    assert hear(one, type="error", error=error) == [Happened(events.CreateRefused, ("x",))]
    assert hear(one, type="error", error=error) == [Happened(ErrorReceived, ("x", ""))]


def test_what_is_remembered_is_bounded_and_the_latest_is_kept() -> None:
    one = wire()
    ids = [say(one, CancelResponse(f"r{n}"))["event_id"] for n in range(REMEMBERED + 1)]
    assert len(set(ids)) == REMEMBERED + 1
    assert hear(one, type="error", error={"code": "x", "event_id": ids[0]}) == [Happened(ErrorReceived, ("x", ""))]
    assert hear(one, type="error", error={"code": "x", "event_id": ids[1]}) == [Happened(events.CancelRefused, ("r1", "x"))]
    for n in range(1_000):
        hear(one, type="response.created", response={"id": f"f{n}", "conversation_id": None})
        hear(one, type="response.output_item.added", response_id=f"r{n}", item={"id": f"i{n}", "type": "message"})
    assert len(one.memory.commands) <= REMEMBERED
    assert len(one.memory.foreign) == len(one.memory.items) == REMEMBERED


@pytest.mark.parametrize("code", sorted(FATAL))
def test_a_fatal_error_ends_the_call_whatever_it_names(code: str) -> None:
    for one in (wire(), confirmed()):
        assert refusal(one, CreateResponse(Cause.USER_TURN), code, "pay") == [Happened(events.ReceiverFailed, (f"{code}: pay",))]
        assert hear(one, type="error", error={"type": code, "message": "pay"}) == [Happened(events.ReceiverFailed, (f"{code}: pay",))]


def test_an_expired_session_is_lost_and_not_a_crash() -> None:
    error = {"type": "invalid_request_error", "code": "session_expired", "message": "60 minutes are over."}
    assert hear(wire(), type="error", error=error) == [Happened(events.SessionLost, ("session_expired: 60 minutes are over.",))]


def test_a_key_in_the_servers_words_is_not_passed_on() -> None:
    error = {"type": "invalid_request_error", "code": "invalid_api_key", "message": "Incorrect API key provided: sk-proj-abc*def. See"}
    assert hear(wire(), type="error", error=error) == [
        Happened(events.ReceiverFailed, ("invalid_api_key: Incorrect API key provided: sk-… See",))
    ]


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
    assert isinstance(incoming, Happened)
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
    assert isinstance(incoming, Happened)
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
        RealtimeSettings(**{field: value})  # type: ignore[arg-type]
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


# A tool call in any message's form (R89).

CALL = {"type": "function_call", "id": "f1", "call_id": "c1", "name": "hours", "arguments": '{"day": "Monday"}'}
DONE = {"type": "response.done", "response": {**RESPONSE, "status": "completed"}}


def item(**fields: Any) -> dict[str, Any]:
    """The end of a call's item."""
    return {"type": "response.output_item.done", "response_id": "r1", "item": {**CALL, **fields}}


@pytest.mark.parametrize("kind", ["created", "added", "done"])
@pytest.mark.parametrize("status", [{}, {"status": "completed"}])
def test_a_call_that_only_the_conversation_tells_is_told(kind: str, status: dict[str, str]) -> None:
    made = confirmed()
    came = hear(made, type="response.created", response=RESPONSE)
    came += hear(made, type=f"conversation.item.{kind}", item={**CALL, **status})
    assert [one.args for one in came + hear(made, **DONE) if one.event is events.ToolCalled] == [("c1", "hours", CALL["arguments"], "r1")]


def test_a_call_of_the_conversation_is_nobodys_where_no_response_runs() -> None:
    assert hear(confirmed(), type="conversation.item.created", item=CALL) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        *[({"day": "Monday"}, {"day": "Monday"}), (json.dumps('{"day": 1}'), {"day": 1}), (None, {}), ("null", {}), ("", {}), ({}, {})],
        *[('"{\\"a\\": 1}"', {"a": 1}), (" {} ", {})],
    ],
)
@pytest.mark.parametrize("form", ["item", "arguments", "end"])
def test_arguments_are_an_object_however_they_are_written(arguments: Any, said: Any, form: str) -> None:
    """R89: as an object, as the text of a text, as null."""
    made = confirmed()
    of = {"response_id": "r1", "item_id": "f1", "call_id": "c1", "name": "hours", "arguments": arguments}
    end = {"type": "response.done", "response": {**DONE["response"], "output": [{**CALL, "arguments": arguments}]}}  # type: ignore[dict-item]
    told = {"item": item(arguments=arguments), "arguments": {"type": "response.function_call_arguments.done", **of}, "end": end}
    came = [one for message in ({"type": "response.created", "response": RESPONSE}, told[form], DONE) for one in hear(made, **message)]
    assert [json.loads(one.args[2]) for one in came if one.event is events.ToolCalled] == [said]
    assert not [one for one in came if one.event is ErrorReceived]
    assert came[-1].event is events.ResponseCompleted


def test_a_call_may_be_written_as_chat_completions_writes_it() -> None:
    """R89."""
    made = confirmed()
    hear(made, type="response.created", response=RESPONSE)
    nested = {"type": "function_call", "id": "f1", "call_id": "c1", "function": {"name": "hours", "arguments": '{"a": 1}'}}
    came = hear(made, type="response.output_item.done", response_id="r1", item=nested)
    assert came[0] == Happened(events.ToolCalled, ("c1", "hours", '{"a": 1}', "r1"))


@pytest.mark.parametrize("content", ["Hello.", ["Hello."], [{"type": "text", "text": "Hello."}], {"type": "text", "text": "Hello."}])
def test_the_words_that_a_responses_end_is_the_first_to_tell_are_words_in_any_form(content: Any) -> None:
    """R91."""
    made = confirmed(Policy())
    hear(made, type="response.created", response=RESPONSE)
    ended = {**RESPONSE, "output": [{"id": "i1", "type": "message", "role": "assistant", "content": content}]}
    assert TextDelta("r1", "i1", "Hello.") in hear(made, type="response.done", response=ended)


def test_arguments_of_two_calls_that_are_known_by_their_places_alone() -> None:
    """R89: neither item nor call is named with them."""
    made = confirmed()
    messages = [{"type": "response.created", "response": RESPONSE}]
    for at in range(2):
        begun = {**CALL, "id": f"f{at}", "call_id": f"c{at}", "arguments": ""}
        messages.append({"type": "response.output_item.added", "response_id": "r1", "output_index": at, "item": begun})
    for half in ('{"n": ', "%d}"):
        for at in range(2):
            delta = half.replace("%d", str(at))
            messages.append({"type": "response.function_call_arguments.delta", "response_id": "r1", "output_index": at, "delta": delta})
    messages += [{"type": "response.function_call_arguments.done", "response_id": "r1", "output_index": at} for at in range(2)]
    came = [one for message in (*messages, DONE) for one in hear(made, **message)]
    assert [(one.args[0], one.args[2]) for one in came if one.event is events.ToolCalled] == [("c0", '{"n": 0}'), ("c1", '{"n": 1}')]


def test_an_item_that_is_malformed_loses_its_response_no_end() -> None:
    """R84: what can be read of it counts."""
    made = confirmed()
    hear(made, type="response.created", response=RESPONSE)
    output = [{**CALL, "name": 7}, 3, {"type": ["message"]}, {**CALL, "id": "f2", "call_id": "c2"}]
    came = hear(made, type="response.done", response={**RESPONSE, "status": "completed", "output": output})
    assert [one.event for one in came] == [ErrorReceived, ErrorReceived, events.ToolCalled, events.ResponseCompleted]


@pytest.mark.parametrize(
    "error",
    [
        *[{"error": "no model is loaded"}, {"message": "no model is loaded"}, {"error": {"message": "no model is loaded"}}],
        *[
            {"error": {"code": 429, "message": "no model is loaded"}},
            {"error": {"code": "x", "message": "no model is loaded", "type": None}},
        ],
        *[{"error": None, "message": "no model is loaded"}, {"detail": "no model is loaded"}, {"error": {"detail": "no model is loaded"}}],
    ],
)
def test_an_errors_words_are_told_wherever_they_stand(error: dict[str, Any]) -> None:
    """R108."""
    [told] = hear(confirmed(), type="error", **error)
    assert (told.event, told.args[1]) == (ErrorReceived, "no model is loaded")


# Errors that name no command, where they can be about one thing only.


@pytest.mark.parametrize(
    "error",
    [
        *[{"code": "input_audio_buffer_commit_empty"}, {"message": "Error committing input audio buffer: it is empty."}],
        *[{"message": "Cannot commit an empty audio buffer"}, {"message": "buffer too small. Expected at least 100ms of audio"}],
        *[{"code": "invalid_value", "param": "input_audio_buffer.commit"}, {"message": "Input audio buffer is empty"}],
    ],
)
def test_a_refused_commit_is_known_by_its_words(error: dict[str, Any]) -> None:
    """R95: once, and only while one is under way."""
    made = confirmed(LOCAL)
    assert [one.event for one in hear(made, type="error", error=error)] == [ErrorReceived]
    say(made, CommitTurn())
    assert [one.event for one in hear(made, type="error", error=error)] == [events.CommitRefused]
    assert [one.event for one in hear(made, type="error", error=error)] == [ErrorReceived]


def test_a_command_may_be_named_beside_the_error() -> None:
    """R03: where a server puts the id of the client's event in its own."""
    made = confirmed(LOCAL)
    event_id = say(made, CommitTurn())["event_id"]
    assert hear(made, type="error", event_id=event_id, error={"message": "no"})[-1] == Happened(events.CommitRefused, ("unknown_error",))


@pytest.mark.parametrize("error", [{"code": "rate_limit_exceeded", "retry_after": 2.5}, {"code": 429, "message": "Try again in 2.5 s"}])
def test_a_rate_limit_that_names_nothing_refuses_the_response_that_is_asked_for(error: dict[str, Any]) -> None:
    """R92: the wait counts; while no response is asked for, it is an error like others (R03)."""
    made = confirmed()
    assert [one.event for one in hear(made, type="error", error=error)] == [ErrorReceived]
    say(made, CreateResponse(Cause.USER_TURN))
    assert hear(made, type="error", error=error) == [Happened(events.CreateRefused, (str(error["code"]), 2_500.0))]
    assert [one.event for one in hear(made, type="error", error=error)] == [ErrorReceived]
    say(made, CreateResponse(Cause.USER_TURN))
    hear(made, type="response.created", response=RESPONSE)
    assert [one.event for one in hear(made, type="error", error=error)] == [ErrorReceived]


@pytest.mark.parametrize(
    ("policy", "told", "code"),
    [
        (VOICE, [{"type": "response.output_text.delta", "delta": "Hello."}], "words_without_sound"),
        (VOICE, [{"type": "response.output_audio_transcript.done", "transcript": "Hello."}], "words_without_sound"),
        (VOICE, [{"type": "response.output_text.delta", "delta": " "}], ""),
        (VOICE, [{"type": "response.output_text.delta", "delta": "Hello."}, {"type": "response.output_audio.delta", "delta": "AAAA"}], ""),
        (VOICE, [], ""),
        (TEXT, [{"type": "response.output_audio.delta", "delta": "AAAA"}], "sound_without_words"),
        (TEXT, [{"type": "response.output_audio.delta", "delta": "AAAA"}, {"type": "response.output_text.delta", "delta": "Hello."}], ""),
        (TEXT, [{"type": "response.output_text.delta", "delta": "Hello."}], ""),
        (TEXT, [{"type": "response.output_audio.delta", "delta": ""}], ""),
    ],
    ids=repr,
)
@pytest.mark.parametrize("named", [{"response_id": "r1", "item_id": "i1"}, {}])
def test_a_response_of_which_nothing_can_be_heard_says_why(policy: Policy, told: list[dict[str, Any]], code: str, named: Any) -> None:
    """R91, R108: a call that ends as nothing is heard tells what is lacking."""
    made = confirmed(policy)
    hear(made, type="response.created", response=RESPONSE)
    for message in told:
        hear(made, **message, **named)
    *_, before, ended = [None, *hear(made, type="response.done", response=RESPONSE | {"status": "completed"})]
    assert ended == Happened(events.ResponseCompleted, ("r1", ""))
    assert (isinstance(before, Happened) and before.event is ErrorReceived and before.args[0] == code) is bool(code)


def test_a_turn_whose_words_nobody_asks_for_does_not_wait_for_them() -> None:
    """R24: a chained server that is asked for no transcription may tell none."""
    for transcription, said in ((None, []), ("none", [Happened(events.TurnCommitted, ("u1",))])):
        made = Wire(attrs.evolve(SETTINGS, transcript_first=True, transcription=transcription), VOICE)
        assert hear(made, type="input_audio_buffer.committed", item_id="u1") == said


@pytest.mark.parametrize("status", ["completed", "done", "finished", "succeeded", "in_progress", None])
def test_a_response_that_is_whole_is_not_a_failure_for_what_its_status_is_called(status: str | None) -> None:
    """R97: it was heard, and is not asked for again."""
    made = confirmed()
    hear(made, type="response.created", response=RESPONSE)
    assert hear(made, type="response.done", response=RESPONSE | {"status": status}) == [Happened(events.ResponseCompleted, ("r1", ""))]


def test_a_response_that_is_interrupted_is_cancelled_and_its_calls_are_not_run() -> None:
    """R90."""
    made = confirmed()
    hear(made, type="response.created", response=RESPONSE)
    ended = hear(made, type="response.done", response=RESPONSE | {"status": "interrupted", "output": [CALL]})
    assert ended == [Happened(events.ResponseCancelled, ("r1", ""))]


AUDIO = {"type": "response.output_audio.delta", "response_id": "r1", "item_id": "i1", "delta": "AAAA"}


def test_a_response_that_is_awaited_is_created_by_the_first_that_is_told_of_it() -> None:
    """R102: where response.created is left out, or comes later; where nothing is awaited it is nobody's."""
    made = confirmed()
    assert Happened(events.ResponseCreated, ("r1",)) not in hear(made, **AUDIO)
    made = confirmed()
    say(made, CreateResponse(Cause.USER_TURN))
    assert [type(one) if isinstance(one, Audio) else one.event for one in hear(made, **AUDIO) if isinstance(one, Audio | Happened)] == [
        events.ResponseCreated,
        events.ItemAdded,
        Audio,
    ]
    assert hear(made, type="response.created", response=RESPONSE) == []
    assert Happened(events.ResponseCreated, ("r1",)) not in hear(made, **AUDIO)
    assert hear(made, type="response.done", response=RESPONSE | {"status": "completed"})[-1].event is events.ResponseCompleted
    assert hear(made, type="response.created", response=RESPONSE | {"id": "r2"}) == [Happened(events.ResponseCreated, ("r2",))]


def test_a_response_that_only_its_end_tells_is_created_by_that_and_one_beside_the_call_never_is() -> None:
    """R90, R102."""
    said = {"id": "i1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello."}]}
    made = confirmed(TEXT)
    say(made, CreateResponse(Cause.USER_TURN))
    assert hear(made, type="response.done", response={"id": "rx", "conversation_id": "none", "output": [said]}) == []
    assert hear(made, type="response.output_text.delta", response_id="rx", item_id="ix", delta="Psst.") == []
    told = hear(made, type="response.done", response={**RESPONSE, "status": "completed", "output": [said]})
    assert told[0] == Happened(events.ResponseCreated, ("r1",))
    assert TextDelta("r1", "i1", "Hello.") in told
    assert told[-1] == Happened(events.ResponseCompleted, ("r1", ""))


@pytest.mark.parametrize(("lacks", "words"), [(("id", "call_id"), "without its id"), (("name",), "without a name")])
def test_a_tool_call_that_cannot_be_run_is_told(lacks: tuple[str, ...], words: str) -> None:
    """R84, R108."""
    made = confirmed()
    hear(made, type="response.created", response=RESPONSE)
    call = {name: value for name, value in CALL.items() if name not in lacks}
    told, ended = hear(made, type="response.done", response=RESPONSE | {"status": "completed", "output": [call]})
    assert told == Happened(ErrorReceived, ("malformed_event", f"a tool call {words} is not run"))
    assert ended == Happened(events.ResponseCompleted, ("r1", ""))


def test_an_odd_error_is_told_in_its_own_words_beside_the_wait_that_it_asks_for() -> None:
    """R92, R108: only a rate limit's code says all."""
    made = confirmed()
    event_id = say(made, CreateResponse(Cause.USER_TURN))["event_id"]
    error = {"message": "The model is away, try again in 1s", "event_id": event_id}
    assert hear(made, type="error", error=error) == [
        Happened(ErrorReceived, ("unknown_error", "The model is away, try again in 1s")),
        Happened(events.CreateRefused, ("unknown_error", 1_000.0)),
    ]
