"""`travisvn/chatterbox-tts-api`: its own server with a tone for its model."""

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "fastapi==0.121.1",
#   "uvicorn==0.38.0",
#   "numpy==2.3.4",
#   "pydantic==2.12.4",
#   "python-multipart==0.0.20",
#   "sse-starlette==3.0.3",
#   "python-dotenv==1.2.1",
#   "psutil==7.1.3",
#   "pydub==0.25.1",
# ]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.callfsm]
# server = "travisvn/chatterbox-tts-api"
# stand-ins = ["realtime --words-per-s 12"]
# call = "--realtime {realtime} --chatterbox http://127.0.0.1:{port}"
# ///

import os
import wave
from pathlib import Path

import stubs


def main() -> None:
    """Serve it."""
    stubs.torch_of_numpy()
    stubs.chatterbox_of_tones()
    stubs.hollow("safetensors")
    stubs.checkout()
    with wave.open("voice.wav", "wb") as file:
        file.setparams((1, 2, stubs.RATE_HZ, 0, "NONE", "not compressed"))
        file.writeframes(bytes(stubs.RATE_HZ))
    os.environ["VOICE_SAMPLE_PATH"] = str(Path("voice.wav").absolute())
    from app.main import app

    stubs.serve(app, stubs.listening())


if __name__ == "__main__":
    main()
