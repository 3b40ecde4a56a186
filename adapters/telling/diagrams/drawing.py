"""The project's diagrams, made from the tables alone: a picture of each region, the whole transition table, and a barge-in as a sequence.

They are committed in `diagrams/`; `make diagrams` remakes them, and a test fails when one is stale. Nothing is drawn by hand.

    python -m adapters.telling.diagrams.drawing          # remake them in ./diagrams
"""

import sys
from pathlib import Path

from adapters.telling.diagrams.page import DiagramError, svg
from adapters.telling.diagrams.parts import drawing, mermaid
from adapters.telling.diagrams.sequence import mermaid_sequence
from adapters.telling.diagrams.table import table
from fsm.call.machine import CALL
from fsm.call.policy import Policy
from fsm.call.snapshot import Call, start
from fsm.engine.machine import Machine
from fsm.engine.notation import Region, State

FOLDER = Path(__file__).parents[3] / "diagrams"
"""Where the committed diagrams are."""
KINDS = (".svg", ".mmd", ".md")
"""What `diagrams/` holds; a file of these kinds that no table makes any more is stale too."""
KEPT = frozenset({"call.svg", "wire.md"})
"""What lies there besides: the picture of a call, as `callfsm call` draws it."""
STARTS = {"the caller speaks first": Policy(greeting=False), "the agent greets": Policy()}
"""The kinds of calls that start in different states."""


def files(machine: Machine[Call] = CALL) -> dict[str, str]:
    """Every diagram of `machine`: file name to content, the same on every machine.

    `NAME.svg` and `NAME.mmd` (Mermaid) for each region, `transitions.md`, `barge_in.mmd`. Raises DiagramError where
    graphviz-pure is not installed.
    """
    drawn = {region.name: drawing(region, starts(region)) for region in machine.regions}
    return {
        **{f"{name}.svg": svg(drawn[name]) for name in drawn},
        **{f"{name}.mmd": mermaid(drawn[name]) for name in drawn},
        "barge_in.mmd": mermaid_sequence(machine),
        "transitions.md": table(machine, start(Policy())),
    }


def write(folder: Path, machine: Machine[Call] = CALL) -> list[Path]:
    """Make `folder` hold the diagrams of `machine` and no others; the files that were changed, made or removed."""
    folder.mkdir(parents=True, exist_ok=True)
    made = files(machine)
    changed = [folder / name for name in _differing(folder, made)]
    for path in changed:
        if path.name in made:
            path.write_text(made[path.name], encoding="utf-8", newline="\n")
        else:
            path.unlink()
    return changed


def stale(folder: Path, machine: Machine[Call] = CALL) -> list[str]:
    """The names of the files in `folder` that are missing, differ from what `machine` draws, or belong to nothing; empty if all is well."""
    return _differing(folder, files(machine))


def starts(region: Region) -> dict[State, str]:
    """The states in which a call may start, with the kind of call that starts there; nothing is said where all start in one."""
    found = {getattr(start(policy), region.name).state: kind for kind, policy in STARTS.items()}
    return found if len(found) > 1 else dict.fromkeys(found, "")


def _differing(folder: Path, made: dict[str, str]) -> list[str]:
    """The names that are missing, different or left over in `folder`, in order."""
    there = {path.name: path for path in folder.iterdir() if path.suffix in KINDS and path.name not in KEPT} if folder.is_dir() else {}
    left_over = there.keys() - made.keys()
    wrong = {name for name, text in made.items() if name not in there or there[name].read_bytes() != text.encode()}
    return sorted(left_over | wrong)


if __name__ == "__main__":
    try:
        for changed in write(FOLDER):
            print(changed)
    except DiagramError as error:
        sys.exit(str(error))
