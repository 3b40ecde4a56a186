"""`livekit-agents` has tests of what a realtime model must do: callfsm inside passes those that LiveKit's own OpenAI plugin passes here.

The tests are theirs, from a checkout, to the letter; the model behind both is a stand-in who says what it was told. What their plugin
does not pass here, as a parrot cannot answer it, counts for nobody.
"""

# /// script
# requires-python = ">=3.11"
# dependencies = [
#   "livekit-agents==1.8.9", "livekit-plugins-openai==1.8.9", "livekit-plugins-xai==1.8.9", "openai==3.52.0",
#   "pytest", "pytest-asyncio", "python-dotenv", "callfsm[livekit,stand-in]",
# ]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.uv.sources]
# callfsm = { path = "../..", editable = true }
# [tool.callfsm]
# stand-ins = []
# tests = "livekit/agents"
# ///

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from adapters.standin.dialogue import Call, Say, Turn
from adapters.standin.realtime.server import serve

TESTS = "tests/test_realtime"
OURS = "CALLFSM_INSIDE"
START_S, RUN_S = 60.0, 150.0
CONFTEST = f"""
import os

import pytest
from livekit.agents import utils
from livekit.plugins import openai, xai  # xai is a kind of openai, and made of it at import

THEIRS = openai.realtime.RealtimeModel
URL = os.environ["URL"]


def model(**settings):
    if "{OURS}" not in os.environ:
        return THEIRS(base_url=URL.replace("ws", "http", 1).removesuffix("/realtime"), api_key="none", **settings)
    from adapters.hosts.frameworks.livekit import CallfsmModel
    from adapters.realtime.settings import RealtimeSettings

    heard_by = settings["input_audio_transcription"].model
    return CallfsmModel(api_key=None, base_url=URL, settings=RealtimeSettings(instructions="", transcription=heard_by))


openai.realtime.RealtimeModel = model


@pytest.fixture
async def job_process():
    utils.http_context._new_session_ctx()
    yield
    await utils.http_context._close_http_ctx()
"""


class Parrot:
    """Says what it was told, calls the one function that it is offered, and can add two and two."""

    def answer(self, turn: Turn) -> Say | Call:
        """See Dialogue."""
        told = " ".join([turn.instructions, *turn.earlier, turn.heard]).strip()
        if turn.tool_output is not None:
            return Say(turn.tool_output)
        if turn.offers and "Use the tool" in told:
            [offer] = turn.offers
            return Call(offer.name, json.dumps(dict.fromkeys(offer.parameters["properties"], "Paris")))
        return Say("It is 4." if "2 + 2" in told else told or "Hello, how can I help you?")


def _serving() -> str:
    """The URL of a stand-in that ends with this process."""
    urls: list[str] = []
    ready = threading.Event()

    def on_ready(url: str) -> None:
        urls.append(url)
        ready.set()

    threading.Thread(target=lambda: asyncio.run(serve(port=0, dialogue=Parrot(), on_ready=on_ready)), daemon=True).start()
    if not ready.wait(START_S):
        raise SystemExit(f"the stand-in was not ready within {START_S:g} s")
    return urls[0]


def _passed(folder: Path, url: str, **chosen: str) -> dict[str, bool]:
    """Their tests of an OpenAI model, by name: does each pass?"""
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "--tb=line", "-k", "openai", "-o", "asyncio_mode=auto", str(folder)]
    environment: dict[str, Any] = {**os.environ, "URL": url, **chosen}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=RUN_S, check=False)
    return {name: how == "PASSED" for how, name in re.findall(r"^(PASSED|FAILED|ERROR) \S+::(\w+)\[openai\]", done.stdout, re.MULTILINE)}


def main() -> int:
    """Run both in a copy of their folder."""
    checkout, url = Path(sys.argv[1]), _serving()
    with tempfile.TemporaryDirectory(prefix="callfsm-livekit-") as name:
        folder = Path(name)
        for file in (*(checkout / TESTS).glob("*.wav"), checkout / TESTS / "test_realtime.py"):
            shutil.copy(file, folder)
        (folder / "conftest.py").write_text(CONFTEST)
        with ThreadPoolExecutor() as threads:
            theirs, ours = threads.map(lambda inside: _passed(folder, url, **inside), ({}, {OURS: "yes"}))
    judged = {name: ours.get(name, False) for name, passes in theirs.items() if passes}
    for name, passes in judged.items():
        print(f"{'ok   ' if passes else 'FAIL '} {name}", flush=True)
    print(f"not judged, as their own plugin does not pass them here: {', '.join(theirs.keys() - judged.keys()) or 'none'}")
    return 0 if judged and all(judged.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
