"""The engine: a notation for total tables, its checks and its compiler; it knows nothing of calls."""

from fsm.engine.machine import Machine, Step
from fsm.engine.notation import NEVER, Record, Region, Row, State, always, go, ignore, raises, region, row, sets, several, stay

__all__ = [
    "NEVER",
    "Machine",
    "Record",
    "Region",
    "Row",
    "State",
    "Step",
    "always",
    "go",
    "ignore",
    "raises",
    "region",
    "row",
    "sets",
    "several",
    "stay",
]
