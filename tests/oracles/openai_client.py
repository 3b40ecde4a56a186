"""Hold a call with a realtime server by the `openai` package, an independent client.

`python openai_client.py ws://127.0.0.1:PORT/v1 CALLER.wav [KEY]`. Needs its own environment (`pip install "openai[realtime]"`),
since that package pins an older websockets; the normal test run does not use it. CALLER.wav is a question, 24 kHz mono 16-bit.
Every event is parsed into the package's types and may hold no field that they do not have. Each step prints one line; the exit
status is 0 when all went as the original's documentation says.
"""

# mypy: disable-error-code="import-not-found"

import asyncio
import base64
import sys
import wave
from collections.abc import AsyncIterator
from typing import Any

from openai import AsyncOpenAI
from openai.types.realtime import RealtimeServerEvent, RealtimeSessionCreateRequest, RealtimeSessionCreateResponse
from pydantic import BaseModel, TypeAdapter

CHUNK_BYTES = 1_920
"""40 ms of sound in one append."""
STEP_S = 20.0
"""How long any one step may take."""
EVENTS: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)


async def main(base_url: str, wav: str, key: str) -> None:
    """Hold the call."""
    with wave.open(wav) as source:
        question = source.readframes(source.getnframes())
    client = AsyncOpenAI(api_key=key, websocket_base_url=base_url)
    async with client.realtime.connect(model="gpt-realtime") as connection:
        call = _Call(connection)
        await call.until("session.created")
        await _configure(connection, call)
        await _greeted_in_text(connection, call)
        await _asked_and_answered(connection, call, question)
        await _interrupted(connection, call, question)
        await _refused(connection, call)
    print(f"ok: {call.count} events, each of a type that the package knows")


async def _configure(connection: Any, call: "_Call") -> None:
    """The session is what we asked for."""
    transcription = {"model": "gpt-4o-mini-transcribe"}
    detection = {"type": "server_vad", "create_response": True, "interrupt_response": True}
    hearing = {"format": {"type": "audio/pcm", "rate": 24_000}, "transcription": transcription, "turn_detection": detection}
    await connection.session.update(session={"type": "realtime", "output_modalities": ["text"], "audio": {"input": hearing}})
    updated = await call.until("session.updated")
    assert updated.session.output_modalities == ["text"], updated
    assert updated.session.audio.input.turn_detection.silence_duration_ms == 500, updated


async def _greeted_in_text(connection: Any, call: "_Call") -> None:
    """A response in text, with its metadata echoed."""
    await connection.response.create(response={"metadata": {"cause": "greeting"}})
    created = await call.until("response.created")
    assert created.response.metadata == {"cause": "greeting"}, created
    done = await call.until("response.done")
    assert done.response.status == "completed", done
    assert done.response.output[0].content[0].text == call.text, done
    assert done.response.usage.total_tokens > 0, done
    print("greeting:", call.text)


async def _asked_and_answered(connection: Any, call: "_Call", question: bytes) -> None:
    """The server's VAD hears a question, commits it, answers it in sound and tells what it heard."""
    await connection.session.update(session={"type": "realtime", "output_modalities": ["audio"]})
    await call.until("session.updated")
    async with _Speaking(connection, question):
        started = await call.until("input_audio_buffer.speech_started")
        stopped = await call.until("input_audio_buffer.speech_stopped")
        committed = await call.until("input_audio_buffer.committed")
        assert started.item_id == stopped.item_id == committed.item_id
        await call.until("response.created")
        delta = await call.until("response.output_audio.delta")
        assert base64.b64decode(delta.delta)
        transcript = await call.until("conversation.item.input_audio_transcription.completed")
        assert transcript.item_id == committed.item_id
        print(f"heard: {transcript.transcript!r}, from {started.audio_start_ms} to {stopped.audio_end_ms} ms")


async def _interrupted(connection: Any, call: "_Call", question: bytes) -> None:
    """Speech cuts the answer off; what was not heard is truncated, and the next answer is cancelled by us."""
    async with _Speaking(connection, question):
        await call.until("input_audio_buffer.speech_started")
        done = await call.until("response.done")
        assert done.response.status == "cancelled", done
        assert done.response.status_details.reason == "turn_detected", done
        item = done.response.output[0]
        await connection.conversation.item.truncate(item_id=item.id, content_index=0, audio_end_ms=150)
        await call.until("conversation.item.truncated")
        await connection.conversation.item.retrieve(item_id=item.id)
        retrieved = await call.until("conversation.item.retrieved")
        assert retrieved.item.content[0].transcript == "", retrieved
        await call.until("response.output_audio.delta")
        await connection.response.cancel()
        done = await call.until("response.done")
        assert done.response.status_details.reason == "client_cancelled", done
        print("interrupted:", call.transcript)


async def _refused(connection: Any, call: "_Call") -> None:
    """A needless cancel is an error that names the event which caused it."""
    await connection.response.cancel(event_id="needless")
    error = await call.until("error")
    assert (error.error.code, error.error.event_id) == ("response_cancel_not_active", "needless"), error
    print("refused:", error.error.message)


class _Call:
    """What has been received, strictly parsed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.count = 0
        self.text = ""
        self.transcript = ""

    async def until(self, kind: str) -> Any:
        """The next event of this kind; an error that nobody waits for ends the script."""
        async with asyncio.timeout(STEP_S):
            while True:
                raw = await self._connection.recv_bytes()
                event = EVENTS.validate_json(raw)
                assert not _unknown(event), f"{event.type} holds what the package does not know: {_unknown(event)}"
                self.count += 1
                if event.type == "response.output_text.delta":
                    self.text += event.delta
                if event.type == "response.output_audio_transcript.delta":
                    self.transcript += event.delta
                if event.type == kind:
                    return event
                assert event.type != "error", event


def _unknown(value: Any) -> list[str]:
    """The names of fields that the package's types do not have, at any depth."""
    if isinstance(value, list):
        return [name for one in value for name in _unknown(one)]
    if not isinstance(value, BaseModel):
        return []
    # The package types a session as the client asks for it; the server's has an id and such besides.
    known = RealtimeSessionCreateResponse.model_fields if isinstance(value, RealtimeSessionCreateRequest) else {}
    found = [name for name in value.model_extra or {} if name not in known]
    return found + [name for field in type(value).model_fields for name in _unknown(getattr(value, field))]


class _Speaking:
    """While it lasts, the caller says something and is silent afterwards, in real time."""

    def __init__(self, connection: Any, sound: bytes) -> None:
        self._connection, self._sound = connection, sound

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._speak())

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _speak(self) -> None:
        async for piece in _pieces(self._sound):
            await self._connection.input_audio_buffer.append(audio=base64.b64encode(piece).decode())
            await asyncio.sleep(CHUNK_BYTES / 48_000)


async def _pieces(sound: bytes) -> AsyncIterator[bytes]:
    """The sound, then silence for ever."""
    for start in range(0, len(sound), CHUNK_BYTES):
        yield sound[start : start + CHUNK_BYTES]
    while True:
        yield bytes(CHUNK_BYTES)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: openai_client.py ws://127.0.0.1:PORT/v1 CALLER.wav [KEY]")
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) == 4 else "none"))
