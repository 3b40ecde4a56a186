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
# ways = ["", "--interrupts server --set create_response=true"]
# warns = ["invalid_request_error", "server_error"]
# ///

import os
import sys
import wave
from typing import Any

import numpy as np
import stubs
import upstream

NEURAL = ("kokoro_onnx", "piper", "pyannote", "onnx_asr", "onnxruntime", "torch", "aiortc", "gradio", "sounddevice", "ctranslate2")


def main() -> None:
    """Serve it."""
    stubs.hollow(*NEURAL, "faster_whisper", "opentelemetry.sdk", "opentelemetry.exporter")
    copy = stubs.checkout()
    sys.path.insert(0, str(copy / "src"))
    (copy / "realtime-console" / "dist").mkdir(parents=True, exist_ok=True)
    listener = stubs.listening()
    port = str(listener.getsockname()[1])
    os.environ |= {"UVICORN_HOST": "127.0.0.1", "UVICORN_PORT": port, "LOOPBACK_HOST_URL": f"http://127.0.0.1:{port}", "ENABLE_UI": "false"}
    os.environ |= {"CHAT_COMPLETION_BASE_URL": upstream.start(), "LOG_LEVEL": "warning"}
    _without_models()
    from speaches.main import create_app

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


if __name__ == "__main__":
    main()
