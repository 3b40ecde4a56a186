"""The stand-in realtime LLM: hearing, turns, responses and refusals, over real sockets with real speech."""

import asyncio
import base64
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.standin.dialogue import BluebirdCycles, Call, Say, Turn
from adapters.standin.ears import Transcriber, decode, encode
from adapters.standin.realtime_connection import Pace
from adapters.standin.realtime_events import Begin
from adapters.standin.realtime_server import run_realtime, serve
from adapters.standin.realtime_session import APPEND_BYTES, Session
from adapters.standin.voice import Voice

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[1]
WAIT_S = 10.0
SECOND = bytes(48_000)
QUICK = Pace(first_token_s=0.02, words_per_s=150, audio_speed=10, transcript_s=0.05, hearing_s=60)
Json = dict[str, Any]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The stand-in is a process of its own, on asyncio."""
    return "asyncio"


@pytest.fixture(scope="module")
def question() -> bytes:
    """A caller's question."""
    return b"".join(Voice.load().speak("What are your opening hours?"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A quick stand-in."""
    with serving(pace=QUICK) as url:
        yield url


@contextmanager
def serving(**choices: Any) -> Iterator[str]:
    """Serve in a thread, on a free port."""
    ready: queue.Queue[str] = queue.Queue()
    running: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = queue.Queue()

    async def body() -> None:
        task = asyncio.ensure_future(serve(port=0, on_ready=ready.put, **choices))
        running.put((asyncio.get_running_loop(), task))
        await asyncio.wait([task])

    thread = threading.Thread(target=asyncio.run, args=(body(),))
    thread.start()
    loop, task = running.get(timeout=WAIT_S)
    try:
        yield ready.get(timeout=WAIT_S)
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(WAIT_S)
        assert not thread.is_alive()


class Client:
    """A raw client that remembers every event."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.events: list[Json] = []

    async def send(self, kind: str, **fields: Any) -> None:
        """Send one event."""
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str) -> Json:
        """The next event of this kind."""
        async with asyncio.timeout(WAIT_S):
            while True:
                event: Json = json.loads(await self.socket.recv())
                self.events.append(event)
                if event["type"] == kind:
                    return event

    async def error(self) -> Json:
        """The next error."""
        error: Json = (await self.until("error"))["error"]
        return error

    async def update(self, **session: Any) -> Json:
        """Change the session; the settings in force."""
        await self.send("session.update", session={"type": "realtime", **session})
        settings: Json = (await self.until("session.updated"))["session"]
        return settings

    async def detect(self, **detection: Any) -> None:
        """Change the turn detection."""
        await self.update(audio={"input": {"turn_detection": {"type": "server_vad", **detection}}})

    async def hear(self, *sounds: bytes) -> None:
        """Append sound, 100 ms at a time and faster than real time."""
        for sound in sounds:
            for start in range(0, len(sound), 4_800):
                await self.send("input_audio_buffer.append", audio=b64(sound[start : start + 4_800]))

    async def ask(self, text: str, **response: Any) -> Json:
        """Say something in text and ask for the answer; the response that was created."""
        content = [{"type": "input_text", "text": text}]
        await self.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
        await self.send("response.create", response=response)
        created: Json = (await self.until("response.created"))["response"]
        return created

    async def barrier(self) -> None:
        """Everything that the server sends because of what was sent so far has arrived."""
        await self.send("conversation.item.retrieve", item_id="nowhere", event_id="barrier")
        while (await self.error())["event_id"] != "barrier":
            pass

    def kinds(self, *leaving_out: str) -> list[str]:
        """The kinds of all events, repeats of a delta as one."""
        kinds = [event["type"] for event in self.events if event["type"] not in leaving_out]
        return [kind for place, kind in enumerate(kinds) if not (place and kind == kinds[place - 1] and kind.endswith("delta"))]

    def of(self, kind: str) -> list[Json]:
        """All events of one kind."""
        return [event for event in self.events if event["type"] == kind]


@asynccontextmanager
async def calling(url: str, **options: Any) -> AsyncIterator[Client]:
    """A connection with an open session that answers in text."""
    async with connect(url + "?model=any-model", compression=None, **options) as socket:
        client = Client(socket)
        created = await client.until("session.created")
        assert created["session"]["model"] == "any-model"
        await client.update(output_modalities=["text"])
        client.events.clear()
        yield client


def b64(data: bytes) -> str:
    """Sound as the wire carries it."""
    return base64.b64encode(data).decode()


# Hearing.


async def test_speech_is_heard_to_begin_and_end_by_its_sound_alone(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.hear(SECOND, question, SECOND)
        await client.until("response.created")
    started, stopped = client.of("input_audio_buffer.speech_started")[0], client.of("input_audio_buffer.speech_stopped")[0]
    committed = client.of("input_audio_buffer.committed")[0]
    assert 650 <= started["audio_start_ms"] <= 850, "a second of silence, less 300 ms of padding, and the voice's own onset"
    length_ms = len(question) // 48
    assert 1_000 + length_ms <= stopped["audio_end_ms"] <= 1_000 + length_ms + 500, "the end holds the silence that proved it"
    assert started["item_id"] == stopped["item_id"] == committed["item_id"]
    assert client.kinds() == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
    ]


async def test_silence_and_noise_are_not_speech(server: str) -> None:
    noise = (np.random.default_rng(1).normal(0, 2_000, 48_000)).astype("<i2").tobytes()
    async with calling(server) as client:
        await client.hear(SECOND, noise, SECOND)
        await client.barrier()
    assert client.kinds() == ["error"]


async def test_a_longer_silence_keeps_the_turn_open(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.detect(silence_duration_ms=2_000)
        await client.hear(question, SECOND, question, SECOND)
        await client.barrier()
        assert len(client.of("input_audio_buffer.speech_started")) == 1
        assert not client.of("input_audio_buffer.speech_stopped")
        await client.hear(SECOND, SECOND)
        await client.until("input_audio_buffer.committed")


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
async def test_a_telephone_line_is_heard_and_answered_in_its_own_format(server: str, question: bytes, kind: str) -> None:
    async with calling(server) as client:
        line = {"format": {"type": kind}}
        await client.update(output_modalities=["audio"], audio={"input": {**line, "transcription": {}}, "output": line})
        await client.hear(encode(kind, question + SECOND))
        told = await client.until("conversation.item.input_audio_transcription.completed")
        assert "opening hours" in told["transcript"]
        await client.send("response.cancel")
        await client.until("response.done")
        await client.send("conversation.item.create", item={"type": "message", "role": "user", "content": text_of("goodbye")})
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
    item_id = done["output"][0]["id"]
    sound = b"".join(base64.b64decode(one["delta"]) for one in client.of("response.output_audio.delta") if one["item_id"] == item_id)
    assert done["audio"]["output"]["format"] == {"type": kind}
    assert "thank you for" in Transcriber().words(kind, sound)


def text_of(text: str) -> list[Json]:
    """The content of a message in text."""
    return [{"type": "input_text", "text": text}]


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcma"])
def test_g711_is_taken_back_to_within_its_own_step(kind: str) -> None:
    every = bytes(range(256))
    levels = decode(kind, every)
    assert len(set(levels.tolist())) >= 255
    assert abs(int(levels.max()) - 32_124) <= 132 and levels.min() == -levels.max()
    tone = (np.sin(np.arange(24_000) / 24_000 * 2 * np.pi * 400) * 10_000).astype("<i2")
    back = decode(kind, encode(kind, tone.tobytes())).astype(float)
    wanted = np.sin(np.arange(8_000) / 8_000 * 2 * np.pi * 400) * 10_000
    assert len(back) == 8_000
    assert np.abs(back[500:-500] - wanted[500:-500]).max() < 400


# Turns.


async def test_a_question_is_answered_and_its_transcript_comes_after_the_answer_began(question: bytes) -> None:
    with serving(pace=attrs.evolve(QUICK, transcript_s=1.5)) as url:
        async with calling(url) as client:
            await client.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
            await client.hear(SECOND, question, SECOND)
            told = await client.until("conversation.item.input_audio_transcription.completed")
    assert "opening hours" in told["transcript"]
    assert told["item_id"] == client.of("input_audio_buffer.committed")[0]["item_id"]
    said = "".join(one["delta"] for one in client.of("response.output_text.delta"))
    assert said and BluebirdCycles.HOURS.startswith(said)


async def test_the_sound_of_a_turn_is_what_lies_between_its_two_times(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.hear(SECOND, question, SECOND)
        item_id = (await client.until("input_audio_buffer.committed"))["item_id"]
        await client.send("conversation.item.retrieve", item_id=item_id)
        item = (await client.until("conversation.item.retrieved"))["item"]
    start_ms = client.of("input_audio_buffer.speech_started")[0]["audio_start_ms"]
    end_ms = client.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"]
    assert base64.b64decode(item["content"][0]["audio"]) == (SECOND + question + SECOND)[start_ms * 48 : end_ms * 48]


async def test_a_transcript_is_told_only_to_a_client_that_asked(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.hear(question, SECOND)
        done = (await client.until("response.done"))["response"]
        await client.barrier()
    assert done["output"][0]["content"][0]["text"] == BluebirdCycles.HOURS, "the agent heard it all the same"
    assert not client.of("conversation.item.input_audio_transcription.completed")


async def test_a_turn_is_not_answered_by_itself_without_create_response(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.detect(create_response=False)
        await client.hear(question, SECOND)
        await client.until("input_audio_buffer.committed")
        await client.barrier()
        assert not client.of("response.created")
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
    assert done["output"][0]["content"][0]["text"] == BluebirdCycles.HOURS


async def test_without_detection_the_client_commits_and_clears(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.update(audio={"input": {"turn_detection": None, "transcription": {}}})
        await client.hear(question)
        await client.send("input_audio_buffer.clear")
        await client.send("input_audio_buffer.commit", event_id="empty")
        refused = await client.error()
        await client.hear(question, SECOND)
        await client.send("input_audio_buffer.commit")
        told = await client.until("conversation.item.input_audio_transcription.completed")
        await client.barrier()
    assert (refused["code"], refused["event_id"]) == ("input_audio_buffer_commit_empty", "empty")
    assert "opening hours" in told["transcript"]
    assert not client.of("response.created") and not client.of("input_audio_buffer.speech_started")


async def test_speech_interrupts_a_response(server: str, question: bytes) -> None:
    async with calling(server) as client:
        created = await client.ask("When are you open?", output_modalities=["audio"])
        await client.until("response.output_audio.delta")
        await client.hear(question)
        done = (await client.until("response.done"))["response"]
        await client.hear(SECOND)
        answer = (await client.until("response.done"))["response"]
    assert (done["id"], done["status"]) == (created["id"], "cancelled")
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert client.kinds().index("input_audio_buffer.speech_started") < client.kinds().index("response.done")
    assert answer["status"] == "completed"
    assert_silent_after(client, created["id"])


async def test_speech_does_not_interrupt_without_interrupt_response(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.detect(interrupt_response=False)
        created = await client.ask("When are you open?", output_modalities=["audio"])
        await client.until("response.output_audio.delta")
        await client.hear(question, SECOND)
        await client.until("input_audio_buffer.committed")
        refused = await client.error()
        done = (await client.until("response.done"))["response"]
    assert (refused["code"], refused["event_id"]) == ("conversation_already_has_active_response", None)
    assert (done["id"], done["status"]) == (created["id"], "completed")


def assert_silent_after(client: Client, response_id: str) -> None:
    """Nothing of the response follows its response.done."""
    ends = [place for place, event in enumerate(client.events) if event.get("response", {}).get("id") == response_id]
    assert not [event for event in client.events[ends[-1] + 1 :] if event.get("response_id") == response_id]


# Responses.


async def test_an_empty_conversation_is_greeted_in_text(server: str) -> None:
    async with calling(server) as client:
        await client.send("response.create", response={"metadata": {"cause": "greeting"}})
        done = (await client.until("response.done"))["response"]
    text = BluebirdCycles.GREETING
    assert "".join(one["delta"] for one in client.of("response.output_text.delta")) == text
    assert client.of("response.output_text.done")[0]["text"] == done["output"][0]["content"][0]["text"] == text
    assert done["metadata"] == client.of("response.created")[0]["response"]["metadata"] == {"cause": "greeting"}
    assert client.kinds() == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert len({event["event_id"] for event in client.events}) == len(client.events)


async def test_an_answer_in_sound_is_the_words_of_its_transcript(server: str) -> None:
    async with calling(server) as client:
        await client.update(output_modalities=["audio"])
        await client.send("response.create")
        done = (await client.until("response.done"))["response"]
    deltas = [base64.b64decode(one["delta"]) for one in client.of("response.output_audio.delta")]
    assert "".join(one["delta"] for one in client.of("response.output_audio_transcript.delta")) == BluebirdCycles.GREETING
    assert done["output"][0]["content"] == [{"type": "output_audio", "transcript": BluebirdCycles.GREETING}]
    assert {len(delta) for delta in deltas[:5]} == {9_600}
    assert "how can i help you today" in Transcriber().words("audio/pcm", b"".join(deltas))
    usage = done["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > usage["output_token_details"]["audio_tokens"] > 100
    assert client.kinds()[-6:] == [
        "response.output_audio.done",
        "response.output_audio_transcript.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]


async def test_a_cancelled_response_says_no_more(server: str) -> None:
    async with calling(server) as client:
        created = await client.ask("When are you open?", output_modalities=["audio"])
        await client.until("response.output_audio.delta")
        await client.send("response.cancel", response_id=created["id"])
        done = (await client.until("response.done"))["response"]
        await client.ask("Goodbye")
        await client.until("response.done")
    assert (done["status"], done["status_details"]["reason"]) == ("cancelled", "client_cancelled")
    assert done["output"][0]["status"] == "incomplete"
    assert_silent_after(client, created["id"])


async def test_a_second_cancel_and_one_of_an_unknown_response_are_refused(server: str) -> None:
    async with calling(server) as client:
        created = await client.ask("When are you open?")
        for event_id in ("first", "second"):
            await client.send("response.cancel", response_id=created["id"], event_id=event_id)
        second = await client.error()
        await client.send("response.cancel", response_id="resp_unknown", event_id="third")
        third = await client.error()
    assert [(one["code"], one["event_id"]) for one in (second, third)] == [
        ("response_cancel_not_active", "second"),
        ("response_cancel_not_active", "third"),
    ]
    assert len(client.of("response.done")) == 1


async def test_a_conversation_has_one_response_at_a_time_and_others_beside_it(server: str) -> None:
    async with calling(server) as client:
        first = await client.ask("When are you open?")
        await client.send("response.create", event_id="too-soon")
        refused = await client.error()
        await client.send("response.create", response={"conversation": "none", "input": []})
        beside = (await client.until("response.created"))["response"]
        done = [(await client.until("response.done"))["response"] for _ in range(2)]
    assert (refused["code"], refused["event_id"]) == ("conversation_already_has_active_response", "too-soon")
    assert first["id"] in refused["message"]
    assert {one["id"]: one["status"] for one in done} == {first["id"]: "completed", beside["id"]: "completed"}
    assert beside["conversation_id"] is None
    items = {one["item"]["id"] for one in client.of("conversation.item.added")}
    assert next(one for one in done if one["id"] == beside["id"])["output"][0]["id"] not in items


async def test_a_response_that_reaches_its_limit_is_incomplete(server: str) -> None:
    async with calling(server) as client:
        await client.ask("When are you open?", max_output_tokens=3)
        done = (await client.until("response.done"))["response"]
    assert (done["status"], done["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
    assert done["output"][0]["content"][0]["text"] == "We are open"


# Memory.


async def test_an_answer_in_sound_is_truncated_to_what_was_heard_and_no_further(server: str) -> None:
    async with calling(server) as client:
        await client.ask("Goodbye", output_modalities=["audio"])
        item_id = (await client.until("response.done"))["response"]["output"][0]["id"]
        cut = {"item_id": item_id, "content_index": 0}
        await client.send("conversation.item.truncate", **cut, audio_end_ms=99_999, event_id="past")
        past = await client.error()
        await client.send("conversation.item.truncate", **cut, audio_end_ms=500)
        await client.until("conversation.item.truncated")
        await client.send("conversation.item.truncate", **cut, audio_end_ms=501, event_id="again")
        again = await client.error()
        await client.send("conversation.item.retrieve", item_id=item_id)
        item = (await client.until("conversation.item.retrieved"))["item"]
    assert (past["code"], past["event_id"]) == ("invalid_value", "past")
    assert "is already shorter than 99999ms" in past["message"]
    assert again["message"] == "Audio content of 500ms is already shorter than 501ms"
    assert item["content"][0]["transcript"] == ""


async def test_only_the_agents_sound_can_be_truncated(server: str) -> None:
    async with calling(server) as client:
        await client.ask("Goodbye")
        item_id = (await client.until("response.done"))["response"]["output"][0]["id"]
        await client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=1)
        of_text = await client.error()
        await client.send("conversation.item.truncate", item_id="item_unknown", content_index=0, audio_end_ms=1)
        unknown = await client.error()
    assert of_text["code"] == "unsupported_content_type"
    assert unknown["code"] == "item_truncate_invalid_item_id"


async def test_the_callers_sound_can_be_had_back_until_its_item_is_deleted(server: str, question: bytes) -> None:
    async with calling(server) as client:
        await client.update(audio={"input": {"turn_detection": None}})
        await client.hear(question)
        await client.send("input_audio_buffer.commit")
        item_id = (await client.until("input_audio_buffer.committed"))["item_id"]
        await client.send("conversation.item.retrieve", item_id=item_id)
        item = (await client.until("conversation.item.retrieved"))["item"]
        await client.send("conversation.item.delete", item_id=item_id)
        await client.until("conversation.item.deleted")
        await client.send("conversation.item.delete", item_id=item_id, event_id="twice")
        twice = await client.error()
    assert base64.b64decode(item["content"][0]["audio"]) == question
    assert (twice["code"], twice["event_id"]) == ("item_delete_invalid_item_id", "twice")


def test_items_stand_where_the_client_puts_them() -> None:
    session = Session(name="t")
    for item_id, after in (("b", None), ("a", "root"), ("c", "b"), ("d", "nowhere"), ("a", None)):
        item = {"id": item_id, "type": "message", "role": "user", "content": text_of(item_id)}
        out = told(session, "conversation.item.create", item=item, previous_item_id=after)
        kinds = [one["type"] for one in out]
        assert kinds == (["error"] if after == "nowhere" or kinds == ["error"] else ["conversation.item.added", "conversation.item.done"])
    assert [told(session, "conversation.item.retrieve", item_id=one)[0]["type"] for one in "abcd"] == [
        "conversation.item.retrieved"
    ] * 3 + ["error"]
    reply = told(session, "conversation.item.create", item={"type": "function_call_output", "call_id": "x", "output": ""})
    assert reply[0]["previous_item_id"] == "c"


def told(its: Session, kind: str, **fields: Any) -> list[Json]:
    """What the session sends when the client sends this."""
    return [one for one in its.receive(json.dumps({"type": kind, **fields})) if isinstance(one, dict)]


# Settings and refusals.


def test_a_partial_update_changes_only_what_it_names() -> None:
    session = Session(name="t")
    detection = {"type": "server_vad", "create_response": False, "silence_duration_ms": 700}
    first = {
        "type": "realtime",
        "instructions": "Be kind.",
        "audio": {"input": {"transcription": {"model": "m"}, "turn_detection": detection}},
    }
    before = told(session, "session.update", session=first)[0]["session"]
    release = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": True}}}}
    after = told(session, "session.update", session=release)[0]["session"]
    assert after["audio"]["input"]["turn_detection"] == before["audio"]["input"]["turn_detection"] | {"create_response": True}
    before["audio"]["input"]["turn_detection"] = after["audio"]["input"]["turn_detection"] = None
    assert after == before
    assert after["instructions"] == "Be kind."


def test_a_refused_update_changes_nothing() -> None:
    session = Session(name="t")
    wanted = {"type": "realtime", "instructions": "New.", "audio": {"output": {"voice": "nobody"}}}
    assert told(session, "session.update", session=wanted, event_id="mine")[0]["error"]["event_id"] == "mine"
    unchanged = told(session, "session.update", session={"type": "realtime"})[0]["session"]
    assert unchanged == told(Session(name="t"), "session.update", session={"type": "realtime"})[0]["session"]


def update(**session: Any) -> Json:
    """A session.update."""
    return {"type": "session.update", "session": {"type": "realtime", **session}}


@pytest.mark.parametrize(
    ("event", "code", "param"),
    [
        ({"type": "session.destroy"}, "invalid_value", "type"),
        ({"event_id": "x"}, "missing_required_parameter", "type"),
        ({"type": "session.update"}, "missing_required_parameter", "session"),
        ({"type": "session.update", "session": {}}, "missing_required_parameter", "session.type"),
        (update(temperature=0.8), "unknown_parameter", "session.temperature"),
        (update(model="another"), "invalid_value", "session.model"),
        (update(output_modalities=["text", "audio"]), "invalid_value", "session.output_modalities"),
        (update(output_modalities=["video"]), "invalid_value", "session.output_modalities[0]"),
        (update(instructions=7), "invalid_type", "session.instructions"),
        (update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}), "decimal_above_max_value", None),
        (update(audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 0.5}}}), "invalid_type", None),
        (update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6_000}}}), "invalid_value", None),
        (update(audio={"input": {"format": {"type": "audio/pcm", "rate": 16_000}}}), "invalid_value", "session.audio.input.format.rate"),
        (update(audio={"output": {"voice": "nobody"}}), "invalid_value", "session.audio.output.voice"),
        ({"type": "input_audio_buffer.append", "audio": "not base64!"}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append", "audio": b64(b"odd")}, "invalid_value", "audio"),
        ({"type": "input_audio_buffer.append"}, "missing_required_parameter", "audio"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
        ({"type": "response.create", "response": {"conversation": "other"}}, "invalid_value", "response.conversation"),
        ({"type": "response.create", "response": {"max_output_tokens": 0}}, "integer_below_min_value", "response.max_output_tokens"),
        ({"type": "response.create", "response": {"metadata": {"a": 1}}}, "invalid_type", "response.metadata.a"),
        ({"type": "response.cancel"}, "response_cancel_not_active", None),
        ({"type": "response.cancel", "id": "resp_1"}, "unknown_parameter", "id"),
        ({"type": "conversation.item.truncate", "item_id": "i", "content_index": 0}, "missing_required_parameter", "audio_end_ms"),
        (
            {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": -1},
            "integer_below_min_value",
            "audio_end_ms",
        ),
        ({"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1.5}, "invalid_type", "audio_end_ms"),
        ({"type": "output_audio_buffer.clear"}, "invalid_value", "type"),
        (
            {"type": "conversation.item.create", "item": {"type": "message", "role": "assistant", "content": [{"type": "output_audio"}]}},
            "missing_required_parameter",
            "item.content[0].text",
        ),
    ],
)
def test_what_the_original_refuses_is_refused_and_names_its_event(event: Json, code: str, param: str | None) -> None:
    error = Session(name="t").receive(json.dumps({**event, "event_id": "mine"}))
    assert len(error) == 1 and isinstance(error[0], dict) and error[0]["type"] == "error"
    assert (error[0]["error"]["code"], error[0]["error"]["event_id"]) == (code, "mine")
    if param:
        assert error[0]["error"]["param"] == param


async def test_a_voice_cannot_change_once_it_was_heard(server: str) -> None:
    async with calling(server) as client:
        assert (await client.update(audio={"output": {"voice": "cedar"}}))["audio"]["output"]["voice"] == "cedar"
        await client.ask("Goodbye", output_modalities=["audio"])
        await client.until("response.done")
        await client.send("session.update", **{"session": update(audio={"output": {"voice": "alloy"}})["session"]}, event_id="voice")
        refused = await client.error()
        await client.update(audio={"output": {"voice": "cedar"}})
    assert (refused["code"], refused["event_id"]) == ("cannot_update_voice", "voice")


async def test_a_mangled_frame_is_refused_and_the_session_goes_on(server: str, question: bytes) -> None:
    async with calling(server) as client:
        for frame in ("{", "[]", "null", b"\x00\x01", "[" * 100_000):
            await client.socket.send(frame)
            assert (await client.error())["event_id"] is None
        await client.send("input_audio_buffer.append", audio=b64(bytes(APPEND_BYTES + 2)), event_id="big")
        assert (await client.error())["event_id"] == "big"
        await client.hear(question, SECOND)
        await client.until("response.created")


CLIENT_EVENTS = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "conversation.item.create",
    "conversation.item.truncate",
    "conversation.item.retrieve",
    "conversation.item.delete",
    "response.create",
    "response.cancel",
]
FIELDS = ["event_id", "session", "audio", "item", "item_id", "previous_item_id", "content_index", "audio_end_ms", "response", "response_id"]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-5, 5_000)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["realtime", "audio", "server_vad"])
)


def nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Arrays and objects, with names that the wire knows."""
    names = st.sampled_from(["type", "id", "audio", "item", "session", "input", "content", "x"])
    return st.lists(inner, max_size=3) | st.dictionaries(names, inner)


JSON_VALUES = st.recursive(LEAVES, nested, max_leaves=8)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CLIENT_EVENTS), st.dictionaries(st.sampled_from(FIELDS), JSON_VALUES, max_size=4)), max_size=4))
def test_no_message_of_a_client_breaks_a_session(messages: list[tuple[str, Json]]) -> None:
    session = Session(name="t")
    for kind, fields in messages:
        for out in session.receive(json.dumps({**fields, "type": kind})):
            if isinstance(out, dict):
                json.dumps(out)
    assert session.receive(json.dumps({"type": "input_audio_buffer.clear"}))


def test_nothing_of_a_response_can_be_sent_once_it_is_over() -> None:
    session = Session(name="t")
    begun = [one for one in session.receive(json.dumps({"type": "response.create"})) if isinstance(one, Begin)]
    response_id = begun[0].response_id
    assert session.say(response_id, "Hello") and session.sound(response_id, b"\0\0")
    told(session, "response.cancel")
    late = [session.say(response_id, "x"), session.sound(response_id, b"\0\0"), session.complete(response_id)]
    late += [session.fail(response_id, "c", "m"), session.call(response_id, "f", "{}")]
    assert late == [[]] * 5
    assert session.plan(response_id) is None
    assert session.turn(response_id) is None


# Dialogues, doors and the process.


class Odd:
    """A dialogue that calls a function first, and breaks when it is told to."""

    def answer(self, turn: Turn) -> Say | Call:
        """Call, then say what came back."""
        if turn.heard == "break":
            raise RuntimeError("broken on purpose")
        return Call("hours", '{"day": "Monday"}') if turn.tool_output is None else Say(f"It said {turn.tool_output}.")


async def test_a_dialogue_may_call_a_function_and_a_broken_one_ends_that_call_alone() -> None:
    with serving(pace=QUICK, dialogue=Odd()) as url:
        async with calling(url) as client, calling(url) as other:
            await client.ask("Are you open?")
            call = (await client.until("response.done"))["response"]["output"][0]
            assert (call["type"], call["name"], call["arguments"]) == ("function_call", "hours", '{"day": "Monday"}')
            assert client.of("response.function_call_arguments.done")[0]["call_id"] == call["call_id"]
            answer = {"type": "function_call_output", "call_id": call["call_id"], "output": "yes"}
            await client.send("conversation.item.create", item=answer)
            await client.send("response.create")
            done = (await client.until("response.done"))["response"]
            assert done["output"][0]["content"][0]["text"] == "It said yes."
            with pytest.raises(ConnectionClosed) as closed:
                await other.ask("break")
                await other.until("response.done")
            assert closed.value.rcvd and closed.value.rcvd.code == 1011
            await client.barrier()


async def test_a_session_ends_when_its_time_is_up() -> None:
    with serving(pace=Pace(session_s=0.2)) as url:
        async with connect(url) as socket:
            client = Client(socket)
            assert (await client.error())["code"] == "session_expired"
            with pytest.raises(ConnectionClosed) as closed:
                await client.until("nothing")
            assert closed.value.rcvd and closed.value.rcvd.code == 1000


async def test_a_key_and_the_right_path_open_the_door() -> None:
    with serving(pace=QUICK, key="sk-mine") as url:
        for address, headers, status in ((url, {}, 401), (url, {"Authorization": "Bearer sk-other"}, 401), (url + "/x", {}, 404)):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(address, additional_headers=headers):
                    pass
            assert refused.value.response.status_code == status
        async with calling(url, additional_headers={"Authorization": "Bearer sk-mine"}) as client:
            await client.barrier()


def test_a_taken_port_is_an_oserror(server: str) -> None:
    with pytest.raises(OSError, match="address already in use"):
        run_realtime(int(server.split(":")[2].split("/")[0]))


@pytest.mark.parametrize("one", [signal.SIGTERM, signal.SIGINT])
async def test_the_process_says_one_line_writes_down_what_it_is_told_and_stops_quietly(tmp_path: Path, one: signal.Signals) -> None:
    log = tmp_path / "client.jsonl"
    program = (
        f"from pathlib import Path; from adapters.standin.realtime_server import run_realtime; run_realtime(0, log=Path({str(log)!r}))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout
        ready = await asyncio.to_thread(process.stdout.readline)
        async with calling(ready.removeprefix("ready ").strip()) as client:
            await client.hear(SECOND)
            await client.send("response.create")
            await client.until("response.created")
            process.send_signal(one)
            with pytest.raises(ConnectionClosed):
                await client.until("nothing")
        rest, errors = await asyncio.to_thread(process.communicate, timeout=WAIT_S)
    finally:
        process.kill()
    assert (process.returncode, rest, errors) == (0, "", "")
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert [event["type"] for event in events] == ["session.update", *["input_audio_buffer.append"] * 10, "response.create"]
    assert events[1]["audio"] == {"bytes": 4_800}


def test_the_receptionist_knows_its_keywords_and_says_goodbye_only_at_the_end() -> None:
    shop = BluebirdCycles()
    said = {
        heard: answer.text for heard in HEARD if isinstance(answer := shop.answer(Turn(heard=heard, replies=1, caller_spoke=True)), Say)
    }
    assert [said[heard] for heard in HEARD[:4]] == [shop.HOURS, shop.PRICES, shop.REPAIR, shop.APPOINTMENT]
    assert all("goodbye" in said[heard].lower() for heard in HEARD[4:])
    others = (shop.GREETING, shop.HOURS, shop.PRICES, shop.REPAIR, shop.APPOINTMENT, *shop.OTHERWISE)
    assert not any("goodbye" in text.lower() for text in others)
    listed = [shop.answer(Turn(heard="well", replies=replies, caller_spoke=True)) for replies in range(1, 6)]
    assert listed[0] == listed[4] and len({str(one) for one in listed}) == 4


HEARD = (
    "what are your opening hours",
    "how much does a puncture repair cost",
    "my bike has a flat tire",
    "i would like to make an appointment",
    "thank you goodbye",
    "bye bye",
    "thanks that is all",
)
