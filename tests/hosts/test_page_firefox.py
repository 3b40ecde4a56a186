"""Claims about a whole call in Firefox: by voice, through a microphone that it connects at its own rate alone."""

import json
import time
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from adapters.standin.voice import Voice
from adapters.telling.page.document import document_of
from adapters.telling.report import report_on
from adapters.telling.trace import read_trace
from tests.shared.firefox import FirefoxTab, firefox
from tests.shared.page_host import page_host
from tests.shared.phone_model import ToneModel
from tests.shared.pulse import Pulse
from tests.shared.shell import PATIENCE_S

pytestmark = pytest.mark.needs("Firefox", "PulseAudio")


def say(pulse: Pulse, voice: Voice, words: tuple[str, int], tab: FirefoxTab, until: str) -> None:
    """Have the caller say it, and be silent for so many seconds, again and again, until something is so on the page."""
    text, silent_s = words
    pcm, until_s = b"".join(voice.speak(text)) + bytes(48_000 * silent_s), time.monotonic() + PATIENCE_S
    while not tab.run(until):
        assert time.monotonic() < until_s, f"never: {until}; the page complains: {tab.complaints}"
        with pulse.speaking(pcm) as speaker:
            while speaker.poll() is None and not tab.run(until):
                time.sleep(0.02)


def test_a_call_by_voice_is_interrupted_ends_with_its_goodbye_and_is_shown_as_it_was(tmp_path: Path) -> None:
    voice, pulse, profile = Voice.load(), Pulse(), tmp_path / "profile"
    profile.mkdir()
    pulse.plug_in_microphone()
    try:
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(page_host(tmp_path / "calls", ToneModel(answer_ms=3_000, goodbye_ms=400))) as host,
            firefox(profile, **pulse.variables) as tab,
        ):
            tab.open(host.url)
            tab.wait("globalThis.page")
            tab.click("#talk")
            tab.wait("page.model.steps.some(step => step.event === 'PlayoutFinished')")
            say(pulse, voice, ("Yes.", 1), tab, "page.model.spans.get('phase').at(-1).state === 'ai_speaking'")
            say(pulse, voice, ("No.", 1), tab, "page.model.steps.some(step => step.signals.includes('BargedIn'))")
            say(pulse, voice, ("Thank you very much indeed.", 15), tab, "live.talking === null && !live.saved.hidden")
            [folder] = host.folders()
            trace = read_trace(folder / "call.trace")
            assert tab.run("live.words.textContent") == "The goodbye was heard."
            assert report_on(trace).barge_ins
            assert tab.run("page.model.steps") == json.loads(json.dumps(document_of(trace)))["steps"]
            tab.open((folder / "call.html").as_uri())
            tab.wait("globalThis.page")
            tab.click("#play")
            tab.wait("page.ms > 300")
            assert tab.complaints == []
    finally:
        pulse.close()
