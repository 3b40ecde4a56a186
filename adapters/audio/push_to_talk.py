"""A push-to-talk key: each line on standard input is a press of Enter; the first interrupts the agent, and the next one ends the turn."""

import os
from collections.abc import Iterable
from enum import Enum

import anyio

from adapters.seam.ports import Ear, Post, sound_of
from fsm.call.effects import Effect
from fsm.call.events import BargeInDetected, SpeechStarted, SpeechStopped


class _Key(Enum):
    UP = "up"
    DOWN = "down"


class PushToTalk:
    """A port that turns presses into events.

    With `turns` (`Policy.turns="local"`) a press begins the caller's turn, and the next one ends it; without it every press is
    an interruption, and the server's VAD has the turns. The end of the input lets go of the key. It is an ear as well: what
    `onward` hear is the caller while the key is down.
    """

    performs: tuple[type[Effect], ...] = ()

    def __init__(self, source: int = 0, *, turns: bool = False, onward: Iterable[Ear] = ()) -> None:
        """Read the file descriptor `source`: a terminal, a pipe or a socket."""
        self._source = source
        self._turns = turns
        self._onward = tuple(onward)
        self.sound = sound_of(next(iter(self._onward), None))
        self._key = _Key.UP

    async def run(self, post: Post) -> None:
        """Tell of each press until the input ends."""
        while pressed := await self._read():
            for _ in range(pressed.count(b"\n")):
                self._press(post)
        if self._key is _Key.DOWN:
            self._press(post)

    def do(self, effect: Effect) -> None:
        """Nothing is asked of it."""

    def hear(self, pcm: bytes) -> None:
        """Take 20 ms of the caller's sound."""
        if self._key is _Key.DOWN:
            for ear in self._onward:
                ear.hear(pcm)

    async def _read(self) -> bytes:
        try:
            await anyio.wait_readable(self._source)
            return os.read(self._source, 4096)
        except OSError:
            return b""  # It is a file, or closed: nobody can press anything there.

    def _press(self, post: Post) -> None:
        if not self._turns:
            post(BargeInDetected)
        elif self._key is _Key.UP:
            self._key = _Key.DOWN
            post(SpeechStarted)
            post(BargeInDetected)
        else:
            self._key = _Key.UP
            post(SpeechStopped)
