"""Claims about the thread that owns the sound library, against a driver that fails, hangs and lies as no sound system does to order."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from adapters.audio import keeper as sound_keeper
from adapters.audio.keeper import Keeper
from adapters.audio.library import Endpoint, SoundLost, load
from tests.shared.shell import PATIENCE_S, each_backend

pytestmark = pytest.mark.needs("PortAudio")


class Driver:
    """A driver that notes what it is told, and may fail to do it: `faults` says which word fails how often, `hangs` which never returns."""

    active = True

    def __init__(self, faults: dict[str, int] | None = None, hangs: str = "") -> None:
        self.told: list[str] = []
        self.let_go = threading.Event()
        self._faults = faults or {}
        self._hangs = hangs
        self._changed = threading.Condition()

    def make(self, _: float) -> "Driver":
        """Open."""
        self._do("open")
        return self

    def start(self) -> None:
        """Begin."""
        self._do("start")

    def abort(self, ignore_errors: bool = True) -> None:
        """Stop; the fault is told to those alone who ask for it."""
        try:
            self._do("abort")
        except load().PortAudioError:
            if not ignore_errors:
                raise

    def close(self) -> None:
        """Close."""
        self._do("close")

    def on_silence(self, _: float) -> None:
        """The owner is told that it is silent."""
        self._do("silent")

    async def until_told(self, word: str, times: int = 1) -> None:
        """Wait until it was told something so often."""

        def wait() -> None:
            with self._changed:
                assert self._changed.wait_for(lambda: self.told.count(word) >= times, PATIENCE_S)

        await anyio.to_thread.run_sync(wait)

    def _do(self, word: str) -> None:
        with self._changed:
            self.told.append(word)
            self._changed.notify_all()
        if self._hangs == word:
            self.let_go.wait(PATIENCE_S)
        if self._faults.get(word, 0):
            self._faults[word] -= 1
            raise load().PortAudioError(f"no {word}")


def keeper_of(driver: Driver) -> Keeper:
    """A keeper of a loudspeaker with this driver."""
    return Keeper(Endpoint(0, "box", "loudspeaker", 24_000), driver.make, driver.on_silence)


def nobody() -> None:
    """Nobody listens for rings."""


@asynccontextmanager
async def kept(keeper: Keeper) -> AsyncIterator[None]:
    """A keeper at work."""
    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(keeper.run, nobody)
            yield
            group.cancel_scope.cancel()


@each_backend
async def test_a_stream_that_cannot_begin_is_closed_before_another_is_opened() -> None:
    driver = Driver(faults={"start": 1})

    async with kept(keeper_of(driver)):
        await driver.until_told("start", 2)
    assert driver.told == ["open", "start", "abort", "close", "silent", "open", "start", "abort", "close"]


async def test_a_device_is_open_when_it_calls_back_and_not_before() -> None:
    driver = Driver()
    keeper = keeper_of(driver)

    async with kept(keeper):
        await driver.until_told("start")
        assert not keeper.is_open
        keeper.calling(lambda *_: None)(b"", 0, None, None)
        assert keeper.is_open


async def test_a_lost_stream_is_silent_before_it_is_told_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_keeper, "STALL_S", 0.04)
    monkeypatch.setattr(sound_keeper, "START_S", 0.04)
    driver = Driver()

    async with kept(keeper_of(driver)):
        await driver.until_told("open", 2)
    assert driver.told[:6] == ["open", "start", "abort", "close", "silent", "open"]


async def test_a_cut_that_fails_opens_the_device_anew() -> None:
    driver = Driver(faults={"abort": 1})
    keeper = keeper_of(driver)

    async with kept(keeper):
        await driver.until_told("start")
        keeper.cut()
        await driver.until_told("open", 2)
    assert driver.told.index("silent") > driver.told.index("close"), "it is not silent until it is closed"
    assert keeper.counts["reopened"] == 1


@each_backend
async def test_a_bug_in_a_callback_is_raised_and_is_no_lost_device() -> None:
    driver = Driver()
    keeper = keeper_of(driver)

    def wrong(*_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(BaseExceptionGroup) as raised:
        async with kept(keeper):
            await driver.until_told("start")
            with pytest.raises(load().CallbackAbort):
                keeper.calling(wrong)(b"", 0, None, None)
            await anyio.sleep_forever()
    assert raised.group_contains(ZeroDivisionError)
    assert driver.told[-1] == "close"


@each_backend
@pytest.mark.parametrize("word", ["open", "abort"])
async def test_a_driver_that_hangs_is_lost_and_left_behind(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_keeper, "HANG_S", 0.1)
    monkeypatch.setattr(sound_keeper, "STALL_S", 0.2)
    monkeypatch.setattr(sound_keeper, "CLOSE_S", 0.02)
    monkeypatch.setattr(sound_keeper, "leave_behind", nobody)
    driver = Driver(hangs=word)
    keeper = keeper_of(driver)
    lost: list[SoundLost] = []
    if word == "abort":
        keeper.cut()
    with anyio.fail_after(PATIENCE_S):
        try:
            await keeper.run(nobody)
        except SoundLost as error:
            lost.append(error)
    driver.let_go.set()
    assert "the loudspeaker 'box' hangs: its driver does not answer; restart the sound system" in str(lost[0])


async def test_a_call_that_is_cancelled_while_its_device_opens_leaves_it_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_keeper, "CLOSE_S", 0.02)
    monkeypatch.setattr(sound_keeper, "leave_behind", nobody)
    driver = Driver(hangs="open")

    async with kept(keeper_of(driver)):
        await driver.until_told("open")
    assert driver.told == ["open"]
    driver.let_go.set()
    await driver.until_told("close")
