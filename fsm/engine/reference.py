"""The tables walked plainly, row by row as they are written: slow, short, and what the compiled machine is tested against."""

from typing import Any

import attrs

from fsm.engine.machine import Machine, Step
from fsm.engine.notation import NEVER, Record, Region, Row, fields_set_by, makes_several


def walk(machine: Machine[Any], snapshot: Any, event: Any) -> Step[Any]:
    """Answer one event, and the signals that its rows raise, as `machine.step` must."""
    snapshot, effects, rows = _answer(machine, snapshot, event)
    for signal in machine.signals:
        if any(signal in row.then.signals for row in rows):
            snapshot, more, others = _answer(machine, snapshot, signal(event.at_ms))
            effects, rows = effects + more, rows + others
    return Step(snapshot, effects, rows)


def _answer(machine: Machine[Any], snapshot: Any, event: Any) -> tuple[Any, tuple[Any, ...], tuple[Row, ...]]:
    rows = tuple(_first(region, snapshot, event) for region in machine.regions)
    records = {row.region: next_record(row, getattr(snapshot, row.region), snapshot, event) for row in rows}
    effects: list[Any] = []
    for row in rows:
        for make in row.then.effects:
            effects += make(snapshot, event) if makes_several(make) else (make(snapshot, event),)
    return attrs.evolve(snapshot, **records), tuple(effects), rows


def _first(region: Region, snapshot: Any, event: Any) -> Row:
    state = getattr(snapshot, region.name).state
    return next(row for row in region.rows if row.state is state and isinstance(event, row.on) and row.guard(snapshot, event))


def next_record(row: Row, record: Record, snapshot: Any, event: Any) -> Record:
    """What the row makes of its region's record."""
    changes: dict[str, Any] = {}
    if (target := row.then.target) is not None:
        due_ms = NEVER if target.at_most is None else event.at_ms + target.at_most(snapshot)
        changes |= {"state": target, "epoch": record.epoch + 1, "due_ms": due_ms}
    for update in row.then.updates:
        values, fields = update(snapshot, event), fields_set_by(update)
        changes |= dict(zip(fields, values if len(fields) > 1 else (values,), strict=True))
    return attrs.evolve(record, **changes)
