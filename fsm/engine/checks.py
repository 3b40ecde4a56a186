"""What is wrong with a table can be seen without running it: unanswered pairs, competing rows, dead rows, waits without an answer."""

from collections.abc import Iterable

from fsm.engine.notation import Region, Row, State


def candidates(region: Region, state: State, event: type) -> tuple[Row, ...]:
    """The rows that may answer `event` in `state`, in order, up to the first unconditional one."""
    found: list[Row] = []
    for row in region.rows:
        if row.state is state and issubclass(event, row.on):
            found.append(row)
            if row.unconditional:
                break
    return tuple(found)


def check(regions: Iterable[Region], events: Iterable[type]) -> None:
    """Raise ValueError with every fault of the tables, a line each; return if there is none."""
    events = tuple(events)
    faults = [fault for region in regions for fault in faults_of(region, events)]
    if faults:
        raise ValueError("the tables are not sound:\n  " + "\n  ".join(faults))


def faults_of(region: Region, events: tuple[type, ...]) -> list[str]:
    """The faults of one region's table, in words."""
    reached: set[int] = set()
    faults: list[str] = []
    for state in region.states:
        for event in events:
            rows = candidates(region, state, event)
            reached |= {row.declared for row in rows}
            if not rows or not rows[-1].unconditional:
                faults.append(f"{region.name}: nothing answers {event.__name__} in {state!r}")
        if state.at_most is not None and all(row.ignores for row in candidates(region, state, region.expired)):
            faults.append(f"{region.name}: {state!r} has a deadline, but no row acts on {region.expired.__name__}")
    for number, declared in enumerate(region.declared):
        if number not in reached:
            states, on = "|".join(map(repr, declared.states)), "|".join(event.__name__ for event in declared.events)
            faults.append(f"{region.name}: {states}/{on}/{declared.guard.__name__} can never be reached")
    return faults
