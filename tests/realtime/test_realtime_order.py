"""What is heard of a response that has several items, in whatever order their sound and words come (R88)."""

import base64
import itertools
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.audio.wav_device import WavDevice
from adapters.realtime.incoming import Audio, Happened, Incoming, TextDelta
from adapters.realtime.order import MOST_ALONE_MS
from adapters.realtime.port import RealtimeLLM
from adapters.realtime.settings import RealtimeSettings
from adapters.realtime.wire import Wire
from adapters.seam.driver import Driver
from adapters.seam.ports import FRAME_BYTES, RATE_HZ
from adapters.text.sentences import SentenceCutter
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Step
from tests.shared.phone_model import pitch, tone
from tests.shared.realtime import Server, scripted
from tests.shared.shell import PATIENCE_S, channels

VOICE, WRITING = Policy(voice="realtime", greeting=False), Policy(voice="chatterbox", greeting=False)
ENDS = ("completed", "cancelled", "incomplete", "failed")


class Told:
    """A wire with one response, and what is heard of it."""

    def __init__(self, policy: Policy = VOICE) -> None:
        self.wire = Wire(RealtimeSettings(), policy)
        self.heard: list[str] = []
        """The item of each piece of sound or text, in the order in which they are heard."""
        self.events: list[Incoming] = []
        self.hear("response.created", response={"id": "r", "conversation_id": "c"})

    def hear(self, kind: str, **fields: Any) -> list[Incoming]:
        come = self.wire.receive(json.dumps({"type": kind, **fields}))
        self.events += come
        self.heard += [one.item_id for one in come if isinstance(one, Audio | TextDelta)]
        return come

    def item(self, index: int, kind: str = "message") -> None:
        item = {"id": f"i{index}", "type": kind, "role": "assistant"}
        self.hear("response.output_item.added", response_id="r", output_index=index, item=item)

    def sound(self, index: int, ms: int = 100, content_index: int = 0, **more: Any) -> list[Incoming]:
        place = {"response_id": "r", "item_id": f"i{index}", "output_index": index, "content_index": content_index, **more}
        return self.hear("response.output_audio.delta", **place, delta=base64.b64encode(bytes(48 * ms)).decode())

    def text(self, index: int, words: str) -> None:
        self.hear("response.output_text.delta", response_id="r", item_id=f"i{index}", output_index=index, delta=words)

    def done(self, index: int, kind: str = "response.output_audio.done", content_index: int = 0) -> None:
        item = {"id": f"i{index}", "type": "message", "role": "assistant"}
        what: dict[str, Any] = {"item": item} if kind == "response.output_item.done" else {"item_id": f"i{index}"}
        self.hear(kind, response_id="r", output_index=index, content_index=content_index, **what)

    def end(self, status: str = "completed") -> None:
        self.hear("response.done", response={"id": "r", "conversation_id": "c", "status": status})


@pytest.mark.parametrize("kind", ["response.output_audio.done", "response.content_part.done", "response.output_item.done"])
def test_sound_of_a_later_item_waits_until_the_earlier_one_is_complete(kind: str) -> None:
    told = Told()
    for _ in range(3):
        told.sound(0)
        told.sound(1)
    assert told.heard == ["i0"] * 3
    told.done(0, kind)
    assert told.heard == ["i0"] * 3 + ["i1"] * 3
    told.sound(1)
    assert told.heard[-1] == "i1"


def test_an_item_that_is_known_and_silent_so_far_is_heard_before_one_behind_it() -> None:
    told = Told()
    told.item(0)
    told.item(1)
    told.sound(1)
    told.sound(0)
    told.done(0)
    assert told.heard == ["i0", "i1"]


def test_one_behind_two_waits_for_both() -> None:
    told = Told()
    for index in (0, 1, 2):
        told.item(index)
    told.sound(2)
    told.sound(1)
    told.done(1)
    told.sound(0)
    assert told.heard == ["i0"]
    told.done(0)
    assert told.heard == ["i0", "i1", "i2"]


def test_the_parts_of_an_item_are_heard_in_their_order() -> None:
    told = Told()
    told.sound(0, content_index=0)
    late = told.sound(0, content_index=2)
    assert not [one for one in late if isinstance(one, Audio)]
    told.sound(0, content_index=0)
    told.done(0, content_index=0)
    assert [one.content_index for one in told.events if isinstance(one, Audio)] == [0, 0, 2]


@pytest.mark.parametrize("kind", ["function_call", "reasoning", "mcp_call"])
def test_nobody_waits_for_an_item_that_is_not_heard(kind: str) -> None:
    told = Told()
    told.item(0, kind)
    told.sound(1)
    assert told.heard == ["i1"]


@pytest.mark.parametrize("status", ENDS)
def test_the_end_of_a_response_lets_everything_be_heard_before_it(status: str) -> None:
    told = Told()
    told.sound(0)
    told.sound(2)
    told.sound(1)
    told.end(status)
    assert told.heard == ["i0", "i1", "i2"]
    assert isinstance(told.events[-1], Happened)
    assert issubclass(told.events[-1].event, ev.ResponseEnded)


def test_where_no_place_is_told_sound_is_heard_as_it_comes() -> None:
    told = Told()
    for index in (0, 1, 0):
        told.sound(index, output_index=None)
    assert told.heard == ["i0", "i1", "i0"]


def test_a_place_that_only_the_item_told_counts_for_its_sound() -> None:
    told = Told()
    told.item(0)
    told.item(1)
    told.sound(1, output_index=None)
    told.sound(0, output_index=None)
    assert told.heard == ["i0"]


def test_what_is_never_told_as_complete_is_waited_for_ten_seconds_of_sound_at_most() -> None:
    told = Told()
    told.sound(0)
    for ms in range(0, int(MOST_ALONE_MS), 1_000):
        told.sound(1, 1_000)
        assert told.heard == ["i0"], ms
    told.sound(1, 1_000)
    assert told.heard == ["i0"] + ["i1"] * 11
    told.sound(0)
    told.sound(1)
    assert told.heard[-2:] == ["i0", "i1"], "it has had its turn, and holds nobody up again"


def test_what_waits_is_bounded_however_it_comes() -> None:
    told = Told()
    for _ in range(100):
        told.sound(0, 20)
        told.sound(1, 1_000)
    assert "i1" in told.heard


def test_two_items_of_which_halves_of_samples_come_lose_none() -> None:
    told = Told()
    halves = {0: bytes(range(10)), 1: bytes(range(100, 110))}
    for low, high in itertools.pairwise((0, 3, 6, 10)):
        for index, data in halves.items():
            place = {"response_id": "r", "item_id": f"i{index}", "output_index": index, "content_index": 0}
            told.hear("response.output_audio.delta", **place, delta=base64.b64encode(data[low:high]).decode())
    told.end()
    for index, data in halves.items():
        assert b"".join(one.pcm for one in told.events if isinstance(one, Audio) and one.item_id == f"i{index}") == data


def test_words_that_a_voice_speaks_come_item_by_item() -> None:
    told = Told(WRITING)
    for first, second in (("One ", "Five "), ("two ", "six "), ("three.", "seven.")):
        told.text(0, first)
        told.text(1, second)
    assert told.heard == ["i0"] * 3
    told.done(0, "response.output_text.done")
    assert told.heard == ["i0"] * 4 + ["i1"] * 3  # the fourth says that no more comes


# A whole call.

LOW, HIGH = 300.0, 900.0
LONG_MS = 2_000
"""How long each of two items is."""


class Caller:
    """Says nothing, and hangs up once the agent was heard and is silent for a second."""

    def __init__(self) -> None:
        self.heard, self.quiet = False, 0

    @property
    def finished(self) -> bool:
        return self.heard and self.quiet > 50

    def next_frame(self, agent_audible: bool) -> bytes:
        self.heard |= agent_audible
        self.quiet = 0 if agent_audible else self.quiet + 1
        return bytes(FRAME_BYTES)


def two_items(server: Server) -> None:
    """A response whose second item's sound comes between that of the first, and ahead of it."""
    server.set_up()
    server.say("response.created", response={"id": "r", "conversation_id": "c"})
    for index in (0, 1):
        item = {"id": f"i{index}", "type": "message", "role": "assistant"}
        server.say("response.output_item.added", response_id="r", output_index=index, item=item)
    sounds = {1: tone(HIGH, LONG_MS), 0: tone(LOW, LONG_MS)}
    for at in range(0, LONG_MS * 48, 4_800):
        for index, sound in sounds.items():
            place = {"response_id": "r", "item_id": f"i{index}", "output_index": index, "content_index": 0}
            server.say("response.output_audio.delta", **place, delta=base64.b64encode(sound[at : at + 4_800]).decode())
    for index in (1, 0):
        server.say("response.output_audio.done", response_id="r", item_id=f"i{index}", output_index=index, content_index=0)
    server.say("response.done", response={"id": "r", "conversation_id": "c", "status": "completed"})
    server.stay()


@pytest.mark.parametrize("interrupted", [False, True])
async def test_a_call_hears_the_items_of_a_response_one_after_the_other(tmp_path: Path, interrupted: bool) -> None:
    """One who interrupts the first has it cut there, and the second, which came as well, forgotten."""
    policy = Policy(voice="realtime", greeting=False, calibration_ms=100, idle_ms=60_000)
    started = threading.Event()

    def script(server: Server) -> None:
        if interrupted:
            threading.Thread(target=speak, args=(server,), daemon=True).start()
        two_items(server)

    def speak(server: Server) -> None:
        started.wait(PATIENCE_S)
        server.say("input_audio_buffer.speech_started", item_id="u1")

    told: list[fx.Effect] = []

    def watch(event: ev.Event, answer: Step[Call]) -> None:
        told.extend(answer.effects)
        if isinstance(event, ev.PlayoutProgressed) and event.played_ms > 100:
            started.set()

    with scripted(script) as (url, _):
        device = WavDevice(tmp_path / "call.wav", Caller())
        llm = RealtimeLLM(url=url, key=None, settings=RealtimeSettings(), policy=policy, speaker=device, cutter=SentenceCutter)
        device.ears.append(llm)
        await Driver(start(policy), [device, llm], [watch]).run()
    corrections = [effect for effect in told if isinstance(effect, fx.TruncateItem | fx.DeleteItem)]
    if interrupted:
        cut, gone = corrections
        assert isinstance(cut, fx.TruncateItem)
        assert cut.item_id == "i0"
        assert gone == fx.DeleteItem("i1")
        return
    assert not corrections
    _, agent = channels(tmp_path / "call.wav")
    loud = np.flatnonzero(np.abs(agent) > 1_000)
    heard = agent[loud[0] : loud[-1] + 1]
    assert len(heard) == pytest.approx(LONG_MS / 500 * RATE_HZ, abs=RATE_HZ / 100)
    half = len(heard) // 2
    assert [round(pitch(part, RATE_HZ), -1) for part in (heard[:half], heard[half:])] == [LOW, HIGH]
