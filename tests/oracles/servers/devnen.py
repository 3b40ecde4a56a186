"""`devnen/Chatterbox-TTS-Server`: its own server with a tone for its model."""

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "fastapi==0.115.14",
#   "uvicorn==0.38.0",
#   "numpy==2.3.4",
#   "python-multipart==0.0.20",
#   "soundfile==0.13.1",
#   "librosa==0.11.0",
#   "pydub==0.25.1",
#   "PyYAML==6.0.3",
#   "jinja2==3.1.6",
#   "aiofiles==25.1.0",
#   "watchdog==6.0.0",
#   "unidecode==1.4.0",
#   "inflect==7.5.0",
#   "tqdm==4.67.1",
#   "requests==2.32.5",
# ]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.callfsm]
# server = "devnen/Chatterbox-TTS-Server"
# stand-ins = ["realtime --words-per-s 12"]
# call = "--realtime {realtime} --chatterbox http://127.0.0.1:{port}"
# ///

import webbrowser

import stubs


def main() -> None:
    """Serve it."""
    stubs.torch_of_numpy()
    stubs.chatterbox_of_tones()
    stubs.checkout()
    webbrowser.open = lambda *_, **__: True
    from server import app

    stubs.serve(app, stubs.listening())


if __name__ == "__main__":
    main()
