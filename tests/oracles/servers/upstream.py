"""What a chained server calls behind its back, in OpenAI's API: the LLM, which answers from a script, and a transcriber of tones."""

import asyncio
import json
import threading
import time
import wave
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import stubs
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

TOKEN_S = 0.05


def start() -> str:
    """Serve both in a thread of their own; their address, up to `/v1`."""
    listener = stubs.listening()
    server = uvicorn.Server(uvicorn.Config(_app(), log_level="warning"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
    while not server.started:
        time.sleep(0.02)
    return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def _app() -> FastAPI:
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        asked = await request.json()
        said = [(one["role"], _text(one.get("content"))) for one in asked["messages"]]
        words, tool = stubs.answer(said, [one["function"]["name"] for one in asked.get("tools") or []])
        if asked.get("stream"):
            return StreamingResponse(_chunks(words, tool), media_type="text/event-stream")
        message = {"role": "assistant", "content": words}
        return JSONResponse(_completion("chat.completion", {"message": message, "finish_reason": "stop"}))

    @app.post("/v1/audio/transcriptions")
    async def transcribe(request: Request) -> Response:
        async with request.form() as form:
            with wave.open(form["file"].file, "rb") as sound:
                frames = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32) / 32768
                return JSONResponse({"text": stubs.heard(frames, sound.getframerate())})

    return app


def _text(content: Any) -> str:
    """A message's words; its content may be a list of parts."""
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content)
    return content if isinstance(content, str) else ""


async def _chunks(words: str, tool: str) -> AsyncIterator[str]:
    call = {"index": 0, "id": f"call_{time.monotonic_ns()}", "type": "function", "function": {"name": tool, "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": json.dumps({"job": "puncture"})}}
    deltas: list[dict[str, Any]] = [{"content": f"{word} "} for word in words.split()]
    for delta in [{"tool_calls": [call]}, {"tool_calls": [rest]}] if tool else deltas:
        await asyncio.sleep(TOKEN_S)
        yield _line({"delta": {"role": "assistant", **delta}, "finish_reason": None})
    yield _line({"delta": {}, "finish_reason": "tool_calls" if tool else "stop"})
    yield "data: [DONE]\n\n"


def _line(choice: dict[str, Any]) -> str:
    return f"data: {json.dumps(_completion('chat.completion.chunk', choice))}\n\n"


def _completion(kind: str, choice: dict[str, Any]) -> dict[str, Any]:
    return {"id": "chat_1", "object": kind, "created": 1, "model": "stub", "choices": [{"index": 0, **choice}]}
