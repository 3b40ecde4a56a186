"""Claims about the benchmark: each part measures what it says, on numbers too small to time anything by."""

from pathlib import Path

import anyio
import pytest
from rich.console import Console
from rich.table import Table

from adapters.telling.trace import TraceWriter
from fsm import start, step
from fsm.call.effects import Admit, Flush
from fsm.call.events import SpeechStarted
from fsm.call.states import CLOSED
from fsm.engine.machine import Step
from tests.bench import imports, reaction, steps, tables
from tests.bench.__main__ import main as bench

SPREAD = reaction.Spread(count=480, mean_ms=12.345, p50_ms=123.456, p95_ms=1234.567, worst_ms=12345.678)


def test_the_recorded_call_is_brought_to_its_end() -> None:
    call, events = steps.recorded()
    for event in events:
        call = step(call, event).snapshot
    assert call.phase.state is CLOSED
    assert {"SpeechStarted", "InterruptionExpired", "ResponseCancelled", "SynthesisCancelAnswered"} <= {
        type(event).__name__ for event in events
    }


def test_a_recorded_call_that_does_not_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    TraceWriter(tmp_path / "short.trace", start(reaction.POLICY)).close()
    monkeypatch.setattr(steps, "RECORDED", tmp_path / "short.trace")
    with pytest.raises(ValueError, match="does not end"):
        steps.recorded()


def test_a_step_is_measured_in_every_way_and_for_every_event() -> None:
    said: list[str] = []
    figures = steps.measure_steps(said.append, repetitions=1, passes=1)
    assert set(figures.us) == {steps.STEP, steps.FIRST, steps.EVOLVED, steps.REFERENCE, steps.TRANSITIONS, steps.FLOOR}
    assert all(us > 0 for us in figures.us.values())
    assert sum(kind.count for kind in figures.kinds) == figures.events == len(steps.recorded()[1])
    assert [kind.us for kind in figures.kinds] == sorted((kind.us for kind in figures.kinds), reverse=True)
    assert said


def test_every_interruption_is_measured_at_one_call_and_at_several() -> None:
    loads = tuple(reaction.Load(calls=calls, rounds=2, low_ms=20, high_ms=60, repetitions=1) for calls in (1, 3))
    one, several = anyio.run(reaction.measure_reaction, str, loads)
    for figures, count in ((one, 2), (several, 6)):
        for spread in (figures.silent, figures.refused, figures.floor, figures.old_audio):
            assert spread.count == count
        assert 0 < figures.silent.p50_ms < figures.refused.p50_ms
        assert figures.floor.p50_ms > 0


def test_a_device_that_takes_old_sound_gives_no_figure(tmp_path: Path) -> None:
    device = reaction.StampedDevice(tmp_path / "call.wav", reaction.PatientCaller())
    device.do(Admit("resp_1"))
    taken = reaction.Taken()
    onlooker = reaction.Onlooker(device, taken)
    call = start(reaction.POLICY)
    onlooker(SpeechStarted(0.0, "item_1"), Step(call, (), ()))
    with pytest.raises(RuntimeError, match="still takes sound"):
        onlooker(SpeechStarted(0.0, "item_1"), Step(call, (Flush("resp_1"),), ()))
    device.do(Flush("resp_1"))
    onlooker(SpeechStarted(0.0, "item_1"), Step(call, (Flush("resp_1"),), ()))
    assert len(taken.refused) == 1


def test_an_interruption_that_was_not_measured_is_not_passed_over() -> None:
    load = reaction.Load(calls=1, rounds=2, low_ms=20, high_ms=60, repetitions=1)
    with pytest.raises(RuntimeError, match="of 2 interruptions"):
        reaction.figures_of(load, reaction.Taken(silent=[1.0], refused=[1.0, 1.0], floor=[1.0, 1.0], old_audio=[0.0, 0.0]))


def test_imports_are_measured_in_new_processes() -> None:
    assert all(ms > 0 for ms in imports.measure_imports(str, repetitions=1).values())


def test_the_tables_fit_into_eighty_columns() -> None:
    us = dict.fromkeys((steps.STEP, steps.FIRST, steps.EVOLVED, steps.REFERENCE, steps.TRANSITIONS, steps.FLOOR), 12345.678)
    figures = steps.StepFigures(events=1234, us=us, kinds=(steps.Kind("SynthesisCancelAnswered", 123, 12345.678),))
    reactions = reaction.ReactionFigures(20, SPREAD, SPREAD, SPREAD, SPREAD)
    console = Console(width=80)
    with console.capture() as printed:
        for table in (tables.step_table(figures), tables.kind_table(figures), tables.reaction_table(reactions)):
            console.print(table)
        console.print(tables.import_table(dict.fromkeys(imports.MODULES, 1234.5)))
    text = printed.get()
    assert "…" not in text
    for words in (
        "12345.68",
        "1234.57",
        "recorded call",
        "20 calls at once, 480 interruptions",
        "worst 12346 ms",
        "import transitions",
    ):
        assert words in text


def test_a_part_that_gives_no_figure_is_named_and_the_others_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    def lacking(_: object) -> list[Table]:
        raise ExceptionGroup("both", [RuntimeError("there is no PulseAudio:\napt-get install pulseaudio")])

    parts = {"sound": lacking, "steps": lambda _: [tables.figure_table("A title", "what", "ms")]}
    assert bench(parts) == 0
    told = capsys.readouterr().out
    assert "A title" in told
    assert told.endswith("sound: not measured: there is no PulseAudio: apt-get install pulseaudio\n")
    assert bench({"sound": lacking}) == 1
