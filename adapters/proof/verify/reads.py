"""Which regions and fields the tables read: found in the code of their guards and acts, and not listed by hand.

A function reads a field of a region if its code, or that of a function of ours that it calls, names both. So more may be taken as read
than is, and never less.
"""

from collections.abc import Callable
from functools import cache
from types import CodeType, FunctionType
from typing import Any

import attrs

from fsm.call.effects import Log
from fsm.engine.machine import Machine
from fsm.engine.notation import Row, fields_set_by

Field = tuple[str, str]
ALWAYS = frozenset({"state", "epoch", "due_ms"})


@cache
def names_in(function: Callable[..., Any]) -> frozenset[str]:
    """Every name in the code of a function and of the functions of ours that it reaches."""
    found: set[str] = set()
    seen: set[FunctionType] = set()
    waiting: list[object] = [function]
    while waiting:
        one = waiting.pop()
        if isinstance(one, FunctionType) and one.__module__.startswith("fsm.") and one not in seen:
            seen.add(one)
            names = _all_names(one.__code__)
            found |= names
            waiting += [one.__globals__[name] for name in names if name in one.__globals__]
            waiting += [cell.cell_contents for cell in one.__closure__ or ()]
    return frozenset(found)


def _all_names(code: CodeType) -> set[str]:
    names = set(code.co_names)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            names |= _all_names(const)
    return names


class Reads:
    """What the rows of a machine read."""

    def __init__(self, machine: Machine[Any]) -> None:
        self._fields = {region.name: {field.name for field in attrs.fields(region.record)} for region in machine.regions}
        self._machine = machine

    def of(self, function: Callable[..., Any]) -> frozenset[Field]:
        """The fields that a guard, an update or an effect may read."""
        names = names_in(function)
        return frozenset((region, field) for region in names & self._fields.keys() for field in names & self._fields[region])

    def never_read(self) -> frozenset[Field]:
        """Fields that matter to no guard and to no effect but what people are told, nor to an update of one that does."""
        rows = [row for region in self._machine.regions for row in region.rows]
        needed = {field for row in rows for field in self.of(row.guard)}
        needed |= {field for row in rows for act in row.then.effects if not _told_only(act) for field in self.of(act)}
        while True:
            more = {
                field
                for row in rows
                for update in row.then.updates
                if any((row.region, name) in needed for name in fields_set_by(update))
                for field in self.of(update)
            }
            if more <= needed:
                break
            needed |= more
        every = {(region, field) for region, fields in self._fields.items() for field in fields}
        return frozenset(field for field in every - needed if field[1] not in ALWAYS)

    def readers(self, region: str, rows: list[Row]) -> list[Row]:
        """Those of the rows, of other regions, that read anything of a region or are moved by a signal of it."""
        return [
            row
            for row in rows
            if row.region != region and any(field[0] == region for act in (row.guard, *row.then.acts) for field in self.of(act))
        ]


def _told_only(act: Callable[..., Any]) -> bool:
    """Does the act make an effect whose words no judge reads?"""
    return act.__annotations__.get("return") is Log


@cache
def unread_in(machine: Machine[Any]) -> frozenset[Field]:
    """See `Reads.never_read`; worked out once a machine."""
    return Reads(machine).never_read()
