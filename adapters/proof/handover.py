"""The tables as machines of the package `transitions`, and an independent interpreter of them; no table is written here.

    model = Model()
    to_transitions(PHASE, CALL.alphabet, model=model)     # a transitions.Machine of one region
    model.SpeechStarted(snapshot, event)                 # transitions picks the row: by source, order and conditions
    model.state, model.row, model.effects

`Walker` runs all regions of a machine side by side, each on its own `transitions.Machine`, so that its walk can be held against `step`.
transitions chooses every row and moves every state; what is here hands it the rows and puts the records together.
"""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any

import attrs
from transitions import EventData, Machine as Handed, State as HandedState

from fsm.engine.machine import Machine, Step
from fsm.engine.notation import NEVER, Record, Region, Row, State, fields_set_by, makes_several

Callback = str | Callable[..., bool | None]
"""What transitions takes for a condition or a callback."""


class Model:
    """The model of one region: where it is (`state`, a name, kept by transitions) and how the last event was answered.

    transitions adds a method for each event, by its class's name, that takes the snapshot and the event.
    """

    state: str
    """The state's name, `State.name`."""
    epoch: int
    """How many states have been entered."""
    due_ms: float
    """When the state's deadline passes, on the clock of `Event.at_ms`; `NEVER` if none runs."""
    row: Row
    """The row that answered the last event."""
    effects: list[Any]
    """What the last event asked for, in order."""
    updates: dict[str, Any]
    """The fields of the region's record that the last event changed, besides the state, the epoch and the deadline."""

    def __init__(self) -> None:
        self.epoch, self.due_ms = 0, NEVER
        self.effects, self.updates = [], {}


def to_transitions(
    region: Region, events: Iterable[type], *, model: Model | None = None, machine_class: type[Handed] = Handed, **settings: Any
) -> Handed:
    """`region` as a `transitions.Machine` over `events`, the classes of events that it answers (`CALL.alphabet`).

    States go by their names and triggers by the names of the event classes; a trigger takes `(snapshot, event)`. Rows stand in their
    order: a guard is a condition, a row that enters no state is an internal transition. `machine_class` and `settings` are for the
    other machines of that package, `transitions.extensions.GraphMachine` for one; `model` is the model to use, a new one if None.
    """
    machine = machine_class(
        model=Model() if model is None else model,
        states=[HandedState(state.name, on_enter=[_starts_deadline(state)]) for state in region.states],
        initial=region.starts.name,
        auto_transitions=False,
        queued=False,
        send_event=True,
        name=region.name,
        **settings,
    )
    events = tuple(events)
    for row in region.rows:
        conditions: list[Callback] = [] if row.unconditional else [_asks(row.guard)]
        target = None if row.then.target is None else row.then.target.name
        after: list[Callback] = [_answers(row)]
        for event in events:
            if issubclass(event, row.on):
                machine.add_transition(event.__name__, row.state.name, target, conditions=conditions, after=after)
    return machine


def machines(machine: Machine[Any]) -> dict[str, Handed]:
    """Every region of `machine` as a `transitions.Machine` with a model of its own, by the region's name."""
    return {region.name: to_transitions(region, machine.alphabet) for region in machine.regions}


class Walker:
    """Walks a call as `machine.step` does, with transitions as the interpreter.

    `snapshot` is where it stands. All regions are asked with the snapshot from before the event, as the engine asks them, and then,
    signal by signal, with the one that came of what was before.
    """

    def __init__(self, machine: Machine[Any], snapshot: Any) -> None:
        self.snapshot = snapshot
        self.models = {region.name: Model() for region in machine.regions}
        self._events, self._signals = frozenset(machine.events), machine.signals
        self._handed = [to_transitions(region, machine.alphabet, model=self.models[region.name]) for region in machine.regions]
        self._triggers: dict[type, list[Callable[[Any, Any], bool]]] = {
            event: [getattr(model, event.__name__) for model in self.models.values()] for event in machine.alphabet
        }
        self._states = {region.name: {state.name: state for state in region.states} for region in machine.regions}
        self.stand(snapshot)

    def stand(self, snapshot: Any) -> None:
        """Go to `snapshot`, wherever the walk was: its states, epochs and deadlines."""
        self.snapshot = snapshot
        for handed, (name, model) in zip(self._handed, self.models.items(), strict=True):
            record: Record = getattr(snapshot, name)
            handed.set_state(record.state.name, model)
            model.epoch, model.due_ms = record.epoch, record.due_ms

    def step(self, event: Any) -> Step[Any]:
        """Answer one event and its signals, and stand where they lead: the snapshot, effects, rows. TypeError for an unknown event."""
        if type(event) not in self._events:
            raise TypeError(f"{type(event).__name__} is not an event of this machine")
        effects: list[Any] = []
        rows = self._answer(event, effects)
        for signal in self._signals:
            if any(signal in row.then.signals for row in rows):
                rows += self._answer(signal(event.at_ms), effects)
        return Step(self.snapshot, tuple(effects), tuple(rows))

    def _answer(self, event: Any, effects: list[Any]) -> list[Row]:
        """Answer one event alone: the row of each region; adds to `effects`."""
        snapshot = self.snapshot
        for trigger in self._triggers[type(event)]:
            trigger(snapshot, event)
        rows: list[Row] = []
        changes: dict[str, Record] = {}
        for name, model in self.models.items():
            rows.append(model.row)
            effects += model.effects
            record: Record = getattr(snapshot, name)
            if model.updates or model.epoch != record.epoch:
                state = self._states[name][model.state]
                changed = {"due_ms": model.due_ms, **model.updates}
                changes[name] = attrs.evolve(record, state=state, epoch=model.epoch, **changed)
                model.due_ms = changes[name].due_ms
        if changes:
            self.snapshot = attrs.evolve(snapshot, **changes)
        return rows


def run(walker: Walker, events: Iterable[Any]) -> Any:
    """Walk through `events`; the snapshot at their end. What a benchmark times."""
    step = walker.step
    for event in events:
        step(event)
    return walker.snapshot


def _starts_deadline(state: State) -> Callable[[EventData], None]:
    """What entering `state` does: one more epoch, and a deadline if the state has one."""
    at_most = state.at_most

    def enter(data: EventData) -> None:
        snapshot, event = data.args
        model: Any = data.model
        model.epoch += 1
        model.due_ms = NEVER if at_most is None else event.at_ms + at_most(snapshot)

    return enter


def _asks(guard: Callable[[Any, Any], bool]) -> Callable[[EventData], bool]:
    """A guard as a condition, by its own name, so that a diagram shows it."""

    @wraps(guard)
    def condition(data: EventData) -> bool:
        return guard(*data.args)

    return condition


def _answers(row: Row) -> Callable[[EventData], None]:
    """What a row does, once transitions has chosen it and moved the state."""
    makers = row.then.effects
    updates = tuple((update, fields_set_by(update)) for update in row.then.updates)

    def answer(data: EventData) -> None:
        snapshot, event = data.args
        model: Any = data.model
        model.row = row
        model.effects = []
        for make in makers:
            model.effects += make(snapshot, event) if makes_several(make) else (make(snapshot, event),)
        model.updates = {}
        for update, fields in updates:
            values = update(snapshot, event)
            model.updates.update(zip(fields, values if len(fields) > 1 else (values,), strict=True))

    return answer
