"""A session that is lost, or grown old, against real servers on loopback: what the next one is given, on asyncio and trio (R60, R85)."""

import base64
import queue
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from adapters.realtime.outbox import KEPT_BEFORE_TURN, KEPT_UNANSWERED
from adapters.realtime.port import RealtimeLLM
from fsm.call import events as ev
from fsm.call.effects import (
    AddEntry,
    CancelResponse,
    Cause,
    CloseSession,
    CommitTurn,
    CreateResponse,
    DeleteItem,
    OpenSession,
    RewriteItem,
    SendToolResult,
    TruncateItem,
)
from tests.shared.realtime import Core, Server, frame, llm_at, mute_server, running, scripted
from tests.shared.shell import PATIENCE_S, each_backend, until

pytestmark = each_backend
AGAIN = {ev.SessionLost: OpenSession()}


class Servers:
    """A script for each connection, one after the other; the last one stays."""

    def __init__(self, *scripts: Any) -> None:
        self._scripts = list(scripts)
        self._lock = threading.Lock()

    def __call__(self, server: Server) -> None:
        with self._lock:
            script = self._scripts.pop(0)
        script(server)
        if not self._scripts:
            server.stay()


@asynccontextmanager
async def sessions(*scripts: Any) -> AsyncIterator[tuple[RealtimeLLM, Core, "queue.Queue[Server]"]]:
    """A port that opens a session anew whenever one is lost, and where each session is put once it is over."""
    with scripted(Servers(*scripts)) as (url, over):
        llm = llm_at(url)
        async with running(llm, AGAIN) as core:
            yield llm, core, over


def kinds(got: list[dict[str, Any]]) -> list[str]:
    return [message["type"] for message in got]


def second_of(over: "queue.Queue[Server]") -> list[dict[str, Any]]:
    """What the second session was sent, once it is over."""
    _, second = (over.get(timeout=PATIENCE_S) for _ in range(2))
    return second.got


async def confirmed(core: Core, times: int) -> None:
    """Wait until the session was confirmed so often."""
    await until(lambda: len(core.of(ev.SessionConfirmed)) >= times)


@pytest.mark.parametrize("code", [1000, 1001, 1011])
async def test_a_lost_session_is_opened_anew_when_we_are_told_to(code: int) -> None:
    """R85: and configured again, on whichever close."""

    def first(server: Server) -> None:
        server.set_up()
        server.ws.close(code)

    async with sessions(first, Server.set_up) as (_, core, over):
        await confirmed(core, 2)
    first_got, second_got = over.get(timeout=PATIENCE_S).got, over.get(timeout=PATIENCE_S).got
    assert kinds(first_got)[0] == kinds(second_got)[0] == "session.update"
    assert len(core.of(ev.SessionLost)) == 1


async def test_a_server_that_is_not_there_is_a_loss_each_time() -> None:
    with scripted(Server.stay, process_request=lambda ws, _: ws.respond(503, "busy")) as (url, _):
        async with running(llm_at(url), AGAIN) as core:
            await until(lambda: len(core.of(ev.SessionLost)) >= 3)
    assert "503" in core.of(ev.SessionLost)[0].reason


@pytest.mark.parametrize("by", ["Retry-After: 1", "x-ratelimit-reset-requests: 1s", "try again in 1.0 s", "r\u00e9essayez dans 1s"])
async def test_a_server_that_says_when_to_come_again_is_left_alone_until_then(by: str) -> None:
    """R92: whoever comes sooner is turned away here."""
    turned_away: list[float] = []

    def too_early(ws: Any, _: Any) -> Any:
        if ": " not in by or (turned_away and time.monotonic() >= turned_away[0] + 1):
            return None
        turned_away.append(time.monotonic())
        answer = ws.respond(429, "busy")
        name, value = by.split(": ")
        answer.headers[name] = value
        return answer

    def door(server: Server) -> None:
        if ": " not in by and not (turned_away and time.monotonic() >= turned_away[0] + 1):
            turned_away.append(time.monotonic())
            server.ws.close(1013, by)
            return
        server.set_up()
        server.stay()

    with scripted(door, process_request=too_early) as (url, _):
        async with running(llm_at(url), AGAIN) as core:
            await confirmed(core, 1)
    assert len(turned_away) == 1


async def test_what_was_said_so_far_goes_to_the_new_session() -> None:
    """R85: the caller's words, the agent's as far as they were heard, tools and keys; nothing of what was deleted or has no text."""

    def first(server: Server) -> None:
        server.set_up()
        server.say("input_audio_buffer.committed", item_id="u1")
        server.say("response.created", response={"id": "r1", "conversation_id": "c"})
        server.say("response.output_audio.delta", response_id="r1", item_id="a1", delta=base64.b64encode(bytes(48 * 1000)).decode())
        server.say("response.output_audio_transcript.done", response_id="r1", item_id="a1", transcript="one two three four")
        server.say("conversation.item.input_audio_transcription.completed", item_id="u1", transcript="Count, please.")
        server.say("response.function_call_arguments.done", call_id="t1", name="count", arguments="{}")
        server.say("input_audio_buffer.committed", item_id="u2")
        server.expect("conversation.item.truncate")
        server.ws.close(1011)

    def second(server: Server) -> None:
        server.set_up()
        server.expect("conversation.item.delete")
        server.say("input_audio_buffer.speech_stopped", item_id="")

    async with sessions(first, second) as (llm, core, over):
        await core.until(ev.ToolCalled)
        llm.do(SendToolResult("t1", "4"))
        llm.do(AddEntry("12"))
        llm.do(TruncateItem("a1", 500))
        await confirmed(core, 2)
        llm.do(TruncateItem("a1", 250))
        await core.until(ev.SpeechStopped)
    got = second_of(over)
    items = [message["item"] for message in got if message["type"] == "conversation.item.create"]
    assert items[:5] == [
        {"id": "u1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Count, please."}]},
        {"id": "a1", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "one two"}]},
        {"type": "function_call", "call_id": "t1", "name": "count", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "t1", "output": "4"},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "(The caller entered 12 on the keypad.)"}]},
    ]
    assert "conversation.item.truncate" not in kinds(got), "a restored item has no sound that could be truncated"


async def test_a_turn_that_was_cut_goes_to_the_new_session_whole() -> None:
    """R85: with a little of what came before it, and with all that is said during the outage."""
    cut = threading.Event()

    def first(server: Server) -> None:
        server.set_up()
        for _ in range(60):
            server.expect("input_audio_buffer.append")
        server.say("input_audio_buffer.speech_started", item_id="u1")
        for _ in range(10):
            server.expect("input_audio_buffer.append")
        cut.wait(PATIENCE_S)
        server.ws.close(1011)

    def second(server: Server) -> None:
        server.set_up()
        for _ in range(KEPT_BEFORE_TURN + 10 + 5):
            server.expect("input_audio_buffer.append")
        server.say("input_audio_buffer.committed", item_id="u1")

    with scripted(Servers(first, second)) as (url, over):
        llm = llm_at(url)
        async with running(llm) as core:
            await confirmed(core, 1)
            for number in range(60):
                llm.hear(frame(number))
            await core.until(ev.SpeechStarted)
            for number in range(60, 70):
                llm.hear(frame(number))
            await until(lambda: llm.counts["sent"] >= 70)
            core.answers[ev.SessionLost] = None
            cut.set()
            await core.until(ev.SessionLost)
            for number in range(70, 75):
                llm.hear(frame(number))
            llm.do(OpenSession())
            await core.until(ev.TurnCommitted)
        got = second_of(over)
    heard = [base64.b64decode(message["audio"]) for message in got if message["type"] == "input_audio_buffer.append"]
    assert heard == [frame(number) for number in range(10, 75)]
    assert llm.counts["sent again"] == 60
    assert llm.counts["heard"] == llm.counts["sent"] == 75


async def test_what_a_silent_server_may_not_have_heard_goes_to_the_new_session() -> None:
    """R85: a half-open socket takes sound that nobody hears; all since the server's last word is sent again, up to a bound."""

    def first(server: Server) -> None:
        server.set_up()
        for _ in range(KEPT_BEFORE_TURN + 40):
            server.expect("input_audio_buffer.append")
        server.say("input_audio_buffer.speech_stopped", item_id="")
        for _ in range(KEPT_UNANSWERED + 20):
            server.expect("input_audio_buffer.append")
        server.ws.close(1011)

    def second(server: Server) -> None:
        server.set_up()
        for _ in range(KEPT_BEFORE_TURN + KEPT_UNANSWERED):
            server.expect("input_audio_buffer.append")
        server.say("input_audio_buffer.committed", item_id="u1")

    async with sessions(first, second) as (llm, core, over):
        await confirmed(core, 1)
        with anyio.fail_after(PATIENCE_S):
            for number in range(KEPT_BEFORE_TURN + 40 + KEPT_UNANSWERED + 20):
                if number == KEPT_BEFORE_TURN + 40:
                    await core.until(ev.SpeechStopped)
                llm.hear(frame(number))
                while llm.counts["sent"] <= number:
                    await anyio.sleep(0)
        await core.until(ev.TurnCommitted)
    got = second_of(over)
    heard = [base64.b64decode(message["audio"]) for message in got if message["type"] == "input_audio_buffer.append"]
    assert heard == [frame(number) for number in range(60, KEPT_BEFORE_TURN + 40 + KEPT_UNANSWERED + 20)]


async def test_a_turn_that_was_committed_is_not_sent_again() -> None:
    """R21, R85."""

    def first(server: Server) -> None:
        server.set_up()
        server.say("input_audio_buffer.speech_started", item_id="u1")
        server.expect("input_audio_buffer.append")
        server.say("input_audio_buffer.committed", item_id="u1")
        server.ws.close(1011)

    async with sessions(first, Server.set_up) as (llm, core, over):
        await core.until(ev.SpeechStarted)
        llm.hear(frame(1))
        await confirmed(core, 2)
    got = second_of(over)
    assert kinds(got) == ["session.update", "conversation.item.create"], "an item of the conversation, and no turn to answer"
    content = got[1]["item"]["content"]
    assert [base64.b64decode(part["audio"]) for part in content] == [frame(1)], "its words are not known yet, so its sound is given"


async def test_a_session_that_works_is_replaced_without_a_loss() -> None:
    """R60: the old one is closed politely, and nothing of its end is told."""
    with scripted(Servers(lambda server: (server.set_up(), server.stay()), Server.set_up)) as (url, over):
        llm = llm_at(url)
        async with running(llm) as core:
            await confirmed(core, 1)
            llm.do(OpenSession())
            await confirmed(core, 2)
        assert over.get(timeout=PATIENCE_S).ws.close_code == 1000
    assert not core.of(ev.SessionLost)


async def test_a_cancel_between_two_sessions_is_told_as_unsent() -> None:
    """R05."""

    def first(server: Server) -> None:
        server.set_up()
        server.ws.close(1011)

    with scripted(first) as (url, _):
        llm = llm_at(url)
        async with running(llm) as core:
            core.answers[ev.SessionLost] = None
            await core.until(ev.SessionLost)
            llm.do(CancelResponse("r1"))
            llm.do(CreateResponse(Cause.USER_TURN))
            assert core.events[-1] == ev.CancelUnsent(0.0, "r1")
            llm.do(CloseSession())


async def test_a_half_open_socket_is_replaced() -> None:
    """R85: the server neither reads nor writes, and the next one does."""
    with mute_server(agrees=True) as mute:
        llm = llm_at(mute, ping_interval_s=0.05, ping_timeout_s=0.05)
        async with running(llm) as core:
            core.answers[ev.SessionLost] = None
            lost = await core.until(ev.SessionLost)
            llm.do(CloseSession())
    assert "half-open" in lost.reason


async def test_nothing_is_asked_about_an_item_that_the_new_session_was_not_given() -> None:
    """R85: an answer of which nothing was told, no text and no words; what is done to it is meant for the lost session."""

    def first(server: Server) -> None:
        server.set_up()
        server.say("response.created", response={"id": "r1", "conversation_id": "c"})
        server.say("response.output_audio.delta", response_id="r1", item_id="a1", delta=base64.b64encode(bytes(48 * 1000)).decode())
        server.ws.close(1011)

    def second(server: Server) -> None:
        server.set_up()
        server.expect("input_audio_buffer.commit")
        server.say("input_audio_buffer.speech_stopped", item_id="")

    async with sessions(first, second) as (llm, core, over):
        await confirmed(core, 2)
        for effect in (TruncateItem("a1", 300), RewriteItem("a1", "words"), DeleteItem("a1"), CommitTurn()):
            llm.do(effect)
        await core.until(ev.SpeechStopped)
    got = second_of(over)
    assert kinds(got) == ["session.update", "input_audio_buffer.commit"]


async def test_an_answer_that_was_cut_by_the_loss_goes_to_the_new_session_as_far_as_it_was_told() -> None:
    """R85: its words as they came, in sound; what of them was heard is said when the device tells."""

    def first(server: Server) -> None:
        server.set_up()
        server.say("response.created", response={"id": "r1", "conversation_id": "c"})
        server.say("response.output_audio.delta", response_id="r1", item_id="a1", delta=base64.b64encode(bytes(48 * 1000)).decode())
        for delta in ("one two", " three", " four"):
            server.say("response.output_audio_transcript.delta", response_id="r1", item_id="a1", delta=delta)
        server.ws.close(1011)

    def second(server: Server) -> None:
        server.set_up()
        server.say("conversation.item.deleted", item_id=server.expect("conversation.item.delete")["item_id"])
        server.expect("conversation.item.create")
        server.say("input_audio_buffer.speech_stopped", item_id="")

    async with sessions(first, second) as (llm, core, over):
        await confirmed(core, 2)
        llm.do(TruncateItem("a1", 500))
        await core.until(ev.SpeechStopped)
    got = second_of(over)
    items = [message["item"] for message in got if message["type"] == "conversation.item.create"]
    assert [item["content"][0]["text"] for item in items] == ["one two three four", "one two"]


async def test_a_session_that_is_told_to_have_expired_is_heard_no_longer() -> None:
    """R60, R69: whatever its open socket still says."""

    def first(server: Server) -> None:
        server.set_up()
        server.say("error", error={"type": "invalid_request_error", "code": "session_expired", "message": "60 minutes are over."})
        server.say("input_audio_buffer.speech_started", item_id="late")
        server.stay()

    async with sessions(first, Server.set_up) as (_, core, over):
        await confirmed(core, 2)
    assert over.get(timeout=PATIENCE_S).ws.close_code == 1000
    assert core.of(ev.SessionLost) == [ev.SessionLost(0.0, "session_expired: 60 minutes are over.")]
    assert not core.of(ev.SpeechStarted)
