"""Claims about a call's page in a real browser: what it shows is what the trace says, by mouse and keyboard, without asking anybody."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.telling import folder
from adapters.telling.trace import Trace, read_trace
from fsm.call.machine import CALL
from fsm.call.snapshot import Call
from tests.shared.browser import Browser, Tab, chromium
from tests.shared.shell import ROOT, write_wav

RECORDED = ROOT / "tests/bench/recorded.trace"
STATES = "[...document.querySelectorAll('.states tbody tr:not(.record)')].map(row => [row.cells[0].innerText, row.cells[1].innerText])"

LOOK = f"{{ page.step(at); page.now(); shown.push({STATES}); }}"

pytestmark = pytest.mark.needs("Chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a call with its page."""
    place = tmp_path_factory.mktemp("call")
    shutil.copy(RECORDED, place / "call.trace")
    stereo(place / "call.wav")
    folder.tell(place)
    return place


@pytest.fixture(scope="module")
def opened(browser: Browser, told: Path) -> Tab:
    """The page of the call in a tab."""
    tab = browser.tab()
    tab.open((told / "call.html").as_uri())
    tab.wait("globalThis.page")
    return tab


@pytest.fixture
def tab(opened: Tab, told: Path) -> Iterator[Tab]:
    """The same, from the call's beginning; it must have nothing to complain of, and ask for nothing but itself."""
    opened.run("document.activeElement.blur(); page.choose('phase', 'states'); page.step(-1)")
    yield opened
    opened.settle()
    assert opened.complaints == []
    assert opened.fetched == [(told / "call.html").as_uri()]


def stereo(path: Path) -> None:
    """Three seconds of a tone on both sides."""
    tone = (9_000 * np.sin(np.arange(72_000) / 20)).astype("<i2")
    write_wav(path, np.stack([tone, tone], axis=1).tobytes(), channels=2)


@pytest.fixture(scope="module")
def trace() -> Trace:
    return read_trace(RECORDED)


def snapshots(trace: Trace) -> list[Call]:
    return [answer.snapshot for _, answer, _ in trace.steps()]


def test_at_any_step_the_page_shows_the_states_of_the_call(tab: Tab, trace: Trace) -> None:
    shown = tab.run(f"{{ const shown = []; for (let at = 0; at < page.model.steps.length; at += 4) {LOOK} shown; }}")
    assert shown == [[[region.name, getattr(call, region.name).state.name] for region in CALL.regions] for call in snapshots(trace)[::4]]


def test_the_keys_walk_through_the_call(tab: Tab, trace: Trace) -> None:
    tab.press("Home")
    for _ in range(3):
        tab.press("ArrowRight")
    assert tab.run("page.index") == 2
    tab.settle()
    events = [line["event"] for line in trace.lines]
    assert tab.run("document.querySelector('.event.on .name').innerText") == events[2]
    assert tab.run("document.querySelector('.what h2').innerText").startswith(events[2])
    tab.press("End")
    assert tab.run("page.index") == len(events) - 1
    tab.press("2")
    tab.press("ArrowDown")
    tab.settle()
    assert tab.run("document.querySelector('#side').dataset.tab") == "table"
    assert tab.run("page.region") == "response"


def test_a_click_on_the_lanes_moves_everything_to_that_moment(tab: Tab, trace: Trace) -> None:
    box: dict[str, Any] = tab.run("document.querySelector('canvas').getBoundingClientRect().toJSON()")
    tab.click_at(box["x"] + box["width"] / 2, box["y"] + 60)
    tab.settle()
    ms = tab.run("page.ms")
    assert abs(ms - trace.lines[-1]["at_ms"] / 2) < trace.lines[-1]["at_ms"] / 100
    index = sum(line["at_ms"] <= ms for line in trace.lines) - 1
    call = snapshots(trace)[index]
    assert tab.run(STATES) == [[region.name, getattr(call, region.name).state.name] for region in CALL.regions]


def test_a_barge_in_says_which_row_fired_and_why_not_the_rows_above(tab: Tab) -> None:
    tab.run("page.step(page.model.steps.findIndex(step => step.signals.includes('BargedIn')))")
    tab.settle()
    card = tab.run("document.querySelector('.card').innerText")
    assert card.startswith("interruption")
    assert "fsm/call/interruption.py:" in card
    assert "BargedIn" in card
    tab.click(".card summary")
    assert "unverified" in tab.run("document.querySelector('.card .whynot').innerText")
    tab.click(".card .region")
    tab.settle()
    assert "raises BargedIn" in tab.run("document.querySelector('#side .lit').innerText.replace(/\\s+/g, ' ')")
    assert tab.run("[...document.querySelectorAll('#side .lit .times')].every(one => /^[1-9]/.test(one.innerText))")


def test_an_event_that_has_just_come_is_shown_whole(tab: Tab) -> None:
    tab.settle()
    tab.run("{ const { steps } = page.model; globalThis.rest = steps.splice(20); page.events.shown = null; page.events.now(); }")
    tab.run("page.model.steps.push(...rest); page.events.select(page.model.steps.length - 1)")
    tab.settle()
    bottoms = tab.run("['.event.on', '#events .list'].map(one => document.querySelector(one).getBoundingClientRect().bottom)")
    assert bottoms[0] < bottoms[1] + 1


def test_the_filter_leaves_the_events_that_fit(tab: Tab, trace: Trace) -> None:
    tab.press("/")
    tab.command("Input.insertText", text="ResponseCreated")
    tab.settle()
    assert tab.run("[...new Set([...document.querySelectorAll('.event .name')].map(one => one.innerText))]") == ["ResponseCreated"]
    assert tab.run("page.events.list().length") == sum(line["event"] == "ResponseCreated" for line in trace.lines)


def test_the_sound_is_heard_from_the_cursor_and_moves_it(tab: Tab) -> None:
    tab.press(" ")
    tab.wait("page.ms > 300")
    assert tab.run("document.querySelector('#play').innerText") == "Pause"
    assert tab.run("Math.max(...page.sound.sides.getChannelData(0).subarray(100, 1000))") == pytest.approx(9_000 / 32_768, abs=0.01)
    tab.press(" ")
    assert tab.run("page.sound.playing === null")


def test_a_redacted_page_shows_the_call_without_its_words(browser: Browser, told: Path) -> None:
    tab = browser.tab()
    tab.open(folder.tell_redacted(told).as_uri(), dark=True)
    tab.run("page.go('words'); page.step(40)")
    tab.settle()
    words = tab.run("[...document.querySelectorAll('#side .text')].map(one => one.innerText)")
    assert words
    assert set(words) == {"…"}
    assert tab.run("document.querySelector('#play').hidden")
    assert tab.run("page.timeline.levels.size") > 0
    assert tab.complaints == []


def test_a_cut_call_fits_a_phone_and_says_that_it_was_cut(browser: Browser, tmp_path: Path) -> None:
    whole = RECORDED.read_bytes()
    (tmp_path / "call.trace").write_bytes(whole[: len(whole) // 2])
    stereo(tmp_path / "call.wav")
    folder.tell(tmp_path)
    tab = browser.tab()
    tab.open((tmp_path / "call.html").as_uri(), width=390, height=844, phone=True)
    assert tab.wait("document.querySelector('#cut').innerText").startswith("cut:")
    assert tab.run("document.documentElement.scrollWidth") <= 390
    tab.look(340, 740, phone=True)
    tab.settle()
    assert tab.run("Math.max(...[...document.querySelectorAll('.tools button')].map(one => one.getBoundingClientRect().right))") <= 340
    assert tab.complaints == []
