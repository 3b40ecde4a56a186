"""Claims about the journal of a call that goes on: written as it happens, and before what cannot be undone (R110)."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import attrs
import pytest

from adapters.cluster.journal import Journal, Overtaken, Unreachable
from adapters.hosts.phone.calls import Calls, Handler
from adapters.hosts.phone.holding import on_record
from adapters.seam.driver import Driver
from fsm import Policy, effects as fx, events as ev, start, states, step
from fsm.call.snapshot import Call
from tests.shared.shell import ANSWER, OPENING, PATIENCE_S, Onlooker, Puppet, at, run_on, until

POLICY = Policy(greeting=False, voice="realtime")
TOOL = at(1_000, ev.ToolCalled, "t1", "look_up", "{}", "r1")


@attrs.define
class Shelf:
    """A record that is kept here; what is appended waits while it is `shut`."""

    lines: list[dict[str, Any]] = attrs.field(factory=list)
    shut: anyio.Event | None = None
    raises: list[Exception] = attrs.field(factory=list)
    batches: int = 0

    async def append(self, text: str) -> None:
        if self.shut is not None:
            await self.shut.wait()
        if self.raises:
            raise self.raises.pop(0)
        self.batches += 1
        self.lines += [json.loads(line) for line in text.split("\n")]

    @property
    def events(self) -> list[str]:
        return [line["event"] for line in self.lines if "event" in line]


@attrs.define
class Learned:
    """A port that remembers."""

    known: dict[str, Any] = attrs.field(factory=dict)

    def remembered(self) -> dict[str, Any]:
        new, self.known = self.known, {}
        return new

    def recall(self, remembered: dict[str, Any]) -> None:
        self.known = dict(remembered)


def nothing_received(_: str) -> list[tuple[str, int, float]]:
    return []


def held(shelf: Shelf, *script: Any, during: Callable[[Driver, Puppet], Awaitable[None]] | None = None, learned: Any = ()) -> Call:
    """A call with a journal, on a virtual clock; its last snapshot."""

    async def main() -> Call:
        puppet, journal = Puppet(script), Journal(shelf.append, nothing_received, learned)
        driver = Driver(start(POLICY), [journal, journal.guard(puppet)], [journal])
        async with anyio.create_task_group() as tasks:
            if during is not None:
                tasks.start_soon(during, driver, puppet)
            await driver.run()
            with anyio.move_on_after(1.0):
                await journal.flush()
            journal.settle()
            tasks.cancel_scope.cancel()
        return driver.call

    return run_on("trio", main)


def test_everything_that_happens_is_on_record_in_its_order() -> None:
    shelf = Shelf()
    held(shelf, *ANSWER, at(1_500, ev.CallerHungUp, "bye"))
    assert shelf.events[:4] == ["LineOpened", "SessionOpened", "SessionConfirmed", "VadCalibrated"]
    assert shelf.events[-1] == "CallerHungUp"
    assert all({"moves", "effects"} <= line.keys() for line in shelf.lines if "event" in line)


def test_what_happens_while_a_batch_is_on_its_way_is_the_next_batch() -> None:
    shelf = Shelf(shut=None)
    held(shelf, *ANSWER, at(1_500, ev.CallerHungUp, "bye"))
    assert shelf.batches < len(shelf.events)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ((*ANSWER, TOOL), fx.RunTool),
        ((*OPENING, at(100, ev.NoticeRequested, "This call is recorded.")), fx.CreateResponse),
        ((*OPENING, at(100, ev.HangupRequested)), fx.HangUp),
    ],
)
def test_what_cannot_be_undone_waits_until_it_is_on_record(script: Any, kind: type[fx.Effect]) -> None:
    """R110: a tool, a notice, a hang-up; all else is done at once."""
    shelf, seen = Shelf(), list[int]()

    async def look(_: Driver, puppet: Puppet) -> None:
        def count() -> int:
            return sum(not (isinstance(one, fx.CreateResponse) and one.cause is not fx.Cause.NOTICE) for one in puppet.of(kind))

        shelf.shut = door = anyio.Event()
        await anyio.sleep(1.1)
        seen.append(count())
        shelf.shut = None
        door.set()
        await anyio.sleep(0.1)
        seen.append(count())

    held(shelf, *script, at(3_000, ev.CallerHungUp), during=look)
    assert seen == [0, 1]


def test_the_end_is_told_once_it_is_on_record() -> None:
    """R86, R110."""
    shelf, puppets = Shelf(), list[Puppet]()

    async def look(_: Driver, puppet: Puppet) -> None:
        puppets.append(puppet)
        shelf.shut = door = anyio.Event()
        await anyio.sleep(0.5)
        assert puppet.of(fx.TellEnded) == []
        shelf.shut = None
        door.set()
        await anyio.sleep_forever()

    held(shelf, *OPENING, at(100, ev.CallerHungUp), during=look)
    assert len(puppets[0].of(fx.TellEnded)) == 1
    assert shelf.events[-1] == "CallerHungUp"


def test_the_end_is_told_though_no_store_is_there() -> None:
    """R86: once, always, whatever the fault."""
    shelf, puppets = Shelf(raises=[Unreachable("gone")] * 10), list[Puppet]()

    async def look(_: Driver, puppet: Puppet) -> None:
        puppets.append(puppet)
        await anyio.sleep_forever()

    held(shelf, *OPENING, at(100, ev.CallerHungUp), during=look)
    assert len(puppets[0].of(fx.TellEnded)) == 1


def test_a_tool_that_was_given_up_while_it_waited_is_not_run() -> None:
    """R89: the model was told that it did not answer."""
    shelf = Shelf()

    async def look(driver: Driver, puppet: Puppet) -> None:
        shelf.shut = door = anyio.Event()
        await anyio.sleep(POLICY.tool_ms / 1000 + 2)
        shelf.shut = None
        door.set()
        await anyio.sleep(0.1)
        assert puppet.of(fx.RunTool) == []
        driver.post(ev.CallerHungUp, "enough")
        await anyio.sleep_forever()

    held(shelf, *ANSWER, TOOL, during=look)


def test_a_store_that_does_not_answer_is_asked_again() -> None:
    shelf = Shelf(raises=[Unreachable("gone"), Unreachable("gone")])
    held(shelf, *ANSWER, at(1_500, ev.CallerHungUp, "bye"))
    assert shelf.events[0] == "LineOpened"
    assert shelf.events.count("LineOpened") == 1
    assert shelf.events[-1] == "CallerHungUp"


def test_a_call_that_is_another_s_is_left_alone() -> None:
    """R110: nothing that cannot be undone is done, nothing more is written, and no end is told."""
    shelf, puppets = Shelf(), list[Puppet]()

    async def look(driver: Driver, puppet: Puppet) -> None:
        puppets.append(puppet)
        await anyio.sleep(0.95)
        shelf.raises.append(Overtaken())
        await anyio.sleep_forever()

    call = held(shelf, *ANSWER, TOOL, during=look)
    assert call.phase.state is states.CLOSED
    [puppet] = puppets
    assert puppet.of(fx.RunTool) == puppet.of(fx.TellEnded) == puppet.of(fx.HangUp) == puppet.of(fx.CloseSession) == []
    assert "ToolCalled" not in shelf.events


def test_what_a_port_remembers_is_on_record_beside_the_events() -> None:
    shelf, port = Shelf(), Learned({"a": {"text": "one"}})
    held(shelf, *OPENING, at(100, ev.CallerHungUp), learned=[port])
    assert {"remembered": {"a": {"text": "one"}}} in shelf.lines


@pytest.mark.virtual_time
async def test_a_call_goes_on_at_the_time_of_its_first_event_before_any_deadline_that_passed_meanwhile() -> None:
    """R55, R82: what nobody kept is not kept late."""
    onlooker = Onlooker()
    call = start(POLICY)
    for event in (ev.LineOpened(0.0), ev.SessionOpened(0.0), ev.SessionConfirmed(0.0)):
        call = step(call, event).snapshot
    driver = Driver(call, [Puppet([at(500, ev.CallerHungUp, "bye")])], [onlooker], first=ev.TakenUp(90_000.0))
    with anyio.fail_after(PATIENCE_S):
        await driver.run()
    assert onlooker.events()[:2] == ["TakenUp", "CalibrationExpired"]
    times = [event.at_ms for event, _ in onlooker.steps]
    assert times[0] == 90_000.0
    assert times[-1] == pytest.approx(90_500.0)


@pytest.mark.parametrize(
    ("then", "told"), [("the store is back", ["the end"]), ("another has the call", []), ("the server ends", ["the end"])]
)
@pytest.mark.virtual_time
async def test_an_end_waits_for_the_record_unless_the_server_is_to_end_too(then: str, told: list[str]) -> None:
    """R86, R110: while the store is away the call may be another's."""
    done, shelf = list[str](), Shelf(shut=anyio.Event())
    journal, handler, calls = Journal(shelf.append, nothing_received), Handler("CA1", "CA1-1"), Calls(1)
    calls.handlers.add(handler)
    journal(ev.CallerHungUp(2.0), step(start(POLICY), ev.CallerHungUp(2.0)))
    journal.when_on_record(lambda: done.append("the end"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(on_record, journal, handler)
        await anyio.sleep(600)
        assert done == []
        if then == "the server ends":
            calls.cancel()
        else:
            shelf.raises = [Overtaken()] if then == "another has the call" else []
            shelf.shut.set()
    assert done == told


async def test_a_batch_whose_writer_was_cancelled_is_sent_again_as_it_was() -> None:
    """It may be there: with a line more in it, it would look like another owner's, and the end would never be told."""
    there: list[str] = []

    async def append(text: str) -> None:
        if there and there[-1].startswith('{"event": "LineOpened"') and len(there) == 1:
            if text != there[0]:
                raise Overtaken
            there.append("its receipt")
            return
        there.append(text)
        if len(there) == 1:
            await anyio.sleep_forever()

    call, told = start(POLICY), list[str]()
    journal = Journal(append, nothing_received)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(journal.run, lambda *_: None)
        journal(ev.LineOpened(1.0), step(call, ev.LineOpened(1.0)))
        await until(lambda: there)
        tasks.cancel_scope.cancel()
    journal(ev.CallerHungUp(2.0), step(call, ev.CallerHungUp(2.0)))
    journal.when_on_record(lambda: told.append("the end"))
    with anyio.fail_after(PATIENCE_S):
        await journal.flush()
    assert told == ["the end"]
    assert not journal.lost
    assert "CallerHungUp" in there[-1]
