"""Claims about a browser as a line: each sample is heard once and in order, and what was heard is what the page says that it played."""

import json
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import numpy as np
import pytest

from adapters.browser.line import AHEAD_S, BrowserLine
from adapters.browser.wire import HEAD, Wire
from adapters.seam.channel import ChannelClosed
from adapters.seam.ports import FRAME_BYTES, RATE_HZ
from fsm.call.effects import Admit, Flush, HangUp, Hold, Reason, Resume
from fsm.call.events import (
    CallerHungUp,
    DeviceFailed,
    Event,
    LineClosed,
    LineOpened,
    PlayoutFinished,
    PlayoutProgressed,
    PlayoutStopped,
)
from tests.shared.shell import channels, distinct as sound

pytestmark = pytest.mark.virtual_time

TICK = 480
QUANTUM = 128


@attrs.define(eq=False)
class Page:
    """A page as `line.js` is: a channel that plays and hears on the clock of the event loop, a render quantum at a time."""

    waiting: deque[bytes] = attrs.Factory(deque)
    heard: bytearray = attrs.Factory(bytearray)
    """What was played, silence left out."""
    played: int = 0
    most: int = 0
    """The most samples that ever waited."""
    answers: deque[str | bytes] = attrs.Factory(deque)
    gone: str = ""
    hears: bool = True
    obeys: bool = True
    ticks: int = 0

    async def receive(self) -> str | bytes:
        while not self.answers:
            if not self.hears:
                await anyio.sleep_forever()
            await anyio.sleep(TICK / RATE_HZ)
            self.play(TICK)
            self.ticks += 1
            self.answers.append(HEAD.pack(self.played) + np.full(TICK, self.ticks, "<i2").tobytes())
            if self.gone:
                raise ChannelClosed(self.gone)
        return self.answers.popleft()

    def play(self, samples: int) -> None:
        while samples and self.waiting:
            piece = self.waiting.popleft()
            now, rest = piece[: 2 * samples], piece[2 * samples :]
            self.heard += now
            self.played += len(now) // 2
            samples -= len(now) // 2
            if rest:
                self.waiting.appendleft(rest)

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self.waiting.append(message)
            self.most = max(self.most, sum(map(len, self.waiting)) // 2)
        elif self.obeys:
            self.play(QUANTUM)
            self.waiting.clear()
            self.answers.append(json.dumps({"cut": json.loads(message)["cut"], "played": self.played}))


@asynccontextmanager
async def held(tmp_path: Path, page: Page) -> AsyncIterator[tuple[BrowserLine, list[Event]]]:
    """A line with this page while the block lasts, and what it posts."""
    posted: list[Event] = []

    def post(event: Callable[..., Event], *fields: Any) -> None:
        posted.append(event(anyio.current_time() * 1000, *fields))

    line = BrowserLine(page, tmp_path / "call.wav")
    async with anyio.create_task_group() as group:
        group.start_soon(line.run, post)
        await anyio.sleep(0.1)
        yield line, posted
        if line.line.value == "open":
            line.do(HangUp(Reason.GOODBYE))


def of(posted: list[Event], kind: type[Event]) -> list[Any]:
    return [event for event in posted if isinstance(event, kind)]


async def test_every_sample_is_played_once_and_in_order_also_through_holds(tmp_path: Path) -> None:
    page, said = Page(), sound(1_000)
    async with held(tmp_path, page) as (line, posted):
        line.do(Admit("r1"))
        line.play("r1", said[:20_000])
        for _ in range(4):
            await anyio.sleep(0.093)
            line.do(Hold())
            await anyio.sleep(0.15)
            assert not page.waiting
            line.do(Resume())
        line.play("r1", said[20_000:])
        await anyio.sleep(1.5)
    assert bytes(page.heard) == said
    assert page.most <= AHEAD_S * RATE_HZ + TICK
    assert of(posted, PlayoutFinished)[-1].played_ms == pytest.approx(1_000)
    assert isinstance(posted[0], LineOpened)
    assert isinstance(posted[-1], LineClosed)


async def test_a_flush_is_answered_with_what_the_page_played_to_the_sample(tmp_path: Path) -> None:
    page = Page()
    async with held(tmp_path, page) as (line, posted):
        line.do(Admit("r1"))
        line.play("r1", sound(1_000))
        await anyio.sleep(0.333)
        line.do(Hold())
        line.do(Flush("r1"))
        line.do(Resume())
        await anyio.sleep(0.1)
        assert not page.waiting
        line.do(Admit("r2"))
        line.play("r2", sound(100, 2))
        await anyio.sleep(0.3)
    [stopped] = of(posted, PlayoutStopped)
    played = len(page.heard) // 2 - 2_400
    assert stopped.played_ms == pytest.approx(played * 1000 / RATE_HZ, abs=0.05)
    assert stopped.received_ms == pytest.approx(1_000)
    assert bytes(page.heard) == sound(1_000)[: 2 * played] + sound(100, 2)


async def test_progress_is_never_told_before_it_was_heard(tmp_path: Path) -> None:
    page = Page()
    async with held(tmp_path, page) as (line, posted):
        line.do(Admit("r1"))
        line.play("r1", sound(2_000))
        await anyio.sleep(2.5)
    began_ms = of(posted, PlayoutProgressed)[0].at_ms
    ahead = [event.played_ms - (event.at_ms - began_ms) for event in of(posted, PlayoutProgressed)]
    assert len(ahead) >= 4
    assert max(ahead) <= 40 + 1e-6


@pytest.mark.parametrize(
    ("trouble", "words"),
    [({"hears": False}, "sent no sound for 5 s"), ({"obeys": False}, "did not fall silent within 5 s")],
    ids=["a tab that sleeps", "a page that plays on"],
)
async def test_a_page_that_carries_no_call_any_more_ends_it_in_one_line(tmp_path: Path, trouble: dict[str, bool], words: str) -> None:
    page = Page()
    async with held(tmp_path, page) as (line, posted):
        line.do(Admit("r1"))
        line.play("r1", sound(1_000))
        await anyio.sleep(0.2)
        for name, value in trouble.items():
            setattr(page, name, value)
        line.do(Hold())
        await anyio.sleep(6)
    failed = of(posted, DeviceFailed)
    assert len(failed) == 1
    assert words in failed[0].reason


@pytest.mark.parametrize(("last", "words"), [(None, "the page is gone: closed with 1001"), ('{"left": true}', "pressed the button")])
async def test_a_caller_who_goes_has_hung_up(tmp_path: Path, last: str | None, words: str) -> None:
    page = Page()
    async with held(tmp_path, page) as (_, posted):
        page.gone = "" if last else "closed with 1001"
        if last:
            page.answers.append(last)
        await anyio.sleep(0.2)
    [left] = of(posted, CallerHungUp)
    assert words in left.reason


ODD: tuple[str | bytes, ...] = (
    b"",
    bytes(FRAME_BYTES),
    bytes(70_000),
    "",
    "[]",
    "nonsense",
    '{"cut": true, "played": 0}',
    '{"cut": 7, "played": 5}',
    '{"cut": 1, "played": -1}',
    '{"cut": 1e400, "played": 1}',
    "[" * 150,
    "x" * 1_000,
    '{"left": 1}',
    HEAD.pack(2**32 - 1) + bytes(FRAME_BYTES),
)


async def test_odd_messages_are_set_aside_and_move_nothing(tmp_path: Path) -> None:
    page, said = Page(), sound(500)

    async with held(tmp_path, page) as (line, posted):
        line.do(Admit("r1"))
        line.play("r1", said)
        for odd in ODD:
            page.answers.append(odd)
            await anyio.sleep(0.03)
        await anyio.sleep(1)
    assert bytes(page.heard) == said
    assert isinstance(posted[-1], LineClosed)
    aside = {name: count for name, count in line.counts.items() if name.startswith("set aside")}
    # A cut that nobody asked for, and a count that cannot be, can be read: they are believed as far as they can be.
    assert sum(aside.values()) == len(ODD) - 2
    assert [Wire().receive(odd) for odd in ODD[:5]] == [None] * 5


async def test_both_sides_are_recorded_as_they_were_heard(tmp_path: Path) -> None:
    page, said = Page(), sound(600)

    async with held(tmp_path, page) as (line, _):
        line.do(Admit("r1"))
        await anyio.sleep(0.4)
        line.play("r1", said)
        await anyio.sleep(1)
    caller, agent = channels(tmp_path / "call.wav")
    assert list(np.unique(caller[caller > 0])) == list(range(1, page.ticks + 1))
    begin = int(np.flatnonzero(agent)[0])
    assert (agent[begin : begin + len(said) // 2] == np.frombuffer(said, "<i2")).all()
    assert 0.4 < begin / RATE_HZ < 0.6
