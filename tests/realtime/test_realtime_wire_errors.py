"""Claims about what a realtime server says of errors, and about what else it says in forms of its own."""

from typing import Any

import attrs
import pytest

from adapters.realtime.incoming import Audio, Happened, TextDelta
from adapters.realtime.wire import Wire
from adapters.seam.bounded import REMEMBERED
from fsm.call import events
from fsm.call.effects import (
    CancelResponse,
    Cause,
    CommitTurn,
    ConfigureSession,
    CreateResponse,
    DeleteItem,
    Effect,
    ReleaseResponse,
    RewriteItem,
    TruncateItem,
)
from fsm.call.events import ErrorReceived
from fsm.call.guards import FATAL
from fsm.call.policy import Policy
from tests.shared.wire import (
    CALL,
    LOCAL,
    RESPONSE,
    SERVER_OWNS,
    SETTINGS,
    SOUND,
    TEXT,
    VOICE,
    confirmed,
    hear,
    refusal,
    responding,
    say,
    wire,
)

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


@pytest.mark.parametrize("error", [{"type": "server_error", "message": "Sorry."}, {"code": "server_error", "message": "Sorry."}])
def test_a_server_that_fails_while_nothing_else_is_open_has_refused_the_response(error: dict[str, Any]) -> None:
    """R14: the caller waited six seconds for what would not come."""
    made = confirmed()
    told = Happened(ErrorReceived, ("server_error", "Sorry."))
    assert hear(made, type="error", error=error) == [told]
    say(made, CreateResponse(Cause.USER_TURN))
    assert hear(made, type="error", error=error) == [told, Happened(events.CreateRefused, ("server_error",))]
    assert hear(made, type="error", error=error) == [told], "once"


@pytest.mark.parametrize("code", ["inference_failed", "prediction_failed", "tts_error"])
def test_a_response_may_fail_by_an_error_alone(code: str) -> None:
    """R15: its end never comes; what came of it ahead of its turn is heard, as with any end."""
    made, error = confirmed(), {"type": "invalid_request_error", "code": code, "message": "backend error", "event_id": "i1"}
    told = Happened(ErrorReceived, (code, "backend error"))
    assert hear(made, type="error", error=error) == [told], "of no response"
    say(made, CreateResponse(Cause.USER_TURN))
    hear(made, type="response.created", response=RESPONSE)
    late = {"response_id": "r1", "item_id": "i2", "output_index": 1, "delta": SOUND}
    hear(made, type="response.output_item.added", response_id="r1", output_index=0, item={"id": "i1", "type": "message"})
    hear(made, type="response.output_audio.delta", **late)
    sound = Audio("r1", "i2", b"\x01\x02\x03\x04")
    assert hear(made, type="error", error=error) == [sound, told, Happened(events.ResponseFailed, ("r1", code))]
    assert hear(made, type="error", error=error) == [told], "once"


@pytest.mark.parametrize("open_too", ["a response", "a commit", "a truncate", "a delete", "a rewrite"])
def test_it_may_have_failed_in_something_else(open_too: str) -> None:
    """R03: what it may be about is told once that is answered."""
    made, error = confirmed(LOCAL), {"type": "server_error", "message": "Sorry."}
    opened: dict[str, Effect] = {
        "a commit": CommitTurn(),
        "a truncate": TruncateItem("i1", 100),
        "a delete": DeleteItem("i1"),
        "a rewrite": RewriteItem("i1", "We"),
    }
    if open_too == "a response":
        hear(made, type="response.created", response=RESPONSE)
    else:
        made.send(opened[open_too])
    made.send(CreateResponse(Cause.USER_TURN))
    assert [one.event for one in hear(made, type="error", error=error) if isinstance(one, Happened)] == [ErrorReceived]


@pytest.mark.parametrize("answer", [{"type": "conversation.item.truncated"}, {"type": "error", "error": {"message": "What?"}}])
def test_what_was_answered_is_not_open(answer: dict[str, Any]) -> None:
    """R03."""
    made = confirmed()
    made.send(TruncateItem("i1", 100))
    hear(made, **answer)
    say(made, CreateResponse(Cause.USER_TURN))
    assert events.CreateRefused in [
        one.event for one in hear(made, type="error", error={"type": "server_error"}) if isinstance(one, Happened)
    ]


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
    made = responding(policy)
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
    made = responding()
    assert hear(made, type="response.done", response=RESPONSE | {"status": status}) == [Happened(events.ResponseCompleted, ("r1", ""))]


def test_a_response_that_is_interrupted_is_cancelled_and_its_calls_are_not_run() -> None:
    """R90."""
    made = responding()
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
    made = responding()
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
