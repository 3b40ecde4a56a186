"""A sound device for simulated calls: a port over the real playout, whose frames are taken while the loop would wait."""

import math
from collections import Counter
from collections.abc import Callable, Iterable
from enum import Enum

import anyio

from adapters.proof.sim.plan import Item
from adapters.proof.sim.voice import ANYONE
from adapters.proof.sim.world import World
from adapters.seam.playout import Arrived, Fact, Playout, Progressed, RanOut, tell
from adapters.seam.ports import FRAME_MS, Post
from fsm.call.effects import Admit, Effect, Flush, HangUp, Hold, Resume, Retire
from fsm.call.events import DeviceFailed, LineClosed, LineOpened, PlayoutFinished, PlayoutStopped, QueueEmptied, VadCalibrated

Hear = Callable[[int], None]
"""Told of each response, by its number, that is in a frame as it is heard."""

FRAME_S = FRAME_MS / 1000
CALIBRATION_MS = 500
"""How much sound the device's VAD needs for its noise floor."""
NO_SOUND = b"\0\0"


class Line(Enum):
    """Whether the device carries sound."""

    CLOSED = "closed"
    OPEN = "open"
    HANGING_UP = "hanging up"
    GONE = "gone"


class Device:
    """The device of one call. `heard_ms` says what the caller has really heard of each response, by its number."""

    performs: tuple[type[Effect], ...] = (Admit, Hold, Resume, Flush, Retire, HangUp)

    def __init__(self, world: World, playout: Playout, hear: Hear) -> None:
        self.line = Line.CLOSED
        self.heard_ms: Counter[int] = Counter()
        self.holds_ms = 0.0
        """How much sound the line holds after it was taken."""
        self.playout = playout
        self._world = world
        self._hear = hear
        self._marks: dict[str, RanOut] = {}
        self._next_s = 0.0
        self._mute_until_s = 0.0
        self._over = anyio.Event()
        world.meanwhile = self.pass_time
        world.acts |= {"stall": self._stall, "die": self._die, "jump": self._jump}

    async def run(self, post: Post) -> None:
        """Carry sound until the line is gone or the task is cancelled; raises what an act of the world raised."""
        late_ms = 0.0
        for item in self._world.happened("line"):
            late_ms += {"late": float(item.value), "never": 1e9}.get(item.what, 0)
            self.holds_ms = float(item.value) if item.what == "holds" else self.holds_ms
        await anyio.sleep(late_ms / 1000)
        if self.line is Line.CLOSED:
            self.line, self._next_s = Line.OPEN, self._world.clock.now_s
            post(LineOpened)
            if not any(item.what == "never" for item in self._world.happened("calibration")):
                self._world.after(CALIBRATION_MS, self._calibrated)
        await self._over.wait()

    def do(self, effect: Effect) -> None:
        """Carry out an effect at once."""
        match effect:
            case Admit(response_id):
                self.playout.admit(response_id)
            case Hold():
                self._world.happened("hold")
                self.playout.hold()
            case Resume():
                self.playout.resume()
            case Flush(response_id):
                self._world.happened("flush")
                self._flush(response_id)
            case Retire(response_id):
                self.playout.retire(response_id)
            case HangUp():
                self._hang_up()

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", sentence: str = "") -> bool:
        """See `adapters.seam.ports.Speaker`."""
        taken = self.playout.play(response_id, pcm, item_id, sentence)
        self._report(self.playout.facts())
        return taken

    def hung_up(self) -> None:
        """The line is gone: the caller has hung up, or our hang-up is done."""
        self.line = Line.GONE
        self._over.set()

    def pass_time(self, now_s: float, until_s: float) -> float:
        """Take the frames that are due before `until_s`, as far as one that tells something; says when that was."""
        clock = self._world.clock
        while self.line is Line.OPEN:
            if not self.playout.queued and not self.playout.sounding:
                self._next_s += max(0, math.ceil((until_s - self._next_s) / FRAME_S)) * FRAME_S
                break
            due_s = max(now_s, self._next_s, self._mute_until_s)
            if due_s >= until_s:
                break
            self._next_s += FRAME_S
            self._take_frame()
            facts = self.playout.facts()
            if facts:
                clock.now_s = due_s
                self._report(facts)
                return due_s
        return until_s

    def _take_frame(self) -> None:
        """Take a frame: whose it is, its samples say, but for a voice that was told of no response."""
        frame = self.playout.next_frame()
        first, last = frame[:2], frame[-2:]
        for sample in (first,) if first == last else (first, last):
            if sample != NO_SOUND:
                number = int.from_bytes(sample, "little")
                if number == ANYONE:
                    number = int(next(iter(self.playout.sounding))[1:])
                self.heard_ms[number] += FRAME_MS
                self._hear(number)

    def _report(self, facts: Iterable[Fact]) -> None:
        """Post what has happened to the sound; a line that holds some tells of its end later, by its mark."""
        for fact in facts:
            self._cue(fact)
            if self.holds_ms and isinstance(fact, RanOut):
                self._marks[fact.response_id] = fact
                self._world.after(self.holds_ms, self._marked, fact)
                self._world.post(QueueEmptied, fact.response_id)
            else:
                tell((fact,), self._world.post)

    def _cue(self, fact: Fact) -> None:
        match fact:
            case Arrived():
                self._world.happened("sound")
            case Progressed(response_id):
                self._marks.pop(response_id, None)
            case RanOut():
                self._world.happened("silence")

    def _marked(self, fact: RanOut) -> None:
        """The line has played to the end of what it had, unless more came meanwhile, which has a mark of its own."""
        awaited = self._marks.get(fact.response_id) is fact and self.line is Line.OPEN
        if awaited and not any(item.what == "lose" for item in self._world.happened("mark")):
            self._world.post(PlayoutFinished, fact.response_id, fact.played_ms)

    def _flush(self, response_id: str) -> None:
        self._marks.pop(response_id, None)
        played_ms, received_ms = self.playout.flush(response_id)
        late_ms = 0.0
        for item in self._world.happened("position"):
            if item.what == "lose":
                return
            late_ms += float(item.value)
        self._world.after(late_ms, self._stopped, response_id, max(0.0, played_ms - self.holds_ms), received_ms)

    def _stopped(self, response_id: str, played_ms: float, received_ms: float) -> None:
        self._world.post(PlayoutStopped, response_id, played_ms, received_ms)

    def _calibrated(self) -> None:
        self._world.post(VadCalibrated)

    def _hang_up(self) -> None:
        if self.line is not Line.GONE:
            self.line = Line.HANGING_UP
        if not any(item.what == "never" for item in self._world.happened("hangup")):
            self._world.after(self._world.dice.between("hangup", 0, 900), self._closed)

    def _closed(self) -> None:
        self.hung_up()
        self._world.post(LineClosed)

    def _stall(self, item: Item) -> None:
        self._mute_until_s = self._world.clock.now_s + float(item.value) / 1000

    def _die(self, item: Item) -> None:
        self.hung_up()
        self._world.post(DeviceFailed, str(item.value))

    def _jump(self, item: Item) -> None:
        self._world.clock.jump(float(item.value) / 1000)
