"""`speaches-ai/speaches`: its own server, the LLM behind it a stub, a tone for its voice, loudness for its detector."""

# /// script
# requires-python = ">=3.12"
# dependencies = [
#   "fastapi==0.121.1",
#   "uvicorn==0.38.0",
#   "numpy==2.3.4",
#   "openai[realtime]==2.8.0",
#   "pydantic==2.12.4",
#   "pydantic-settings==2.12.0",
#   "python-multipart==0.0.20",
#   "soundfile==0.13.1",
#   "aiostream==0.7.1",
#   "cachetools==6.2.2",
#   "httpx-ws==0.8.0",
#   "httpx-sse==0.4.3",
#   "av==15.1.0",
#   "huggingface-hub==0.36.0",
#   "opentelemetry-api==1.38.0",
#   "websockets==15.0.1",
# ]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.callfsm]
# server = "speaches-ai/speaches"
# call = "--voice realtime --realtime ws://127.0.0.1:{port}/v1/realtime --append-ms 200 --model a-model"
# warns = ["invalid_request_error", "server_error"]
# ///

import asyncio
import json
import os
import sys
import threading
import wave
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import stubs
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

NEURAL = ("kokoro_onnx", "piper", "pyannote", "onnx_asr", "onnxruntime", "torch", "aiortc", "gradio", "sounddevice", "ctranslate2")


def main() -> None:
    """Serve it."""
    stubs.hollow(*NEURAL, "faster_whisper", "opentelemetry.sdk", "opentelemetry.exporter")
    copy = stubs.checkout()
    sys.path.insert(0, str(copy / "src"))
    (copy / "realtime-console" / "dist").mkdir(parents=True, exist_ok=True)
    listener, behind = stubs.listening(), stubs.listening()
    port = str(listener.getsockname()[1])
    os.environ |= {"UVICORN_HOST": "127.0.0.1", "UVICORN_PORT": port, "LOOPBACK_HOST_URL": f"http://127.0.0.1:{port}", "ENABLE_UI": "false"}
    os.environ |= {"CHAT_COMPLETION_BASE_URL": f"http://127.0.0.1:{behind.getsockname()[1]}/v1", "LOG_LEVEL": "warning"}
    _without_models()
    from speaches.main import create_app

    upstream = uvicorn.Server(uvicorn.Config(_llm(), log_level="warning"))
    threading.Thread(target=upstream.run, kwargs={"sockets": [behind]}, daemon=True).start()
    stubs.serve(create_app(), listener)


def _without_models() -> None:
    """Put a stub in the place of each neural model, and of the files that they would be in."""
    import speaches.dependencies as dependencies
    import speaches.routers.speech as speech
    import speaches.routers.stt as stt
    from speaches.audio import Audio
    from speaches.executors.kokoro import KokoroModelManager
    from speaches.executors.silero_vad_v5 import SileroVADModelManager
    from speaches.executors.whisper import WhisperModelManager

    def say(self: Any, request: Any, **_: Any) -> Any:
        yield Audio(stubs.tone(request.text), sample_rate=stubs.RATE_HZ)

    def write_down(self: Any, request: Any, **_: Any) -> tuple[str, str]:
        return stubs.heard(request.audio.data, 16_000), "text/plain"

    KokoroModelManager.handle_speech_request = say
    WhisperModelManager.handle_transcription_request = write_down
    SileroVADModelManager._load_fn = lambda self, _: lambda sound: stubs.loudness(sound[0], 512)[None]
    dependencies.decode_audio = _decoded
    for routes, kind in ((speech, "_kokoro_executor"), (stt, "_whisper_executor")):
        routes.get_model_card_data_or_raise = lambda _: None
        routes.find_executor_for_model_or_raise = lambda model, card, executors, kind=kind: _named(executors, kind)


def _named(executors: Any, kind: str) -> Any:
    return next(one for one in executors if one.name == kind.split("_")[1])


def _decoded(file: Any, sampling_rate: int) -> np.ndarray[Any, Any]:
    with wave.open(file, "rb") as sound:
        return np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(np.float32) / 32768


def _llm() -> FastAPI:
    """The LLM behind the server."""
    app = FastAPI()

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> StreamingResponse:
        asked = await request.json()
        said = [(one["role"], one["content"] if isinstance(one.get("content"), str) else "") for one in asked["messages"]]
        words, tool = stubs.answer(said, [one["function"]["name"] for one in asked.get("tools") or []])
        return StreamingResponse(_chunks(words, tool), media_type="text/event-stream")

    return app


async def _chunks(words: str, tool: str) -> AsyncIterator[str]:
    arguments = json.dumps({"job": "puncture"})
    call = {"index": 0, "id": f"call_{id(words)}", "type": "function", "function": {"name": tool, "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": arguments}}
    deltas: list[dict[str, Any]] = [{"content": f"{word} "} for word in words.split()]
    for delta in [{"tool_calls": [call]}, {"tool_calls": [rest]}] if tool else deltas:
        await asyncio.sleep(0.05)
        choice = {"index": 0, "delta": {"role": "assistant", **delta}, "finish_reason": None}
        chunk = {"id": "chat_1", "object": "chat.completion.chunk", "created": 1, "model": "stub", "choices": [choice]}
        yield f"data: {json.dumps(chunk)}\n\n"
    yield "data: [DONE]\n\n"


if __name__ == "__main__":
    main()
