"""What is wrong with a table can be seen without running it: unanswered pairs, competing rows, dead rows, waits without an answer."""

from collections.abc import Iterable

from fsm.engine.notation import Region, Row, State

Answers = dict[type, dict[State, tuple[Row, ...]]]
"""For each event and state the rows that may answer, in order, up to the first unconditional one."""


def candidates(region: Region, state: State, event: type) -> tuple[Row, ...]:
    """The rows that may answer `event` in `state`, in order, up to the first unconditional one."""
    return _first_of([row for row in region.rows if row.state is state], event.__mro__)


def answers_of(region: Region, events: Iterable[type]) -> Answers:
    """The same for each of `events` in every state; events that the same rows are for share one answer."""
    kinds = {row.on for row in region.rows}
    rows = {state: [row for row in region.rows if row.state is state] for state in region.states}
    shared: dict[tuple[type, ...], dict[State, tuple[Row, ...]]] = {}
    answers: Answers = {}
    for event in events:
        of = tuple([kind for kind in event.__mro__ if kind in kinds])
        if of not in shared:
            shared[of] = {state: _first_of(rows[state], of) for state in region.states}
        answers[event] = shared[of]
    return answers


def check(regions: Iterable[Region], events: Iterable[type], signals: Iterable[type] = ()) -> tuple[Answers, ...]:
    """What may answer in each region. Raises ValueError with every fault of the tables, a line each."""
    events, signals = tuple(events), tuple(signals)
    tables = {region: answers_of(region, (*events, *signals)) for region in regions}
    faults = [fault for region, answers in tables.items() for fault in faults_of(region, answers)]
    faults += [fault for region in tables for fault in signal_faults_of(region, signals)]
    if faults:
        raise ValueError("the tables are not sound:\n  " + "\n  ".join(faults))
    return tuple(tables.values())


def faults_of(region: Region, answers: Answers) -> list[str]:
    """The faults of one region's table, in words."""
    reached: set[int] = set()
    faults: list[str] = []
    for by_state in {id(by_state): by_state for by_state in answers.values()}.values():
        for rows in by_state.values():
            reached.update([row.declared for row in rows])
        for state in [state for state, rows in by_state.items() if not rows or not rows[-1].unconditional]:
            faults += [f"{region.name}: nothing answers {event.__name__} in {state!r}" for event in answers if answers[event] is by_state]
    for state in region.states:
        if state.at_most is not None and all(row.ignores for row in candidates(region, state, region.expired)):
            faults.append(f"{region.name}: {state!r} has a deadline, but no row acts on {region.expired.__name__}")
    for number, declared in enumerate(region.declared):
        if number not in reached:
            states, on = "|".join(map(repr, declared.states)), "|".join(event.__name__ for event in declared.events)
            faults.append(f"{region.name}: {states}/{on}/{declared.guard.__name__} can never be reached")
    return faults


def signal_faults_of(region: Region, signals: tuple[type, ...]) -> list[str]:
    """Where a row raises what is no signal, or a signal that does not stand behind the one that it answers.

    Signals stand in an order, and a row that answers one raises later ones only: so each is raised at most once a step, and signals end.
    """
    order = {signal: place for place, signal in enumerate(signals)}
    faults: list[str] = []
    for row in [row for row in region.rows if row.then.signals]:
        answered = max([order[signal] for signal in signals if issubclass(signal, row.on)], default=-1)
        for signal in row.then.signals:
            if signal not in order:
                faults.append(f"{region.name}: {row.name} raises {signal.__name__}, which is no signal of this machine")
            elif order[signal] <= answered:
                faults.append(f"{region.name}: {row.name} raises {signal.__name__}, which does not stand behind {row.on.__name__}")
    return faults


def _first_of(rows: list[Row], kinds: tuple[type, ...]) -> tuple[Row, ...]:
    """The rows for an event of these kinds, up to the first unconditional one."""
    found: list[Row] = []
    for row in rows:
        if row.on in kinds:
            found.append(row)
            if row.unconditional:
                break
    return tuple(found)
