"""The line of a field log: it plays what the core admits, one response after another, and tells what was heard; nothing is decided here.

`tx_queue` rows say what is played. Where none follows, sound is played at its own speed from its arrival; sound of unknown length lasts
until its response's audio ends.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

import attrs

from fsm.call import effects as fx, events as ev
from fsm.call.snapshot import Call
from fsm.call.states import IN_PROGRESS, OVER, SILENT, TAIL

FRAME_MS = 20.0
PROGRESS_MS = 500.0
"""How often the line says that it plays; it says so as it starts and after each gap, too (R79)."""


class Core(Protocol):
    """What the line and the rows need of the run that they are part of."""

    call: Call

    def post(self, event: ev.Event) -> None:
        """Give the core one event, and carry out what it asks for."""

    def at(self, at_ms: float, act: Callable[[float], None]) -> None:
        """Do something at a time, after what was put there earlier."""


@attrs.define(eq=False)
class Sound:
    """What the line has of a response, in milliseconds; `open_ended` if nobody knows yet how much."""

    response_id: str
    left_ms: float = 0.0
    played_ms: float = 0.0
    received_ms: float = 0.0
    open_ended: bool = False

    def play(self, lasted_ms: float) -> None:
        """So long it was heard, or to its end."""
        self.played_ms += lasted_ms if self.open_ended else min(lasted_ms, self.left_ms)
        self.left_ms = max(0.0, self.left_ms - lasted_ms)
        self.received_ms = max(self.received_ms, self.played_ms + self.left_ms)


class Line:
    """The line: the first of its sounds is heard, the others wait behind it."""

    def __init__(self, core: Core, queues: Iterable[float | None], marked: bool) -> None:
        """`queues` is what the log says is queued, in order, None for each new response; `marked`: it has marks that prove something."""
        self._core = core
        self._queues = deque(queues)
        self._ends_in_tail = marked or any(frames is not None for frames in self._queues)
        self._sounds: list[Sound] = []
        self._frames = -1.0
        self._held = self._stuck = self._stale = False
        self._since_ms: float | None = None
        self._told_ms = -PROGRESS_MS
        self._turn = 0

    def has(self, response_id: str) -> bool:
        """Is sound of the response still to be heard?"""
        return any(sound.response_id == response_id for sound in self._sounds)

    def told_later(self) -> bool:
        """Will the log say how much is queued, before another response begins?"""
        return bool(self._queues) and self._queues[0] is not None

    def _told_more(self) -> bool:
        """Will it say that something is left?"""
        return self.told_later() and self._queues[0] != 0

    def begin_response(self) -> None:
        """The log comes to a new response."""
        self._queues.popleft()

    def queue(self, now: float, response_id: str, length_ms: float | None) -> None:
        """Sound of a response arrives; without a length it lasts until `end`."""
        playout = self._core.call.playout
        if playout.state in (SILENT, OVER) or response_id not in (playout.id, playout.next_id):
            return
        self._settle(now)
        sound = self._sound(response_id)
        sound.open_ended |= length_ms is None
        sound.left_ms += length_ms or 0.0
        sound.received_ms += length_ms or 0.0
        self._stuck = self._stale = False
        if sound is self._sounds[0] and not self._held and now >= self._told_ms + PROGRESS_MS:
            self._progress(now, sound)
        self._play(now)

    def end(self, now: float, response_id: str) -> None:
        """No more sound of the response comes."""
        for sound in self._sounds:
            if sound.response_id == response_id and sound.open_ended and not self.told_later():
                self._settle(now)
                sound.open_ended, sound.left_ms = False, 0.0
                self._play(now)

    def tell_queue(self, now: float, frames: float) -> None:
        """The log says how much is still to be sent. After a flush that is the old queue, until it grows."""
        self._queues.popleft()
        before, self._frames = self._frames, frames
        self._stale &= frames <= before
        playing = self._core.call.playout.id
        if not playing or self._stale:
            return
        self._settle(now)
        sound = self._sound(playing)
        if not frames:
            self._sounds.remove(sound)
            self._core.post(ev.QueueEmptied(now, playing))
        else:
            sound.left_ms = frames * FRAME_MS
            sound.received_ms = max(sound.received_ms, sound.played_ms + sound.left_ms)
            sound.open_ended = self._told_more()
            if frames != before or not self._ended(playing):
                self._progress(now, sound)
            self._stuck = self._ended(playing) and self.told_later() and self._queues[0] == frames
        self._play(now)

    def finish(self, now: float, response_id: str) -> None:
        """All of the response was sent; where the log tells more of the line, the line may hold a little of it."""
        self._core.post((ev.QueueEmptied if self._ends_in_tail else ev.PlayoutFinished)(now, response_id))

    def mark(self, now: float) -> None:
        """The line echoes a mark: it proves that all was heard if all was sent before."""
        playing = self._core.call.playout.id
        if playing and self._core.call.playout.state is TAIL and not self.has(playing):
            self._core.post(ev.PlayoutFinished(now, playing))

    def do(self, effect: fx.Effect, now: float) -> None:
        """Carry out what concerns the line."""
        if isinstance(effect, fx.Hold):
            self._held = True
            self._play(now)
        elif isinstance(effect, fx.Resume):
            self._held = False
            self._play(now)
        elif isinstance(effect, fx.Flush):
            self._flush(now, effect.response_id)
        elif isinstance(effect, fx.HangUp):
            self._settle(now)
            self._sounds.clear()
            self._play(now)

    def _progress(self, now: float, sound: Sound) -> None:
        self._told_ms = now
        self._core.post(ev.PlayoutProgressed(now, sound.response_id, sound.played_ms))

    def _ended(self, response_id: str) -> bool:
        """Does no more of the response come into the queue?"""
        response = self._core.call.response
        return response.id != response_id or response.state is not IN_PROGRESS

    def _sound(self, response_id: str) -> Sound:
        for sound in self._sounds:
            if sound.response_id == response_id:
                return sound
        if not self._sounds:
            self._told_ms = -PROGRESS_MS
        self._sounds.append(Sound(response_id))
        return self._sounds[-1]

    def _flush(self, now: float, response_id: str) -> None:
        self._settle(now)
        dropped = [sound for sound in self._sounds if sound.response_id == response_id] or [Sound(response_id)]
        self._sounds = [sound for sound in self._sounds if sound.response_id != response_id]
        self._stuck, self._stale = False, True
        stopped = ev.PlayoutStopped(now, response_id, dropped[0].played_ms, dropped[0].received_ms)
        self._core.at(now, _Later(self._core, stopped))
        self._play(now)

    def _play(self, now: float) -> None:
        self._settle(now)
        self._turn += 1
        if not self._sounds or self._held or self._stuck:
            return
        self._since_ms = now
        sound = self._sounds[0]
        left_ms = PROGRESS_MS if sound.open_ended else sound.left_ms
        self._core.at(min(now + left_ms, max(now, self._told_ms + PROGRESS_MS)), _Tick(self, self._turn))

    def _settle(self, now: float) -> None:
        """Bring what was played up to now."""
        if self._since_ms is not None:
            self._sounds[0].play(now - self._since_ms)
            self._since_ms = None

    def tick(self, now: float, turn: int) -> None:
        """Half a second was heard, or the rest; nothing if something else came between."""
        if turn != self._turn:
            return
        self._settle(now)
        sound = self._sounds[0]
        if sound.left_ms <= 0 and self._told_more():
            sound.open_ended = True
        if sound.left_ms > 0 or sound.open_ended:
            self._progress(now, sound)
        else:
            self._sounds.remove(sound)
            self.finish(now, sound.response_id)
        self._play(now)


@attrs.frozen
class _Tick:
    line: Line
    turn: int

    def __call__(self, now: float) -> None:
        self.line.tick(now, self.turn)


@attrs.frozen
class _Later:
    core: Core
    event: ev.Event

    def __call__(self, _: float) -> None:
        self.core.post(self.event)
