"""Makes a failing simulated call small: leaves out settings and items while the same rule still breaks, and writes what is left."""

import re
from pathlib import Path
from typing import Any

import attrs

from adapters.proof.sim.call import Parts, Simulated, simulate
from adapters.proof.sim.plan import Item, Plan
from adapters.proof.smaller import smallest
from adapters.telling.trace import TraceWriter
from fsm.call.events import Event
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Step

TRIALS = 600
"""How many calls are held at most to make one small: some seconds."""
SHOWN = 30
"""How many steps before the fault are shown."""

Part = Item | tuple[str, Any]
"""What can be left out: an item, or a setting of the policy."""


def kind_of(fault: str) -> str:
    """A fault without its ids and figures: two calls with the same kind broke the same rule."""
    return re.sub(r"\d+(\.\d+)?", "N", fault)


def shrink(failed: Simulated, parts: Parts | None = None) -> Simulated:
    """The smallest call found that breaks the same rule: of what is left of its plan nothing can be spared (delta debugging, `ddmin`)."""
    best, kind, trials = failed, kind_of(failed.fault), 0

    def fails(kept: list[Part]) -> bool:
        nonlocal best, trials
        trials += 1
        plan = _plan_of(failed.plan.seed, kept)
        if plan is None or trials > TRIALS:
            return False
        held = simulate(plan, parts)
        if kind_of(held.fault) != kind:
            return False
        best = held
        return True

    parts_of: list[Part] = [*failed.plan.settings, *failed.plan.items]
    smallest(parts_of, fails)
    return best


def write(failed: Simulated, folder: Path) -> tuple[Path, Path]:
    """Write the call as a trace that `callfsm replay` runs, and its plan beside it; gives both paths. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    trace, plan = folder / f"seed_{failed.plan.seed}.trace", folder / f"seed_{failed.plan.seed}.plan"
    writer = TraceWriter(trace, start(failed.plan.policy))
    for event, answer in failed.steps:
        writer(event, answer)
    writer.close()
    plan.write_text(failed.plan.to_json() + "\n", encoding="utf-8")
    return trace, plan


def lines(failed: Simulated) -> list[str]:
    """The end of the call in words: a line an event, with what was asked for."""
    return [_line(event, answer) for event, answer in failed.steps[-SHOWN:]]


def _plan_of(seed: int, parts: list[Part]) -> Plan | None:
    """The plan of what is kept; None if its policy is none."""
    settings = tuple(part for part in parts if isinstance(part, tuple))
    plan = Plan(seed, settings, tuple(part for part in parts if isinstance(part, Item)))
    try:
        _ = plan.policy
    except ValueError:
        return None
    return plan


def _line(event: Event, answer: Step[Call]) -> str:
    told = [str(value) for name, value in attrs.asdict(event).items() if name not in ("at_ms", "epoch") and value != ""]
    line = f"{event.at_ms / 1000:9.3f} s  {' '.join([type(event).__name__, *told])}"
    return f"{line:70} {' '.join(map(str, answer.effects))}".rstrip()
