"""Claims about a whole call in a real browser: by voice, through its own microphone and loudspeaker, watched while it goes on."""

import json
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import attrs
import pytest
from anyio.abc import ByteSendStream
from anyio.from_thread import start_blocking_portal
from rich.console import Console

from adapters.hosts.embedded import StandIn
from adapters.hosts.page.server import PageServer, served
from adapters.hosts.page.talk import Talk
from adapters.hosts.phone.agent import ServedAgent
from adapters.realtime.settings import RealtimeSettings
from adapters.standin.orders import Orders
from adapters.standin.realtime.faults import REALTIME
from adapters.standin.voice import Voice
from adapters.telling.page.document import document_of
from adapters.telling.report import report_on
from adapters.telling.trace import Trace, read_trace
from adapters.telling.whatif import future_of
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from tests.shared.browser import Browser, Tab, chromium
from tests.shared.page_host import Host, page_host
from tests.shared.phone_model import ToneModel, tone
from tests.shared.shell import write_wav
from tests.shared.standin_client import QUICK, serving

pytestmark = pytest.mark.needs("Chromium")

SAID = ((1.2, "Yes."), (3.2, "No."), (5.0, "Thank you very much indeed."))
"""When in seconds the caller says what: a turn, an interruption of its answer, and one that is long, which is a goodbye to the model."""
HEARD_FOR_S = 14
TAP = """(() => {
  const { node, context } = live.talking, tap = new AnalyserNode(context, { fftSize: 128 }), samples = new Float32Array(128);
  node.connect(tap);
  globalThis.tapped = [];
  setInterval(() => { tap.getFloatTimeDomainData(samples); tapped.push([performance.now(), Math.max(...samples.map(Math.abs))]); }, 4);
})()"""
"""Listen to what the page gives its loudspeaker, every 4 ms, beside what the page knows of it."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    place, voice = tmp_path_factory.mktemp("browser"), Voice.load()
    pcm = bytearray()
    for at_s, text in SAID:
        pcm += bytes(max(0, round(at_s * 24_000) * 2 - len(pcm))) + b"".join(voice.speak(text))
    pcm += bytes(HEARD_FOR_S * 48_000 - len(pcm))
    caller = write_wav(place / "caller.wav", bytes(pcm))
    flags = ("--use-fake-device-for-media-stream", f"--use-file-for-fake-audio-capture={caller}", "--use-fake-ui-for-media-stream")
    with chromium(place / "profile", *flags) as one:
        yield one


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    out = tmp_path_factory.mktemp("host") / "calls"
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(page_host(out, ToneModel(answer_ms=3_000, goodbye_ms=400))) as one,
    ):
        yield one


@pytest.fixture(scope="module")
def held(browser: Browser, host: Host) -> tuple[Tab, Trace, list[float], list[list[float]]]:
    """A call to its end: its tab, its trace, when the page was told to be silent, and how loud it was."""
    tab = browser.tab()
    tab.open(host.url)
    tab.wait("globalThis.page")
    tab.click("#talk")
    tab.wait("live.talking?.node?.port && live.talking.socket?.readyState === 1")
    tab.run(TAP)
    tab.run("globalThis.line = live.talking")
    tab.wait("live.talking === null && !live.saved.hidden")
    [folder] = host.folders()
    return tab, read_trace(folder / "call.trace"), tab.run("line.cuts"), tab.run("tapped")


class Hum:
    """A voice without a model."""

    def speak(self, text: str, *, pace: float = 1.0) -> Iterator[bytes]:
        yield tone(400, 400)


@attrs.frozen
class Pipe:
    """The standard input of a stand-in that runs in this process."""

    orders: Orders

    async def send(self, line: bytes) -> None:
        self.orders.obey(line)


@contextmanager
def stand_in_page(tmp_path: Path) -> Iterator[str]:
    """The page before the stand-in, as `callfsm page` serves it."""
    orders = Orders(REALTIME)
    with serving(pace=QUICK, voice=Hum(), orders=orders) as url, start_blocking_portal() as portal:
        agent = ServedAgent(policy=Policy(voice="realtime"), settings=RealtimeSettings(), realtime_url=url, openai=True, line_sound="pcm")
        talk = Talk(agent=agent, out=tmp_path / "calls", console=Console(file=None, quiet=True))
        page = PageServer(source=talk.stage, talk=talk, stand_ins={"realtime": StandIn(url, cast(ByteSendStream, Pipe(orders)))})
        with portal.wrap_async_context_manager(served(page, 0)) as address:
            yield address


Held = tuple[Tab, Trace, list[float], list[list[float]]]


def test_a_call_by_voice_is_interrupted_and_ends_with_its_goodbye(held: Held) -> None:
    tab, trace, _, _ = held
    report = report_on(trace)
    assert tab.run("live.words.textContent") == "The goodbye was heard."
    assert report.ended == "the goodbye was heard"
    assert report.barge_ins
    assert tab.complaints == []


def test_a_browser_that_resamples_no_microphone_carries_a_call(browser: Browser, tmp_path: Path) -> None:
    """As Firefox: the microphone is heard at its own rate, and brought to ours."""
    refuses = """(() => {
      const connect = AudioContext.prototype.createMediaStreamSource;
      AudioContext.prototype.createMediaStreamSource = function (stream) {
        if (this.sampleRate === 24000) throw new DOMException("different sample-rate", "NotSupportedError");
        return connect.call(this, stream);
      };
    })()"""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(page_host(tmp_path / "calls", ToneModel(answer_ms=3_000, goodbye_ms=400))) as host,
    ):
        tab = browser.tab()
        tab.command("Page.addScriptToEvaluateOnNewDocument", source=refuses)
        tab.open(host.url)
        tab.wait("globalThis.page")
        tab.click("#talk")
        tab.wait("live.talking?.socket?.readyState === 1")
        tab.wait("live.talking === null && !live.saved.hidden")
        assert tab.run("live.words.textContent") == "The goodbye was heard."
        assert tab.complaints == []


def test_the_loudspeaker_is_silent_within_50_ms_of_the_callers_first_sound(held: Held) -> None:
    _, _, cuts, tapped = held
    assert cuts
    spoken = [at for at in cuts if any(level > 0.02 for ms, level in tapped if at - 120 < ms < at)]
    assert spoken, "at none of them the voice was heard"
    assert not [(ms - at, level) for at in spoken for ms, level in tapped if at + 50 < ms < at + 100 and level > 0.005]


def test_what_the_page_showed_live_is_what_the_trace_says(held: Held) -> None:
    tab, trace, _, _ = held
    shown: dict[str, Any] = tab.run("({ steps: page.model.steps, end: page.model.end, waits: page.model.waits })")
    document = json.loads(json.dumps(document_of(trace)))
    assert shown["steps"] == document["steps"]
    assert shown["end"]["ms"] == document["end"]["ms"]
    assert len(shown["waits"]) == len(report_on(trace).waits)
    assert tab.run("page.index") == len(document["steps"]) - 1
    assert tab.run("page.ms") == document["end"]["ms"]
    assert tab.run("Math.max(...page.timeline.levels.caller)") > 50
    assert tab.run("Math.max(...page.timeline.levels.agent)") > 50


def test_what_would_have_happened_is_shown_beside_what_did_and_can_be_saved(held: Held) -> None:
    tab, trace, _, _ = held
    spoke = [number for number, (event, _, _) in enumerate(trace.steps()) if isinstance(event, ev.SpeechStarted)][-1]
    wanted = future_of(trace, {"interruption_min_ms": 2_000}, frozenset({spoke}))
    assert wanted.difference
    tab.run(f"page.step({spoke}); page.go('future')")
    tab.click("#side .change + button")
    tab.wait("live.futures.now")
    tab.settle()
    tab.run("document.querySelector('.change input').value = '2000'")
    tab.click(".change button")
    tab.wait("live.futures.now?.call.policy.interruption_min_ms === 2000")
    assert tab.run("page.model.steps.map(step => [step.event, step.at])") == [[type(t.event).__name__, t.event.at_ms] for t in wanted.steps]
    assert wanted.difference.words in tab.run("document.querySelector('.outcome').innerText")
    assert tab.run("page.timeline.parting") == wanted.difference.at_ms
    assert tab.run("document.querySelector('.choices a').download") == "whatif.trace"
    assert tab.run("live.futures.saved") == wanted.text()
    tab.click(".choices button")
    tab.settle()
    assert tab.run("page.model.steps.length") == len(trace.lines)
    tab.click(".choices button:last-child")
    tab.settle()
    assert tab.run("page.timeline.ghost === null && page.model.steps.length") == len(trace.lines)


def test_an_event_is_put_in_and_a_deadline_is_dragged_by_hand(held: Held) -> None:
    tab, trace, _, _ = held
    spoke = next(at for at, (_, answer, _) in enumerate(trace.steps()) if any(isinstance(effect, fx.Hold) for effect in answer.effects))
    at_ms = trace.lines[spoke]["at_ms"]
    tab.run(f"page.step({spoke}); page.choose('interruption', 'diagram'); page.timeline.show({at_ms} - 300, 1000)")
    tab.settle()
    assert tab.run("document.querySelector('.diagram .now').innerText") == "suspected"
    assert tab.run("document.querySelector('.last-way code').innerText") == trace.lines[spoke]["event"]
    tab.click(".onward button")
    tab.wait("document.querySelector('.onward code') !== null")
    assert "InterruptionExpired" in tab.run("document.querySelector('.onward').innerText")
    find = "page.timeline.hits.find(hit => hit.due === 'interruption')"
    box = tab.run(
        f"(hit => {{ const at = page.timeline.canvas.getBoundingClientRect(); return [at.left + hit.x + 5, at.top + hit.y + 11] }})({find})"
    )
    tab.drag(box[0], box[1], 100)
    tab.wait("live.futures.now !== null")
    tab.settle()
    was, now = trace.call.policy.interruption_min_ms, tab.run("live.futures.now.call.policy.interruption_min_ms")
    assert now == pytest.approx(was + 100 * 1000 / tab.run("page.timeline.width"), abs=2)
    tab.click(".choices button:last-child")
    tab.wait("live.futures.now === null")
    tab.run(f"page.step({spoke}); page.go('future'); live.futures.event = 'CallerHungUp'; page.shown = null; page.side()")
    tab.click(".put-in .change button")
    tab.wait("live.futures.now !== null")
    tab.settle()
    wanted = future_of(trace, {}, added=[ev.CallerHungUp(at_ms, "")])
    assert wanted.difference.words in tab.run("document.querySelector('.outcome').innerText")
    assert tab.run("page.model.steps.length") == len(wanted.steps)
    assert tab.run("[...document.querySelectorAll('.choices a')].map(one => one.download)") == ["whatif.trace", "test_whatif.py"]
    tab.click(".choices button:last-child")
    tab.settle()
    assert tab.complaints == []


def test_a_trace_that_is_opened_is_shown_with_its_sound(held: Held, browser: Browser, host: Host) -> None:
    _, trace, _, _ = held
    folder = host.folders()[0]
    tab = browser.tab()
    tab.open(host.url)
    tab.wait("globalThis.page")
    node = tab.command("DOM.getDocument")["root"]["nodeId"]
    chosen = tab.command("DOM.querySelector", nodeId=node, selector="#live input")["nodeId"]
    tab.command("DOM.setFileInputFiles", nodeId=chosen, files=[str(folder / "call.wav"), str(folder / "call.html")])
    tab.wait("live.words.textContent === 'That is no call.trace.'")
    tab.command("DOM.setFileInputFiles", nodeId=chosen, files=[str(folder / "call.wav"), str(folder / "call.trace")])
    tab.wait("live.words.textContent === 'call.trace is open.'")
    assert tab.run("page.model.steps.length") == len(trace.lines)
    with wave.open(str(folder / "call.wav")) as wav:
        assert tab.run("page.timeline.levels.size") == pytest.approx(wav.getnframes() / 240, abs=1)
    tab.click("#play")
    tab.wait("page.ms > 100")
    assert tab.complaints == []


def test_another_tab_is_shown_the_same_call_and_told_when_one_talks(held: Held, browser: Browser, host: Host) -> None:
    tab, trace, _, _ = held
    other = browser.tab()
    other.open(host.url, dark=True)
    other.wait(f"globalThis.page?.model.steps.length === {len(trace.lines)}")
    tab.click("#talk")
    tab.wait("live.goes")
    other.click("#talk")
    other.wait("live.talking === null && live.words.textContent.startsWith('Another tab talks')")
    other.wait("live.goes && page.model.steps.length > 3")
    tab.click("#talk")
    other.wait("!live.goes && page.model.end")
    assert other.run("page.model.end.figures.find(([name]) => name === 'ended')[1]").startswith("the caller hung up: the caller pressed")
    assert other.complaints == []


def test_the_tab_that_goes_hangs_up(held: Held, browser: Browser, host: Host) -> None:
    tab = browser.tab()
    tab.open(host.url)
    tab.wait("globalThis.page")
    tab.click("#talk")
    tab.wait("live.goes")
    before = set(host.folders())
    tab.command("Page.navigate", url="about:blank")
    watching, *_ = held
    watching.wait("!live.goes && page.model.end")
    assert watching.run("page.model.end.figures.find(([name]) => name === 'ended')[1]").startswith("the caller hung up: the page is gone")
    assert before == set(host.folders())


def test_who_hangs_up_before_the_call_begins_holds_none(held: Held, browser: Browser, host: Host) -> None:
    before = host.folders()
    tab = browser.tab()
    tab.open(host.url)
    tab.wait("globalThis.page")
    tab.run("{ live.press(); globalThis.line = live.talking; live.press(); }")
    tab.wait("line.stream?.getTracks().every(track => track.readyState === 'ended')")
    assert tab.run("[live.words.textContent, live.talk.textContent, line.socket === undefined]") == ["The call is over.", "Talk", True]
    assert host.folders() == before


def test_the_stand_in_fails_as_the_buttons_say_and_the_call_goes_on(browser: Browser, tmp_path: Path) -> None:
    with stand_in_page(tmp_path) as url:
        tab = browser.tab()
        tab.open(url)
        tab.wait("globalThis.page")
        assert tab.run("[...document.querySelectorAll('#faults button')].map(one => one.innerText)") == [
            "Break the line",
            "Lose the session",
            "Double a message",
            "Slow the voice",
        ]
        assert tab.run("[...document.querySelectorAll('#faults button')].every(one => one.disabled)")
        count = "page.model.steps.filter(step => step.event === '{}').length"
        tab.click("#talk")
        tab.wait(f"{count.format('SessionConfirmed')} === 1")
        for number, nth in ((1, 1), (2, 2)):
            tab.click(f"#faults button:nth-child({nth})")
            tab.wait(f"{count.format('SessionLost')} === {number} && {count.format('SessionConfirmed')} > {number}")
        tab.click("#talk")
        tab.wait("!live.goes && page.model.end")
        assert tab.complaints == []
