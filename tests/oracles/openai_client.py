"""The `openai` package holds a call: text and sound, interruption, races, truncation, manual turns, a response aside, a tool.

Every event is parsed into the package's own types and may hold no field that they do not have; see `catalog` for how it is run.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["openai[realtime]==3.52.0"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.callfsm]
# stand-ins = ["realtime"]
# says = ["What are your opening hours?", "Sorry, how much is a puncture repair?"]
# ///

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from kit import RATE_HZ, Checks, Inbox, Microphone, loudness, ms_of, oracle
from openai import AsyncOpenAI
from wire import Wire

HEARING = {
    "format": {"type": "audio/pcm", "rate": RATE_HZ},
    "transcription": {"model": "gpt-4o-mini-transcribe"},
    "turn_detection": {"type": "server_vad", "create_response": True, "interrupt_response": True},
}
PRICE = {
    "type": "function",
    "name": "repair_price",
    "description": "The price of a repair.",
    "parameters": {"type": "object", "properties": {"job": {"type": "string"}}, "required": ["job"]},
}


async def hold(check: Checks, urls: list[str], lines: list[bytes]) -> None:
    """Hold the call."""
    async with _calling(check, urls[0]) as call:
        await _configured(check, call)
        await _greeted_in_text(check, call)
        await _beside_the_conversation(check, call)
        await _asked_and_answered_in_sound(check, call, lines)
        await _raced(check, call)
        await _taken_by_hand(check, call, lines[0])
        await _used_a_tool(check, call)
        await _forgotten(check, call)


class _Call:
    """A connection of the package, and what came over it."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.wire = Wire()
        self.inbox = Inbox()

    async def read(self) -> None:
        """Judge and keep every event."""
        while True:
            event = self.wire.judge(await self.connection.recv_bytes())
            if event is not None:
                self.inbox.put(event)

    async def until(self, kind: str) -> Any:
        """The next event of this kind."""
        return await self.inbox.until(lambda event: event.type == kind, kind)

    def of(self, kind: str, **fields: object) -> list[Any]:
        """All events of this kind so far with these fields."""
        return [one for one in self.inbox.all if one.type == kind and all(getattr(one, name) == value for name, value in fields.items())]

    async def transcript_of(self, item_id: str) -> str:
        """What the caller said as this item: it comes when it comes."""
        kind = "conversation.item.input_audio_transcription.completed"
        told = await self.inbox.some(lambda event: event.type == kind and event.item_id == item_id, f"transcript of {item_id}")
        return str(told.transcript)

    async def update(self, **session: Any) -> Any:
        """Change the session; the settings in force."""
        await self.connection.session.update(session={"type": "realtime", **session})
        return (await self.until("session.updated")).session

    async def write(self, text: str) -> None:
        """Put a message of the caller into the conversation."""
        content = [{"type": "input_text", "text": text}]
        await self.connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        await self.until("conversation.item.done")

    async def append(self, frame: bytes) -> None:
        """Append sound."""
        await self.connection.input_audio_buffer.append(audio=base64.b64encode(frame).decode())


@asynccontextmanager
async def _calling(check: Checks, url: str) -> AsyncIterator[_Call]:
    """A call by `websocket_base_url`, judged as a whole when it is over."""
    client = AsyncOpenAI(api_key="none", websocket_base_url=url.removesuffix("/realtime"))
    async with client.realtime.connect(model="gpt-realtime") as connection:
        call = _Call(connection)
        reading = asyncio.create_task(call.read())
        try:
            created = await call.until("session.created")
            check("the session is told first, with the model that was asked for", created.session.model == "gpt-realtime", created)
            yield call
        finally:
            reading.cancel()
            await asyncio.wait([reading])
    check(
        f"each of {call.wire.kinds.total()} events is of a type that the package knows, and all are one story",
        not call.wire.faults,
        call.wire.faults,
    )
    check("no error but those provoked and the normal races", len(call.wire.errors) == len(provoked(call)), call.wire.errors)


def provoked(call: _Call) -> list[Any]:
    """The errors that a step asked for, by the event ids that it gave."""
    return [error for error in call.wire.errors if str(error.get("event_id")).startswith("provoked")]


async def _configured(check: Checks, call: _Call) -> None:
    """The session is what was asked for, with the documented defaults besides."""
    session = await call.update(output_modalities=["text"], audio={"input": HEARING})
    detection = session.audio.input.turn_detection
    check("the session is as asked", session.output_modalities == ["text"] and detection.type == "server_vad", session)
    check("what was not asked for has its default", (detection.silence_duration_ms, detection.prefix_padding_ms) == (500, 300), detection)


async def _greeted_in_text(check: Checks, call: _Call) -> None:
    """A response in text, with its metadata echoed."""
    await call.connection.response.create(response={"metadata": {"cause": "greeting"}})
    created = (await call.until("response.created")).response
    done = (await call.until("response.done")).response
    text = "".join(delta.delta for delta in call.of("response.output_text.delta", response_id=created.id))
    check("a text answer is created with its metadata", created.metadata == done.metadata == {"cause": "greeting"}, created)
    check("its deltas are its text", done.status == "completed" and done.output[0].content[0].text == text != "", done)
    check("its tokens are counted", done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens > 0, done.usage)


async def _beside_the_conversation(check: Checks, call: _Call) -> None:
    """A response with `conversation: none` leaves no trace in the conversation."""
    await call.connection.response.create(response={"conversation": "none", "input": [], "metadata": {"cause": "aside"}})
    done = (await call.until("response.done")).response
    told = [one.item.id for one in call.of("conversation.item.added")]
    check("a response beside the conversation adds no item", done.status == "completed" and done.output[0].id not in told, done)
    check("it names no conversation", done.conversation_id is None and done.metadata == {"cause": "aside"}, done)


async def _asked_and_answered_in_sound(check: Checks, call: _Call, lines: list[bytes]) -> None:
    """The server's VAD hears a question and answers in sound; a second question cuts that off and is answered too."""
    session = await call.update(output_modalities=["audio"])
    check("an update keeps what it does not name", session.audio.input.transcription.model == "gpt-4o-mini-transcribe", session)
    async with Microphone(call.append) as microphone:
        microphone.say(lines[0])
        started = await call.until("input_audio_buffer.speech_started")
        first = await _answered(check, call, started, "opening hours")
        microphone.say(lines[1])
        started = await call.until("input_audio_buffer.speech_started")
        cut = (await call.until("response.done")).response
        reason = cut.status_details and cut.status_details.reason
        check("speech cancels the answer", (cut.id, cut.status, reason) == (first, "cancelled", "turn_detected"), cut)
        await _truncated(check, call, cut.output[0].id)
        second = await _answered(check, call, started, "puncture")
        check("the answers are two", first != second, first)
        check("no sound of the first came after its end", not _after_its_end(call, first), _after_its_end(call, first))
        await call.connection.response.cancel(response_id=second)
        done = (await call.until("response.done")).response
        check("a cancel by id ends the second", (done.id, done.status_details.reason) == (second, "client_cancelled"), done)


async def _answered(check: Checks, call: _Call, started: Any, gist: str) -> str:
    """A turn of the caller, from its beginning on, up to the first sound of its answer and its transcript; the id of the response."""
    stopped = await call.until("input_audio_buffer.speech_stopped")
    committed = await call.until("input_audio_buffer.committed")
    check("a turn keeps its item id", started.item_id == stopped.item_id == committed.item_id, committed)
    check("it began before it ended", started.audio_start_ms < stopped.audio_end_ms, stopped)
    created = (await call.until("response.created")).response
    delta = await call.until("response.output_audio.delta")
    check("the answer is heard: real sound, of the response created", delta.response_id == created.id and _heard(delta), delta.response_id)
    transcript = await call.transcript_of(committed.item_id)
    check(f"the caller's transcript is of that turn, and has {gist!r}", gist in transcript.lower(), transcript)
    return str(created.id)


def _heard(delta: Any) -> bool:
    sound = base64.b64decode(delta.delta)
    return ms_of([sound]) >= 100 and loudness(sound) > 30


def _after_its_end(call: _Call, response_id: str) -> list[str]:
    """What came of a response after its response.done."""
    end = next(place for place, one in enumerate(call.inbox.all) if one.type == "response.done" and one.response.id == response_id)
    return [one.type for one in call.inbox.all[end + 1 :] if getattr(one, "response_id", None) == response_id]


async def _truncated(check: Checks, call: _Call, item_id: str) -> None:
    """The model's memory is cut to what was heard; more than was said is refused."""
    cut = {"item_id": item_id, "content_index": 0}
    await call.connection.conversation.item.truncate(**cut, audio_end_ms=10**8, event_id="provoked-past-the-end")
    error = (await call.until("error")).error
    check("a truncation past the end is refused, by event id", error.event_id == "provoked-past-the-end", error)
    await call.connection.conversation.item.truncate(**cut, audio_end_ms=150)
    told = await call.until("conversation.item.truncated")
    check("a truncation is told", (told.item_id, told.audio_end_ms) == (item_id, 150), told)
    await call.connection.conversation.item.retrieve(item_id=item_id)
    item = (await call.until("conversation.item.retrieved")).item
    check("the truncated item has no transcript left", item.id == item_id and not item.content[0].transcript, item)


async def _raced(check: Checks, call: _Call) -> None:
    """Two creates, two cancels, and a cancel on the heels of its create."""
    await call.update(output_modalities=["text"])
    await call.write("When are you open?")
    await call.connection.response.create()
    await call.connection.response.create(event_id="second-create")
    created = (await call.until("response.created")).response
    error = (await call.until("error")).error
    told = (error.code, error.event_id)
    check("a second create is refused", told == ("conversation_already_has_active_response", "second-create"), error)
    await call.connection.response.cancel(response_id=created.id)
    await call.connection.response.cancel(event_id="second-cancel")
    done = (await call.until("response.done")).response
    error = (await call.until("error")).error
    check("the cancelled response is the one created", (done.id, done.status) == (created.id, "cancelled"), done)
    check("a needless cancel is refused", (error.code, error.event_id) == ("response_cancel_not_active", "second-cancel"), error)
    await call.connection.response.create()
    await call.connection.response.cancel(event_id="on-its-heels")
    created = (await call.until("response.created")).response
    done = (await call.until("response.done")).response
    refused = [one for one in call.of("error") if one.error.event_id == "on-its-heels"]
    check(
        "a cancel on the heels of its create works, or is refused and the answer goes on",
        (done.status == "cancelled") != bool(refused),
        done,
    )
    check("there is one end to it", done.id == created.id and len(call.of("response.created")) == len(call.of("response.done")), done)


async def _taken_by_hand(check: Checks, call: _Call, line: bytes) -> None:
    """Without turn detection the client commits; what was cleared is not in it."""
    session = await call.update(audio={"input": {"turn_detection": None}})
    check("turn detection is off", session.audio.input.turn_detection is None, session)
    turns = len(call.of("input_audio_buffer.speech_started"))
    await call.append(line)
    await call.connection.input_audio_buffer.clear()
    await call.until("input_audio_buffer.cleared")
    await call.connection.input_audio_buffer.commit(event_id="provoked-empty-commit")
    error = (await call.until("error")).error
    check(
        "a commit of nothing is refused",
        (error.code, error.event_id) == ("input_audio_buffer_commit_empty", "provoked-empty-commit"),
        error,
    )
    await call.append(line)
    await call.connection.input_audio_buffer.commit()
    committed = await call.until("input_audio_buffer.committed")
    transcript = await call.transcript_of(committed.item_id)
    check("a turn committed by hand is transcribed", "opening hours" in transcript.lower(), transcript)
    await call.connection.response.create()
    done = (await call.until("response.done")).response
    check("it is answered when that is asked for", done.status == "completed" and "open" in done.output[0].content[0].text, done)
    check("nothing was detected meanwhile", len(call.of("input_audio_buffer.speech_started")) == turns, turns)


async def _forgotten(check: Checks, call: _Call) -> None:
    """An item that is deleted is gone."""
    item_id = call.of("conversation.item.added")[-1].item.id
    await call.connection.conversation.item.delete(item_id=item_id)
    await call.until("conversation.item.deleted")
    await call.connection.conversation.item.retrieve(item_id=item_id, event_id="provoked-retrieve")
    error = (await call.until("error")).error
    check("a deleted item cannot be retrieved", error.event_id == "provoked-retrieve", error)


async def _used_a_tool(check: Checks, call: _Call) -> None:
    """The model calls the client's function, takes its output and answers with it."""
    session = await call.update(output_modalities=["text"], tools=[PRICE], tool_choice="auto")
    check("the session has the tool", [tool.name for tool in session.tools] == ["repair_price"], session.tools)
    await call.write("How much is a puncture repair?")
    await call.connection.response.create()
    told = await call.until("response.function_call_arguments.done")
    done = (await call.until("response.done")).response
    item = done.output[0]
    check("the function call is complete", (item.type, item.name, item.status) == ("function_call", "repair_price", "completed"), item)
    check("its arguments are JSON, and the same in every event", item.arguments == told.arguments and json.loads(item.arguments), told)
    check("its call id is the same too", item.call_id == told.call_id != "", told)
    answer = {"type": "function_call_output", "call_id": item.call_id, "output": "twelve pounds"}
    await call.connection.conversation.item.create(item=answer)
    added = await call.until("conversation.item.added")
    check("its output becomes an item", (added.item.type, added.item.call_id) == ("function_call_output", item.call_id), added)
    await call.connection.response.create()
    done = (await call.until("response.done")).response
    check("the answer uses it", "twelve pounds" in done.output[0].content[0].text, done)


if __name__ == "__main__":
    oracle(hold, urls=1)
