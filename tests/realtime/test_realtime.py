"""The realtime LLM against real servers on loopback, on asyncio and trio."""

import base64
import json
import math
import socket
import threading
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from adapters.realtime.outbox import KEPT_COMMANDS, KEPT_FRAMES
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.realtime.websocket import WebSocketError
from adapters.standin.realtime.connection import Pace
from fsm.call import events as ev
from fsm.call.effects import CancelResponse, Cause, CloseSession, CommitTurn, ConfigureSession, CreateResponse, Effect, TruncateItem
from fsm.call.policy import Policy
from tests.shared.realtime import (
    KEY,
    SETTINGS,
    VOICE,
    WRITING,
    Core,
    Loudspeaker,
    Server,
    frame,
    llm_at,
    mute_server,
    played_out,
    running,
    scripted,
    told_by,
)
from tests.shared.shell import PATIENCE_S, each_backend
from tests.shared.standin_client import serving

pytestmark = each_backend


# The session.


async def test_the_session_is_opened_with_key_and_model_and_confirmed() -> None:
    requests: list[Any] = []

    def script(server: Server) -> None:
        requests.append(server.ws.request)
        server.set_up()
        server.stay()

    with scripted(script) as (url, _):
        async with running(llm_at(f"{url}/v1/realtime")) as core:
            await core.until(ev.SessionConfirmed)
    assert core.events == [ev.SessionOpened(0.0), ev.SessionConfirmed(0.0)]
    assert requests[0].path == "/v1/realtime?model=gpt-realtime-2.1"
    assert requests[0].headers["Authorization"] == f"Bearer {KEY}"


async def test_the_last_two_seconds_heard_before_the_session_are_sent_after_it_and_after_the_commands() -> None:
    """R26: what the caller said early is not lost."""

    def script(server: Server) -> None:
        server.set_up()
        for _ in range(KEPT_FRAMES):
            server.expect("input_audio_buffer.append")
        server.say("input_audio_buffer.committed", item_id="i1")
        server.expect("input_audio_buffer.append")

    with scripted(script) as (url, over):
        llm = llm_at(url)
        for number in range(KEPT_FRAMES + 30):
            llm.hear(frame(number))
        async with running(llm, {ev.SessionConfirmed: CreateResponse(Cause.GREETING)}) as core:
            await core.until(ev.TurnCommitted)
            llm.hear(frame(999))
            await core.until(ev.SessionLost)
        got = over.get(timeout=PATIENCE_S).got
    assert [message["type"] for message in got[:3]] == ["session.update", "response.create", "input_audio_buffer.append"]
    assert [base64.b64decode(message["audio"]) for message in got[2:]] == [frame(n) for n in [*range(30, KEPT_FRAMES + 30), 999]]
    assert llm.counts == {"heard": KEPT_FRAMES + 31, "dropped: before the session": 30, "sent": KEPT_FRAMES + 1}


async def test_no_sound_leaves_before_the_session_is_confirmed() -> None:
    def script(server: Server) -> None:
        server.say("session.created", session={})
        session = server.expect("session.update")["session"]
        server.say("input_audio_buffer.speech_started", item_id="")
        server.expect("response.cancel")
        server.say("session.updated", session=session)
        server.expect("input_audio_buffer.append")

    with scripted(script) as (url, over):
        llm = llm_at(url)
        llm.hear(frame(1))
        await played_out(llm, {ev.SpeechStarted: CancelResponse("r1")})
        got = over.get(timeout=PATIENCE_S).got
    assert [message["type"] for message in got] == ["session.update", "response.cancel", "input_audio_buffer.append"]


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going away"), (1011, "internal error")])
async def test_the_end_of_the_socket_is_posted_once_with_its_code(code: int, reason: str) -> None:
    """R60, R85: 1000, 1001, 1006 and 1011 alike."""

    def script(server: Server) -> None:
        server.set_up()
        server.ws.close(code, reason)

    core = await told_by(script)
    assert core.of(ev.SessionLost) == [ev.SessionLost(0.0, f"closed with {code} {reason}".strip())]


async def test_a_key_that_the_server_quotes_goes_nowhere() -> None:
    """Into no event, and so into no trace and no log: as it closes, or as it complains."""

    def script(server: Server) -> None:
        server.set_up()
        server.say("error", error={"type": "odd", "code": "odd", "message": "opensesame42 and sk-of-another are bad"})
        server.ws.close(1008, "opensesame42 and sk-of-another are bad")

    core = await told_by(script, key="opensesame42")
    words = "… and sk-… are bad"
    assert core.of(ev.ErrorReceived) == [ev.ErrorReceived(0.0, "odd", words)]
    assert core.of(ev.SessionLost) == [ev.SessionLost(0.0, f"closed with 1008 {words}")]


async def test_what_the_model_calls_and_says_passes_as_it_is() -> None:
    """R96: a locale that looks like a key, a word that is our key; only what is shown is masked."""
    arguments = '{"locale": "sk-SK", "choice": "none"}'

    def script(server: Server) -> None:
        server.set_up()
        server.say("response.created", response={"id": "r1", "status": "in_progress"})
        call = {"id": "f1", "type": "function_call", "status": "completed", "call_id": "c1", "name": "look_up", "arguments": arguments}
        server.say("response.output_item.done", response_id="r1", output_index=0, item=call)
        server.ws.close(1000)

    core = await told_by(script, key="none")
    assert core.of(ev.ToolCalled) == [ev.ToolCalled(0.0, "c1", "look_up", arguments, "r1")]


async def test_a_socket_that_breaks_off_is_posted_as_1006() -> None:
    core = await told_by(lambda server: server.ws.socket.shutdown(socket.SHUT_RDWR))
    assert core.events == [ev.SessionLost(0.0, "closed with 1006 the connection ended without a close frame")]


async def test_a_half_open_socket_is_noticed_without_any_traffic() -> None:
    """R85: with no caller audio flowing."""
    with mute_server(agrees=True) as url:
        core = await played_out(llm_at(url, ping_interval_s=0.05, ping_timeout_s=0.05))
    assert core.events == [ev.SessionLost(0.0, "closed with 1006 half-open: no answer to a ping within 0.05 s")]


async def test_close_session_closes_politely_and_posts_nothing() -> None:
    def script(server: Server) -> None:
        server.set_up()
        server.stay()

    with scripted(script) as (url, over):
        core = await played_out(llm_at(url), {ev.SessionConfirmed: CloseSession()})
        assert over.get(timeout=PATIENCE_S).ws.close_code == 1000
    assert core.events == [ev.SessionOpened(0.0), ev.SessionConfirmed(0.0)]


async def test_close_session_ends_a_connection_that_is_not_made_yet() -> None:
    with mute_server(agrees=False) as url:
        llm = llm_at(url)
        core = Core(llm)
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(llm.run, core.post)
                await anyio.wait_all_tasks_blocked()
                llm.do(CloseSession())
    assert core.events == []


async def test_close_session_before_the_run_opens_nothing() -> None:
    llm = llm_at("ws://127.0.0.1:1")
    llm.do(CloseSession())
    assert (await played_out(llm)).events == []


async def test_a_session_that_is_cancelled_closes_politely() -> None:
    def script(server: Server) -> None:
        server.set_up()
        server.stay()

    with scripted(script) as (url, over):
        async with running(llm_at(url)) as core:
            await core.until(ev.SessionConfirmed)
        assert over.get(timeout=PATIENCE_S).ws.close_code == 1000
    assert core.of(ev.Ending, ev.SessionLost) == []


@pytest.mark.parametrize(
    ("status", "line"), [(401, "answered 401: the key is missing or not accepted"), (403, "answered 403: the key may not be used here")]
)
async def test_a_refused_key_is_one_line_from_check_and_from_run(status: int, line: str) -> None:
    with scripted(Server.stay, process_request=lambda ws, _: ws.respond(status, KEY)) as (url, _):
        llm = llm_at(url)
        with pytest.raises(WebSocketError, match=line) as caught:
            await check(llm)
        core = await played_out(llm)
    assert core.events == [ev.ReceiverFailed(0.0, str(caught.value))]
    assert KEY not in f"{core.events}{llm!r}"


@pytest.mark.parametrize("url", ["http://127.0.0.1", "", "ws://[::1", f"{KEY}"])
async def test_a_bad_url_is_one_line_too(url: str) -> None:
    llm = llm_at(url)
    with pytest.raises(WebSocketError, match="no WebSocket URL"):
        await check(llm)
    (event,) = (await played_out(llm)).events
    assert isinstance(event, ev.SessionLost)
    assert KEY not in f"{event}{llm!r}"


async def check(llm: RealtimeLLM) -> None:
    async with llm.checked():
        pass


async def test_the_connection_that_is_checked_is_the_calls() -> None:
    """R104: a server may have one place."""

    def script(server: Server) -> None:
        server.set_up()
        server.stay()

    with scripted(script) as (url, over):
        llm = llm_at(url)
        async with llm.checked():
            core = await played_out(llm, {ev.SessionConfirmed: CloseSession()})
        assert over.get(timeout=PATIENCE_S).ws.close_code == 1000
        assert over.empty()
    assert core.events == [ev.SessionOpened(0.0), ev.SessionConfirmed(0.0)]


async def test_a_checked_connection_that_no_call_is_held_on_is_closed() -> None:
    with scripted(Server.stay) as (url, over):
        await check(llm_at(url))
        assert over.get(timeout=PATIENCE_S).ws.close_code == 1000


async def test_a_checked_connection_that_is_lost_before_the_call_is_a_lost_session() -> None:
    with scripted(lambda server: server.ws.close(1011, "full")) as (url, _):
        llm = llm_at(url)
        async with llm.checked():
            core = await played_out(llm)
    assert core.events == [ev.SessionLost(0.0, "closed with 1011 full")]


async def test_a_slow_server_is_sent_longer_pieces_of_sound_and_all_of_it_before_a_commit() -> None:
    def script(server: Server) -> None:
        server.set_up()
        server.expect("input_audio_buffer.commit")
        server.say("input_audio_buffer.committed", item_id="u1")

    settings = RealtimeSettings(append_ms=100)
    with scripted(script) as (url, over):
        llm = llm_at(url, Policy(voice="realtime", turns="local"), settings=settings)
        async with running(llm) as core:
            await core.until(ev.SessionConfirmed)
            for number in range(12):
                llm.hear(frame(number))
            llm.do(CommitTurn())
            await core.until(ev.TurnCommitted)
        got = over.get(timeout=PATIENCE_S).got
    sizes = [len(base64.b64decode(one["audio"])) // len(frame(0)) for one in got if one["type"] == "input_audio_buffer.append"]
    assert sizes == [5, 5, 2]
    assert llm.counts["heard"] == llm.counts["sent"] == 12


async def test_a_run_serves_one_call() -> None:
    llm = llm_at("ws://127.0.0.1:1")
    await played_out(llm)
    with pytest.raises(RuntimeError, match="one call"):
        await llm.run(Core(llm).post)


# What the server says.


async def test_sound_goes_to_the_speaker_with_its_response_and_item() -> None:
    def script(server: Server) -> None:
        server.set_up()
        for pcm in (frame(1), frame(2)):
            server.say("response.output_audio.delta", response_id="r1", item_id="i1", delta=base64.b64encode(pcm).decode())

    speaker = Loudspeaker()
    core = await told_by(script, speaker=speaker)
    assert speaker.played == [("r1", "i1", frame(1)), ("r1", "i1", frame(2))]
    assert core.events[2:-1] == [ev.ItemAdded(0.0, "r1", "i1")]


async def test_a_written_answer_is_posted_sentence_by_sentence_and_its_rest_before_its_end() -> None:
    def script(server: Server) -> None:
        server.set_up()
        server.respond("r1", "Hello th", "ere to you all. How are y", "ou on this day? Fi", "ne")

    core = await told_by(script, WRITING)
    assert core.events[2:-1] == [
        ev.ResponseCreated(0.0, "r1"),
        ev.ItemAdded(0.0, "r1", "i1"),
        ev.SentenceCut(0.0, "r1", 1, "Hello there to you all.", "i1"),
        ev.SentenceCut(0.0, "r1", 2, "How are you on this day?", "i1"),
        ev.SentenceCut(0.0, "r1", 3, "Fine", "i1"),
        ev.ResponseCompleted(0.0, "r1"),
    ]


@pytest.mark.parametrize("status", ["cancelled", "failed", "incomplete"])
async def test_the_rest_of_a_response_that_stopped_short_is_no_sentence(status: str) -> None:
    def script(server: Server) -> None:
        server.set_up()
        server.respond("r1", "One is enough for us. Two thr", status=status)

    core = await told_by(script, WRITING)
    assert [event.text for event in core.events if isinstance(event, ev.SentenceCut)] == ["One is enough for us."]


async def test_numbers_go_on_over_items_and_begin_anew_with_a_response() -> None:
    def script(server: Server) -> None:
        server.set_up()
        server.say("response.output_text.delta", response_id="r1", item_id="i1", delta="First")
        server.respond("r1", "Second.", item_id="i2")
        server.respond("r2", "Third.", item_id="i3")
        # A straggler must neither be spoken nor disturb another response's numbers.
        server.say("response.output_text.delta", response_id="r3", item_id="i4", delta="The fourth is long enough. ")
        server.say("response.output_text.delta", response_id="r1", item_id="i2", delta="That comes far too late. L")
        server.say("response.output_text.delta", response_id="r3", item_id="i4", delta="The fifth is long enough. S")

    core = await told_by(script, WRITING)
    cuts = [(cut.response_id, cut.sentence, cut.text, cut.item_id) for cut in core.events if isinstance(cut, ev.SentenceCut)]
    assert cuts == [
        ("r1", 1, "First", "i1"),
        ("r1", 2, "Second.", "i2"),
        ("r2", 1, "Third.", "i3"),
        ("r3", 1, "The fourth is long enough.", "i4"),
        ("r3", 2, "The fifth is long enough.", "i4"),
    ]


async def test_bad_messages_are_counted_and_the_call_goes_on() -> None:
    def script(server: Server) -> None:
        server.set_up()
        server.ws.send("{")
        server.ws.send(b"\xff", text=True)
        server.say("unheard.of")
        server.say("error", error={"type": "server_error", "message": "oops"})
        server.say("input_audio_buffer.speech_started", item_id="i1")

    with scripted(script) as (url, _):
        llm = llm_at(url)
        core = await played_out(llm)
    codes = [event.code for event in core.events if isinstance(event, ev.ErrorReceived)]
    assert codes == ["malformed_event", "malformed_event", "unknown_event", "server_error"]
    assert core.events[-2] == ev.SpeechStarted(0.0, "i1")
    assert llm.counts == {"malformed_event": 2, "unknown_event": 1, "error": 1}


async def test_a_fatal_error_is_posted_as_an_end() -> None:
    def script(server: Server) -> None:
        server.set_up()
        server.say("error", error={"type": "insufficient_quota", "code": "insufficient_quota", "message": "Pay."})
        server.stay()

    core = await told_by(script, answers={ev.ReceiverFailed: CloseSession()})
    assert core.of(ev.Ending) == [ev.ReceiverFailed(0.0, "insufficient_quota: Pay.")]


async def test_a_bug_in_the_speaker_ends_the_run() -> None:
    class Broken(Loudspeaker):
        def play(self, response_id: str, pcm: bytes, *, item_id: str = "", content_index: int = 0, sentence: str = "") -> bool:
            raise ZeroDivisionError

    def script(server: Server) -> None:
        server.say("response.output_audio.delta", response_id="r1", item_id="i1", delta="AAAA")
        server.stay()

    with scripted(script) as (url, _), pytest.raises(ZeroDivisionError):
        await played_out(llm_at(url, speaker=Broken()))


# What we say.


async def test_an_effect_that_is_asked_for_within_post_is_sent() -> None:
    def script(server: Server) -> None:
        server.set_up()
        server.say("response.created", response={"id": "r1", "conversation_id": "c"})
        event_id = server.expect("response.cancel")["event_id"]
        server.say("error", error={"type": "x", "code": "response_cancel_not_active", "message": "", "event_id": event_id})
        server.expect("conversation.item.truncate")

    answers: dict[type[ev.Event], Effect] = {ev.ResponseCreated: CancelResponse("r1"), ev.CancelRefused: TruncateItem("i1", 40)}
    with scripted(script) as (url, over):
        core = await played_out(llm_at(url), answers)
        got = over.get(timeout=PATIENCE_S).got
    assert [message["type"] for message in got] == ["session.update", "response.cancel", "conversation.item.truncate"]
    assert core.of(ev.CancelRefused) == [ev.CancelRefused(0.0, "r1", "response_cancel_not_active")]


async def test_what_is_heard_leaves_at_once_where_there_is_room() -> None:
    """No task has to be waited for: fifty times a second that would cost more than all the rest."""

    def script(server: Server) -> None:
        server.set_up()
        server.expect("input_audio_buffer.append")

    with scripted(script) as (url, over):
        llm = llm_at(url)
        async with running(llm) as core:
            await core.until(ev.SessionConfirmed)
            await anyio.wait_all_tasks_blocked()
            llm.hear(frame(7))
            assert llm.counts == {"heard": 1, "sent": 1}
            await core.until(ev.SessionLost)
        assert base64.b64decode(over.get(timeout=PATIENCE_S).got[-1]["audio"]) == frame(7)


async def test_a_cancel_after_the_end_is_told_as_unsent() -> None:
    with scripted(lambda _: None) as (url, _):
        llm = llm_at(url)
        core = await played_out(llm)
    llm.do(CancelResponse("r1"))
    llm.do(TruncateItem("i1", 20))
    assert core.events[-1] == ev.CancelUnsent(0.0, "r1")
    llm.hear(frame(1))
    assert llm.counts == {"heard": 1, "dropped: no session": 1}


async def test_a_cancel_that_meets_a_closing_socket_is_told_as_unsent_once() -> None:
    created = json.dumps({"type": "response.created", "response": {"id": "r1"}}).encode()
    both = b"\x81" + bytes([len(created)]) + created + b"\x88\x02\x03\xe9"
    with mute_server(agrees=True, last_words=both) as url:
        core = await played_out(llm_at(url), {ev.ResponseCreated: CancelResponse("r1")})
    assert core.events == [ev.ResponseCreated(0.0, "r1"), ev.CancelUnsent(0.0, "r1"), ev.SessionLost(0.0, "closed with 1001")]


async def test_a_cancel_behind_a_stalled_socket_is_told_as_unsent() -> None:
    with mute_server(agrees=True) as url:
        llm = llm_at(url, write_timeout_s=0.2)
        llm.do(ConfigureSession())
        for _ in range(20):
            llm.do(CreateResponse(Cause.USER_TURN, "x" * 1_000_000))
        llm.do(CancelResponse("r1"))
        core = await played_out(llm)
    assert core.events == [
        ev.CancelUnsent(0.0, "r1"),
        ev.SessionLost(0.0, "closed with 1006 half-open: the server took no bytes for 0.2 s"),
    ]


async def test_a_cancel_that_finds_the_outbox_full_is_told_as_unsent() -> None:
    with mute_server(agrees=False) as url:
        llm = llm_at(url)
        async with running(llm) as core:
            await anyio.wait_all_tasks_blocked()
            llm.do(ConfigureSession())
            for number in range(KEPT_COMMANDS):
                llm.do(CancelResponse(f"r{number}"))
            assert core.events == [ev.CancelUnsent(0.0, f"r{KEPT_COMMANDS - 1}")]


async def test_a_stalled_socket_drops_the_oldest_sound_and_the_sums_balance() -> None:
    reading = threading.Event()
    loud = b"\x07" * 200_000

    def script(server: Server) -> None:
        server.set_up()
        reading.wait(PATIENCE_S)
        server.stay()

    with scripted(script) as (url, over):
        llm = llm_at(url, ping_interval_s=math.inf, write_timeout_s=PATIENCE_S)
        async with running(llm) as core:
            await core.until(ev.SessionConfirmed)
            with anyio.fail_after(PATIENCE_S):
                while llm.counts["dropped: stalled"] < 10:
                    llm.hear(loud)
                    for _ in range(10):
                        await anyio.lowlevel.checkpoint()
            assert llm.counts["heard"] == llm.counts["sent"] + llm.counts["dropped: stalled"] + KEPT_FRAMES
            llm.do(CancelResponse("r1"))
            reading.set()
            with anyio.fail_after(PATIENCE_S):
                while llm.counts["heard"] > llm.counts["sent"] + llm.counts["dropped: stalled"]:
                    await anyio.lowlevel.checkpoint()
            llm.do(CloseSession())
        got = [message["type"] for message in over.get(timeout=PATIENCE_S).got]
    assert got.count("input_audio_buffer.append") in (llm.counts["sent"], llm.counts["sent"] - 1)
    assert len(got) - got.index("response.cancel") > KEPT_FRAMES - 2


@pytest.mark.parametrize("kind", ["output_text.done", "output_audio_transcript.done"])
async def test_what_is_said_before_a_call_is_spoken_while_the_call_is_written(kind: str) -> None:
    """R97: its arguments take seconds, and the end of the response comes behind them."""
    words = {"text": "Let me see.", "transcript": "Let me see."}

    def script(server: Server) -> None:
        server.set_up()
        server.say("response.created", response={"id": "r1", "conversation_id": "c"})
        server.say(f"response.{kind}".replace("done", "delta"), response_id="r1", item_id="i1", delta="Let me see.")
        server.say(f"response.{kind}", response_id="r1", item_id="i1", **words)
        server.say("response.output_item.added", response_id="r1", item={"id": "f1", "type": "function_call", "name": "look"})
        server.stay()

    with scripted(script) as (url, _):
        async with running(llm_at(url, WRITING)) as core:
            assert await core.until(ev.SentenceCut) == ev.SentenceCut(0.0, "r1", 1, "Let me see.", "i1")


async def test_chatterbox_needs_a_cutter() -> None:
    with pytest.raises(ValueError, match="needs a cutter"):
        RealtimeLLM(url="ws://h", key=None, settings=SETTINGS, policy=WRITING, speaker=Loudspeaker())


# The whole stand-in.


class Hum:
    """A voice without words, at length."""

    def speak(self, text: str, *, pace: float = 1.0) -> Iterator[bytes]:
        yield frame(1) * 50


@pytest.fixture(scope="module")
def standin() -> Iterator[str]:
    """The stand-in server; its URL."""
    pace = Pace(first_token_s=0.01, words_per_s=1_000, audio_speed=100)
    with serving(key=KEY, pace=pace, voice=Hum()) as url:
        yield url


@pytest.mark.parametrize("policy", [VOICE, WRITING], ids=["realtime", "chatterbox"])
async def test_the_stand_in_confirms_the_session_and_greets(standin: str, policy: Policy) -> None:
    speaker = Loudspeaker()
    llm = llm_at(standin, policy, speaker)
    async with running(llm, {ev.SessionConfirmed: CreateResponse(Cause.GREETING)}) as core:
        created = await core.until(ev.ResponseCreated)
        await core.until(ev.ResponseCompleted)
    assert core.of(ev.ErrorReceived, ev.Ending) == []
    said = [cut.text for cut in core.events if isinstance(cut, ev.SentenceCut)]
    if policy is WRITING:
        assert said[-1] == "How can I help you today?"
        assert speaker.played == []
    else:
        assert said == []
        assert {response_id for response_id, _, _ in speaker.played} == {created.response_id}
        assert all(item_id for _, item_id, _ in speaker.played)


async def test_the_stand_in_refuses_a_second_cancel_and_we_know_whose_it_was(standin: str) -> None:
    llm = llm_at(standin)
    async with running(llm, {ev.SessionConfirmed: CreateResponse(Cause.GREETING), ev.ResponseCreated: CancelResponse("nobody")}) as core:
        refused = await core.until(ev.CancelRefused)
    assert refused.response_id == "nobody"
