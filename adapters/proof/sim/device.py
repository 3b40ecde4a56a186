"""A line for simulated calls: a device over the real playout and tape, whose frames are taken and heard while the loop would wait."""

import math
from collections import Counter, deque
from collections.abc import Callable

import anyio

from adapters.proof.sim.plan import Item
from adapters.proof.sim.response import PLACE, item_of
from adapters.proof.sim.voice import ANYONE
from adapters.proof.sim.world import World
from adapters.seam.device import CALIBRATION_MS, Device, Line, LineLost
from adapters.seam.frames import Arrived, Emptied, Fact, Frame, RanOut, Stopped
from adapters.seam.playout import Playout
from adapters.seam.ports import FRAME_MS, PCM
from adapters.seam.tape import Tape
from fsm.call.effects import Effect, Flush, Hold
from fsm.call.events import VadCalibrated

Hear = Callable[[int], None]
"""Told of each response, by its number, that is in a frame as the line takes it; what it still holds when it is cut is not heard."""

FRAME_S = FRAME_MS / 1000
NO_SOUND = b"\0\0"


class SimulatedLine(Device):
    """The line of one call. `heard_ms` says what the caller has really heard of each item, and `received_ms` what came of it."""

    def __init__(self, world: World, playout: Playout, hear: Hear) -> None:
        super().__init__(tape=Tape(playout), calibration_ms=None)
        self.heard_ms: Counter[str] = Counter()
        self.received_ms: dict[str, Counter[str]] = {}
        """By response."""
        self._world = world
        self._hear_number = hear
        self._holds_s = 0.0
        self._held: deque[tuple[float, tuple[str, ...]]] = deque()
        self._next_s = 0.0
        self._mute_until_s = 0.0
        self._words = self._fault = ""
        self._over = anyio.Event()
        world.meanwhile = self.pass_time
        world.acts |= {"stall": self._stall, "die": self._die, "jump": self._jump}

    def do(self, effect: Effect) -> None:
        """Carry out an effect at once."""
        if isinstance(effect, Hold | Flush):
            self._world.happened(type(effect).__name__.lower())
        super().do(effect)

    def play(self, response_id: str, pcm: bytes, *, item_id: str = "", content_index: int = 0, sentence: str = "") -> bool:
        """See `adapters.seam.ports.Speaker`."""
        taken = super().play(response_id, pcm, item_id=item_id, content_index=content_index, sentence=sentence)
        if taken and item_id:
            self.received_ms.setdefault(response_id, Counter())[item_id] += round(PCM.ms_of(len(pcm)))
        return taken

    def hung_up(self, words: str) -> None:
        """The caller has hung up."""
        self.line, self._words = Line.GONE, words
        self._over.set()

    def pass_time(self, now_s: float, until_s: float) -> float:
        """Take the frames that are due before `until_s`, as far as one that tells something; says when that was."""
        while self.line is Line.OPEN:
            dry = not self.playout.queued and not self.playout.sounding
            take_s = math.inf if dry else max(now_s, self._next_s, self._mute_until_s)
            due_s = min(take_s, self._heard_s(now_s)) if self._holds_s else take_s
            if due_s >= until_s:
                self._next_s += max(0, math.ceil((until_s - self._next_s) / FRAME_S)) * FRAME_S if dry else 0.0
                break
            self._world.clock.now_s = due_s
            if take_s == due_s:
                self._next_s += FRAME_S
                self._hold(self._tape.take(due_s + self._holds_s), due_s)
            self._hear_until(due_s)
            if self._report(due_s):
                return due_s
        return until_s

    async def _carry(self) -> str:
        late_ms = 0.0
        for item in self._world.happened("line"):
            late_ms += {"late": float(item.value), "never": 1e9}.get(item.what, 0)
            self._holds_s = float(item.value) / 1000 if item.what == "holds" else self._holds_s
        self._tape.late = bool(self._holds_s)
        with anyio.move_on_after(late_ms / 1000):
            await self._over.wait()
        self._next_s = self._world.clock.now_s
        if self._open() and not any(item.what == "never" for item in self._world.happened("calibration")):
            self._world.after(CALIBRATION_MS, self._post, VadCalibrated)
        await self._over.wait()
        if self._fault:
            raise LineLost(self._fault)
        return self._words

    def _stir(self) -> None:
        if self.line is Line.HANGING_UP:
            self._over.set()

    def _cut(self) -> None:
        """The line drops what it holds and has not played yet; a frame that would begin just now has not."""
        before_s = math.nextafter(self._world.clock.now_s, -math.inf)
        self._hear_until(before_s)
        self._held.clear()
        self._tape.cut(before_s)

    def _note(self, frame: Frame) -> None:
        """What was heard, `pass_time` has noted."""

    async def _end_call(self) -> None:
        if any(item.what == "never" for item in self._world.happened("hangup")):
            await anyio.sleep_forever()
        await anyio.sleep(self._world.dice.between("hangup", 0, 900) / 1000)

    def _tell(self, fact: Fact) -> None:
        match fact:
            case Arrived():
                self._world.happened("sound")
            case Emptied():
                self._world.happened("silence")
            case RanOut() if not self._tape.late:
                self._world.happened("silence")
            case RanOut() if any(item.what == "lose" for item in self._world.happened("mark")):
                return
            case Stopped():
                late_ms = 0.0
                for item in self._world.happened("position"):
                    if item.what == "lose":
                        return
                    late_ms += float(item.value)
                self._world.after(late_ms, super()._tell, fact)
                return
            case _:
                pass
        super()._tell(fact)

    def _heard_s(self, now_s: float) -> float:
        """When something of what the line holds is heard, or told."""
        return max(now_s, min(self._held[0][0] if self._held else math.inf, self._tape.due_s))

    def _hear_until(self, until_s: float) -> None:
        """What the line holds is heard in its time."""
        while self._held and self._held[0][0] <= until_s:
            for item_id in self._held.popleft()[1]:
                self.heard_ms[item_id] += FRAME_MS

    def _hold(self, frame: Frame, now_s: float) -> None:
        """The line has a frame: whose it is, its samples say, but for a voice that was told of no response."""
        if not frame.runs:
            return
        samples = {int.from_bytes(sample, "little") for sample in (frame.runs[0].pcm[:2], frame.runs[-1].pcm[-2:]) if sample != NO_SOUND}
        if ANYONE in samples:
            name = next(iter(frame.sounding))[1:]
            samples = {int(name)} if name.isdigit() else set()
        for number in sorted({sample % PLACE for sample in samples}):
            self._hear_number(number)
        self._held.append((now_s + self._holds_s, tuple(item_of(sample % PLACE, sample // PLACE) for sample in sorted(samples))))

    def _stall(self, item: Item) -> None:
        self._mute_until_s = self._world.clock.now_s + float(item.value) / 1000

    def _die(self, item: Item) -> None:
        self._fault = str(item.value)
        self.hung_up("")

    def _jump(self, item: Item) -> None:
        self._world.clock.jump(float(item.value) / 1000)
