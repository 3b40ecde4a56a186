"""`huggingface/speech-to-speech`: its own realtime server, the LLM and the transcriber behind it stubs, a tone for its voice."""

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "fastapi==0.121.1",
#   "uvicorn==0.38.0",
#   "websockets==15.0.1",
#   "numpy==2.3.4",
#   "scipy==1.16.3",
#   "openai==2.28.0",
#   "pydantic==2.12.4",
#   "python-multipart==0.0.20",
#   "httpx==0.28.1",
#   "jsonschema==4.25.1",
#   "rich==14.2.0",
#   "requests==2.32.5",
#   "pillow==12.0.0",
# ]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.callfsm]
# server = "huggingface/speech-to-speech"
# call = "--realtime ws://127.0.0.1:{port}/v1/realtime --server chained --set reconnect_pause_ms=1500"
# ways = [
#   "--voice realtime --set create_response=true",
#   "--voice realtime --set create_response=true --interrupts server",
#   "--voice chatterbox --chatterbox {chatterbox}",
# ]
# stand-ins = ["chatterbox"]
# warns = ["conversation_already_has_active_response", "unknown_or_invalid_event"]
# ///

import re
import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import stubs
import upstream


class Detector:
    """In the place of Silero's model: whatever is loud is speech."""

    def __call__(self, sound: Any, _: int) -> Any:
        return stubs.loudness(np.asarray(sound), sound.size)[0]

    def reset_states(self) -> None:
        """There are none."""


class Voice:
    """In the place of Pocket TTS: a tone, a piece of 80 ms at a time, somewhat faster than it is heard."""

    sample_rate = stubs.RATE_HZ

    @classmethod
    def load_model(cls, **_: Any) -> "Voice":
        """There is nothing to load."""
        return cls()

    def get_state_for_audio_prompt(self, _: str) -> None:
        """There is one voice."""

    def generate_audio_stream(self, _: None, text: str, **__: Any) -> Iterator[Any]:
        """The sound of a text."""
        sound = stubs.tone(text)
        for at in range(0, sound.size, stubs.RATE_HZ * 80 // 1000):
            threading.Event().wait(0.03)
            yield stubs.tensor(sound[at : at + stubs.RATE_HZ * 80 // 1000])


def main() -> None:
    """Serve it."""
    stubs.torch_of_numpy()
    stubs.hollow("transformers", "nltk", "df", "sounddevice", "onnxruntime", "huggingface_hub", "lingua")
    sys.modules["torch"].hub = types.SimpleNamespace(load=lambda *_, **__: (Detector(), None))
    sys.modules["pocket_tts"] = stubs.Hollow("pocket_tts")
    sys.modules["pocket_tts"].TTSModel = Voice
    sys.path.insert(0, str(stubs.checkout() / "src"))
    import nltk

    nltk.data = types.SimpleNamespace(find=lambda _: None)
    nltk.sent_tokenize = lambda text: re.findall(r"\S.*?(?:[.!?](?=\s|$)|$)", text, re.DOTALL)
    listener = stubs.listening()
    stubs.serve(_app(upstream.start()), listener)


def _app(behind: str) -> Any:
    """The server's own application over one pipeline of its own, whose LLM and transcriber are at `behind`."""
    from speech_to_speech.api.openai_realtime.websocket_router import create_app
    from speech_to_speech.arguments_classes.module_arguments import ModuleArguments
    from speech_to_speech.arguments_classes.vad_arguments import VADHandlerArguments
    from speech_to_speech.backend_registry import LLM_BACKENDS, STT_BACKENDS, TTS_BACKENDS, select_backend
    from speech_to_speech.s2s_pipeline import _build_pipeline_unit
    from speech_to_speech.utils.thread_manager import ThreadManager

    def backend(registry: Any, name: str, **fields: Any) -> Any:
        return select_backend(registry, name, registry[name].config_type(**fields))

    stop = threading.Event()
    unit = _build_pipeline_unit(
        index=0,
        stop_event=stop,
        module_kwargs=ModuleArguments(),
        vad_handler_kwargs=VADHandlerArguments(smart_turn=False),
        stt_backend=backend(STT_BACKENDS, "openai", openai_stt_base_url=behind),
        llm_backend=backend(
            LLM_BACKENDS, "chat-completions", responses_api_base_url=behind, responses_api_api_key="none", responses_api_stream=True
        ),
        tts_backend=backend(TTS_BACKENDS, "pocket"),
    )
    ThreadManager(unit.handlers).start()
    return create_app(pool=[unit], stop_event=stop)


if __name__ == "__main__":
    main()
