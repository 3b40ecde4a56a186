"""The figures as tables of at most 80 columns; nothing is measured here."""

from rich import box
from rich.table import Table

from .reaction import ReactionFigures, Spread
from .steps import EVOLVED, FIRST, FLOOR, REFERENCE, STEP, TRANSITIONS, StepFigures

SLOWEST = 6
"""How many kinds of event are shown."""


def step_table(figures: StepFigures) -> Table:
    """What a step costs, and how many times that the other ways cost."""
    table = figure_table(f"One step, on the {figures.events} events of a recorded call", "median", "µs an event", "ratio")
    for name in (STEP, FIRST, EVOLVED, REFERENCE, TRANSITIONS, FLOOR):
        table.add_row(name, f"{figures.us[name]:.2f}", ratio(figures.us[name], figures.us[STEP]))
    return table


def kind_table(figures: StepFigures) -> Table:
    """The kinds of event whose steps cost most, beside the mean step."""
    table = figure_table("One step, the slowest kinds of event", "event", "in the call", "µs", "ratio")
    for kind in figures.kinds[:SLOWEST]:
        table.add_row(kind.name, str(kind.count), f"{kind.us:.2f}", ratio(kind.us, figures.us[STEP]))
    return table


def reaction_table(figures: ReactionFigures) -> Table:
    """How soon after the server's write of speech_started the voice is silent and refused, in calls that run side by side."""
    calls = "one call" if figures.calls == 1 else f"{figures.calls} calls at once"
    title = f"From speech_started at the server: {calls}, {figures.refused.count} interruptions"
    table = figure_table(title, "ms until", "p50", "p95", "worst", "ratio")
    rows: tuple[tuple[str, Spread], ...] = (
        ("the device is silent", figures.silent),
        ("the device refuses the old response", figures.refused),
        ("floor: a bare client has the message", figures.floor),
    )
    for name, spread in rows:
        cells = (f"{ms:.2f}" for ms in (spread.p50_ms, spread.p95_ms, spread.worst_ms))
        table.add_row(name, *cells, ratio(spread.p50_ms, figures.floor.p50_ms))
    old = figures.old_audio
    table.caption = f"  old sound begun after speech_started: mean {old.mean_ms:.2f} ms, worst {old.worst_ms:.0f} ms"
    return table


def import_table(imports_ms: dict[str, float]) -> Table:
    """How long the imports take, beside ours."""
    table = figure_table("An import in a new process", "median", "ms", "ratio")
    for module, ms in imports_ms.items():
        table.add_row(f"import {module}", f"{ms:.1f}", ratio(ms, imports_ms["fsm"]))
    return table


def figure_table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, title_style="bold", title_justify="left", caption_justify="left")
    table.add_column(first, min_width=36, no_wrap=True)
    for column in others:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def ratio(value: float, one: float) -> str:
    return f"{value / one:.2f}"
