"""The people of a simulated call: the application with its tools and wishes, and a caller who speaks, coughs, presses keys and hangs up."""

from collections.abc import Callable

import anyio

from adapters.proof.sim.model import Model
from adapters.proof.sim.plan import Item
from adapters.proof.sim.world import World
from adapters.seam.ports import Post
from fsm.call import events as ev
from fsm.call.effects import Effect, RunTool, TellEnded

SILENCE_MS = 500
"""How long the server's VAD waits before a turn is over (its default)."""
KEY_MS = 250
"""From one key to the next."""
OUTAGE_TRIES = 10
"""How often a turn is given again, every half second, while there is no session: our port keeps a turn for longer."""
LINE_MS = 60
"""How long the caller's sound takes to the server's VAD."""


class App:
    """The application: a port."""

    performs: tuple[type[Effect], ...] = (RunTool, TellEnded)

    def __init__(self, world: World, told: list[TellEnded] | None = None) -> None:
        """`told`: where it is noted what it is told of the end; a list of its own otherwise."""
        self.told = [] if told is None else told
        self._world = world
        world.acts |= {"dismiss": self._dismiss, "wish_end": self._wish_end, "notice": self._notice, "bug": self._bug}

    async def run(self, post: Post) -> None:
        """Have the greeting's text ready, sooner or later."""
        late_ms = 0.0
        for item in self._world.happened("greeting"):
            late_ms += {"late": float(item.value), "never": 1e9}[item.what]
        await anyio.sleep(late_ms / 1000)
        post(ev.GreetingPrepared)

    def do(self, effect: Effect) -> None:
        """Run a tool, or take note of the end."""
        if isinstance(effect, TellEnded):
            self.told.append(effect)
        elif isinstance(effect, RunTool):
            self._run(effect)

    def _run(self, effect: RunTool) -> None:
        delay_ms = self._world.dice.between("tool", 20, 1_500)
        times = 1
        for item in self._world.happened("tool"):
            match item.what:
                case "never":
                    times = 0
                case "twice":
                    times = 2
                case _:
                    delay_ms += float(item.value)
        for time in range(times):
            self._world.after(delay_ms * (1 + time), self._answer, effect.tool_call_id)

    def _answer(self, tool_call_id: str) -> None:
        self._world.post(ev.ToolFinished, tool_call_id, "found")

    def _dismiss(self, _: Item) -> None:
        self._world.post(ev.TurnDismissed)

    def _notice(self, item: Item) -> None:
        self._world.post(ev.NoticeRequested, str(item.value))

    def _bug(self, item: Item) -> None:
        self._world.post(ev.PortFailed, str(item.value))

    def _wish_end(self, item: Item) -> None:
        self._world.post(ev.HangupRequested, str(item.value or ""))


class Caller:
    """The caller: what they do reaches the server's VAD or ours, the line, or a detector of ours."""

    def __init__(self, world: World, model: Callable[[], Model | None], line_gone: Callable[[str], None], *, local: bool) -> None:
        """`local`: the VAD is ours, and not the server's."""
        self._local = local
        self._world = world
        self._model = model
        self._line_gone = line_gone
        self._turns = 0
        self._speaks_until_ms = -1.0
        world.acts |= {
            "speak": self._speak,
            "key": self._key,
            "hang_up": self._hang_up,
            "barge_in": self._barge_in,
            "rustle": self._rustle,
            "listen": self._listen,
            "pause": self._pause_over_the_voice,
        }

    def _speak(self, item: Item) -> None:
        """Say something for `value` ms; who speaks already goes on for longer."""
        began = self._speaks_until_ms < self._world.now_ms()
        self._speaks_until_ms = max(self._speaks_until_ms, self._world.now_ms() + float(item.value))
        if began:
            self._turns += 1
            self._world.after(LINE_MS, self._begin, f"u{self._turns}")

    def _begin(self, turn: str) -> None:
        model = self._model()
        if self._local:
            self._world.happened("speech")
            self._world.post(ev.SpeechStarted)
        elif model is not None:
            model.hear_speech(turn)
        self._world.after(SILENCE_MS, self._pause)

    def _pause(self) -> None:
        left_ms = self._speaks_until_ms + LINE_MS + SILENCE_MS - self._world.now_ms()
        if left_ms > 1:
            self._world.after(left_ms, self._pause)
            return
        if self._local:
            self._world.post(ev.SpeechStopped)
        else:
            self._end(f"u{self._turns}", OUTAGE_TRIES)

    def _end(self, turn: str, tries: int) -> None:
        """The server's VAD hears the end; a session that took the place of a lost one is given the whole turn first (R85)."""
        model = self._model()
        if model is not None and model.confirmed:
            model.hear_speech(turn)
            model.hear_silence()
        elif tries:
            self._world.after(SILENCE_MS, self._end, turn, tries - 1)

    def _key(self, item: Item) -> None:
        """Press some keys, one after the other."""
        for number, digit in enumerate(str(item.value)):
            self._world.after(number * KEY_MS, self._press, digit)

    def _press(self, digit: str) -> None:
        self._world.post(ev.DigitPressed, digit)

    def _hang_up(self, _: Item) -> None:
        self._line_gone("the simulated caller hung up")

    def _barge_in(self, _: Item) -> None:
        self._world.post(ev.BargeInDetected)

    def _listen(self, _: Item) -> None:
        self._world.post(ev.BackchannelHeard, f"u{self._turns}")

    def _pause_over_the_voice(self, _: Item) -> None:
        self._world.post(ev.VoicePaused)

    def _rustle(self, item: Item) -> None:
        self._world.post(ev.VoiceHeard, float(item.value))
