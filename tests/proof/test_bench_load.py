"""Claims about the benchmark's calls under load and under fault: each measures what it says, on numbers too small to time anything by."""

import anyio
import pytest
from rich.console import Console

from tests.bench import faults, load
from tests.matrix import CallerOfTwoTurns, Held
from tests.matrix_faults import Cell


def test_every_client_takes_the_same_sound() -> None:
    figures = anyio.run(load.measure_load, str, 2, 0.6, 1)
    assert list(figures.ms) == [load.BARE, load.PACKED, load.PLAIN, load.RECORDED]
    assert all(ms > 0 for ms in figures.ms.values())
    assert all(sound_ms >= 600 for sound_ms in figures.sound_ms.values()), "what is heard, and what was sent ahead of it"


def test_a_client_without_its_sound_gives_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def deaf(*_: object) -> None:
        return

    monkeypatch.setitem(load._KINDS, load.PLAIN, deaf)
    with pytest.raises(RuntimeError, match="too little"):
        anyio.run(load.measure_load, str, 1, 0.4, 1)


def test_old_sound_is_measured_once_for_each_interruption() -> None:
    figures = faults.measure_faults(str, ("none", "stragglers"), repetitions=1)
    assert {name: spread.count for name, spread in figures.spreads.items()} == {"none": 4, "stragglers": 4}
    assert all(spread.worst_ms <= 20 for spread in figures.spreads.values())


def test_a_call_that_was_not_interrupted_gives_no_figure() -> None:
    nobody = Held(Cell("none", "realtime", "client", "asyncio"), CallerOfTwoTurns(speaks_again=False), device=None, llm=None)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="gave no figure"):
        faults._old_ms(nobody)


def test_the_tables_fit_into_eighty_columns() -> None:
    loads = load.LoadFigures(20, dict.fromkeys(load._KINDS, 1234.56), dict.fromkeys(load._KINDS, 1234.56), {})
    old = faults.FaultFigures(dict.fromkeys(faults.NAMES, faults.Spread(12, 0, 0, 20, 1234)))
    console = Console(width=80)
    with console.capture() as printed:
        console.print(load.load_table(loads), faults.fault_table(old))
    assert "…" not in printed.get()
    assert "1234" in printed.get()
