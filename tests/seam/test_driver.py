"""Claims about the driver: what it gives to whom and when, and how a call ends; on asyncio, and on trio with a virtual clock."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import anyio
import attrs
import pytest
import trio

from adapters.seam.driver import Driver
from adapters.seam.ports import Post
from fsm.call import effects as fx, events as ev
from fsm.call.snapshot import Call, start
from fsm.call.states import CLOSED
from fsm.engine.machine import Step
from tests.shared.shell import (
    ANSWER,
    BACKENDS,
    BARGE_IN,
    OPENING,
    Onlooker,
    Puppet,
    Said,
    at,
    drive,
    each_backend,
    silent_policy,
)

DEVICE = (fx.Admit, fx.Hold, fx.Resume, fx.Flush, fx.HangUp)
MODEL = (fx.ConfigureSession, fx.CreateResponse, fx.CancelResponse, fx.TruncateItem, fx.CloseSession)
both_backends = pytest.mark.parametrize("backend", BACKENDS)
GONE = at(0, ev.CallerHungUp)
QUICK = silent_policy(closing_ms=100)


def hung_up_after(script: tuple[Said, ...], ms: float = 100) -> tuple[Said, ...]:
    """The script, and then the caller hangs up."""
    return (*script, at(script[-1][0] + ms, ev.CallerHungUp))


class Bug(Exception):
    """A bug of a port."""


@attrs.define(eq=False)
class Buggy(Puppet):
    """A port that has a bug: in `run` after its script, or in `do` on an effect."""

    on: type[fx.Effect] | None = None

    async def after(self, post: Post) -> None:
        if self.on is None:
            raise Bug("in run")
        await anyio.sleep_forever()

    def do(self, effect: fx.Effect) -> None:
        super().do(effect)
        if self.on is not None and isinstance(effect, self.on):
            raise Bug("in do")


class Leaver(Puppet):
    """A port that has nothing more to do after its script."""

    async def after(self, post: Post) -> None:
        self.ended = "left"


# Who gets what, and when.


@both_backends
def test_an_effect_reaches_exactly_the_ports_that_perform_it(backend: str) -> None:
    script = (*OPENING, at(0, ev.SpeechStarted), at(0, ev.SpeechStopped), at(0, ev.TurnCommitted), at(0, ev.ResponseCreated, "r1"), GONE)
    asked: list[tuple[str, fx.Effect]] = []
    device, model = Puppet((), DEVICE, "device", asked), Puppet((), MODEL, "model", asked)
    recorder = Puppet(script, (fx.Admit,), "recorder", asked)
    drive(backend, [device, model, recorder])
    assert asked == [
        ("model", fx.ConfigureSession()),
        ("model", fx.CreateResponse(fx.Cause.USER_TURN)),
        ("device", fx.Admit("r1")),
        ("recorder", fx.Admit("r1")),
        ("device", fx.Flush("r1")),
        ("model", fx.CloseSession()),
    ]


def test_the_device_falls_silent_before_anything_goes_to_the_network() -> None:
    asked: list[tuple[str, fx.Effect]] = []
    model = Puppet(hung_up_after(BARGE_IN), MODEL, "model", asked)
    device = Puppet((), DEVICE, "device", asked)
    drive("trio", [model, device])
    interruption = asked.index(("device", fx.Hold()))
    assert asked[interruption + 1 : interruption + 5] == [
        ("device", fx.Flush("r1")),
        ("device", fx.Resume()),
        ("model", fx.CancelResponse("r1")),
        ("model", fx.TruncateItem("item_r1", 600)),
    ]


@both_backends
def test_an_event_is_answered_before_post_returns(backend: str) -> None:
    @attrs.define(eq=False)
    class Impatient(Puppet):
        seen: list[fx.Effect] = attrs.Factory(list)

        async def after(self, post: Post) -> None:
            post(ev.LineOpened)
            post(ev.SessionOpened)
            self.seen = [effect for _, effect in self.asked]
            post(ev.CallerHungUp)

    port = Impatient()
    drive(backend, [port])
    assert port.seen == [fx.ConfigureSession()]


def test_what_a_port_posts_while_it_performs_an_effect_comes_after_the_whole_step() -> None:
    order: list[str] = []

    class Prompt(Puppet):
        async def run(self, post: Post) -> None:
            self.post = post
            await super().run(post)

        def do(self, effect: fx.Effect) -> None:
            order.append(type(effect).__name__)
            if isinstance(effect, fx.Flush):
                self.post(ev.PlayoutStopped, effect.response_id, 600.0, 900.0)

    def watch(event: ev.Event, _: Step[Call]) -> None:
        order.append(f"[{type(event).__name__}]")

    script = hung_up_after((*ANSWER, at(1400, ev.PlayoutProgressed, "r1", 500.0), at(1500, ev.SpeechStarted, "u2")), 400)
    drive("trio", [Prompt(script)], watch)
    flush = order.index("Flush")
    assert order[flush : flush + 6] == ["Flush", "Resume", "CancelResponse", "[InterruptionExpired]", "TruncateItem", "[PlayoutStopped]"]


@pytest.mark.virtual_time
async def test_a_deadline_that_has_passed_is_answered_before_the_event() -> None:
    class Frozen(Puppet):
        async def after(self, post: Post) -> None:
            clock = trio.lowlevel.current_clock()
            clock.jump(3.0)  # the process slept: nobody could run meanwhile
            post(ev.SpeechStarted, "u1")
            post(ev.CallerHungUp)

    onlooker = Onlooker()
    await Driver(start(silent_policy(calibration_ms=1000)), [Frozen(OPENING[:3])], [onlooker]).run()
    assert onlooker.events()[-3:] == ["CalibrationExpired", "SpeechStarted", "CallerHungUp"]


@pytest.mark.virtual_time
async def test_events_are_stamped_with_the_calls_own_clock() -> None:
    """R55."""
    onlooker = Onlooker()
    await anyio.sleep(1234.5)
    await Driver(start(silent_policy()), [Puppet(hung_up_after(ANSWER))], [onlooker]).run()
    stamped = {type(event).__name__: event.at_ms for event, _ in onlooker.steps}
    assert stamped["LineOpened"] == pytest.approx(0)
    assert stamped["ResponseCreated"] == pytest.approx(600)
    assert stamped["CallerHungUp"] == pytest.approx(1000)


@pytest.mark.virtual_time
async def test_a_deadline_passes_whatever_the_clock_shows() -> None:
    """Seconds to milliseconds and back is not exact: a deadline that has passed for the sleep has passed for the call."""
    limits = range(1000, 1300)
    lengths: list[float] = []
    for limit in limits:
        await anyio.sleep(0.1234567)
        began_s = anyio.current_time()
        await Driver(start(silent_policy(line_ms=limit, closing_ms=100)), [Puppet()]).run()
        lengths.append((anyio.current_time() - began_s) * 1000)
    assert lengths == pytest.approx([limit + 100 for limit in limits])


@pytest.mark.virtual_time
async def test_a_call_of_ten_minutes_needs_no_real_time() -> None:
    turns = [
        at(minute * 60_000 + ms, event, *fields)
        for minute in range(10)
        for ms, event, fields in (
            at(1_000, ev.SpeechStarted, f"u{minute}"),
            at(2_000, ev.SpeechStopped, f"u{minute}"),
            at(2_000, ev.TurnCommitted, f"u{minute}"),
            at(2_500, ev.ResponseCreated, f"r{minute}"),
            at(2_900, ev.AudioArrived, f"r{minute}", f"item{minute}"),
            at(3_000, ev.ResponseCompleted, f"r{minute}"),
            at(4_900, ev.PlayoutFinished, f"r{minute}", 2_000.0),
        )
    ]
    port, length_s = Puppet((*OPENING, *turns, at(600_000, ev.CallerHungUp))), 0.0
    began_s = time.monotonic()
    await Driver(start(silent_policy(idle_ms=600_000, call_ms=700_000)), [port]).run()
    length_s = anyio.current_time()
    assert length_s == pytest.approx(600)
    assert time.monotonic() - began_s < 60
    assert len(port.of(fx.CreateResponse)) == 10
    assert port.of(fx.TellEnded) == [fx.TellEnded(fx.Reason.CALLER_HUNG_UP)]


@pytest.mark.virtual_time
async def test_a_machine_that_slept_wakes_to_the_deadlines_that_people_mean() -> None:
    """The event loop's clock stood still: the call has lasted an hour for everybody else, and ends as one that reached its maximum."""
    slept_s = 0.0

    class Lid(Puppet):
        async def after(self, post: Post) -> None:
            nonlocal slept_s
            slept_s = 3_600.0
            post(ev.SpeechStarted, "u1")
            await anyio.sleep_forever()

    port, ended = Lid(OPENING), list[Call]()
    ended.append(await Driver(start(silent_policy(closing_ms=100)), [port], asleep_s=lambda: slept_s).run())
    assert port.of(fx.TellEnded) == [fx.TellEnded(fx.Reason.LIMIT)]


# How a call ends.


@both_backends
def test_run_gives_the_closed_call(backend: str) -> None:
    port = Puppet([at(0, ev.LineOpened), at(0, ev.DeviceFailed, "1006"), at(0, ev.LineClosed)])
    ended = drive(backend, [port])
    assert ended.phase.state is CLOSED
    assert port.of(fx.TellEnded) == [fx.TellEnded(fx.Reason.DEVICE_FAILED, "1006")]


@both_backends
def test_a_line_that_never_confirms_its_end_does_not_keep_the_call_open(backend: str) -> None:
    assert drive(backend, [Puppet([at(0, ev.DeviceFailed)])], policy=QUICK).phase.state is CLOSED


@both_backends
def test_ports_are_cancelled_at_the_end(backend: str) -> None:
    ports = [Puppet(), Puppet([GONE]), Puppet()]
    drive(backend, ports)
    assert [port.ended for port in ports] == ["cancelled"] * 3


@both_backends
def test_a_port_that_returns_early_ends_nothing(backend: str) -> None:
    early, late = Leaver(OPENING), Puppet([at(50, ev.CallerHungUp)])
    onlooker = Onlooker()
    drive(backend, [early, late], onlooker)
    assert (early.ended, late.ended) == ("left", "cancelled")
    assert onlooker.events() == ["LineOpened", "SessionOpened", "SessionConfirmed", "VadCalibrated", "CallerHungUp"]


@both_backends
def test_a_bug_in_a_ports_run_closes_the_call_and_is_raised(backend: str) -> None:
    """R87: cleanly, and not silently."""
    healthy = Puppet()
    with pytest.raises(Bug, match="in run"):
        drive(backend, [Buggy([at(0, ev.LineOpened)]), healthy], policy=QUICK)
    assert healthy.of(fx.TellEnded) == [fx.TellEnded(fx.Reason.INTERNAL, "Buggy: Bug: in run")]
    assert healthy.of(fx.HangUp) == [fx.HangUp(fx.Reason.INTERNAL)]
    assert healthy.ended == "cancelled"


@both_backends
def test_a_bug_while_an_effect_begins_closes_the_call_and_keeps_no_port_from_its_effects(backend: str) -> None:
    innocent = Puppet([*OPENING, at(0, ev.SpeechStarted), at(0, ev.SpeechStopped), at(0, ev.TurnCommitted)])
    onlooker = Onlooker()
    with pytest.raises(Bug, match="in do"):
        drive(backend, [Buggy(on=fx.CreateResponse), innocent], onlooker, policy=QUICK)
    assert innocent.of(fx.CreateResponse) == [fx.CreateResponse(fx.Cause.USER_TURN)]
    assert innocent.of(fx.TellEnded) == [fx.TellEnded(fx.Reason.INTERNAL, "Buggy: Bug: in do")]
    assert innocent.ended == "cancelled"
    assert onlooker.events()[-3:] == ["TurnCommitted", "PortFailed", "PhaseExpired"]


def test_a_bug_that_a_deadline_wakes_closes_the_call_as_well() -> None:
    healthy = Puppet(hung_up_after(BARGE_IN, 60_000))
    with pytest.raises(Bug, match="in do"):
        drive("trio", [Buggy(on=fx.Flush), healthy])
    assert [type(effect) for _, effect in healthy.asked].count(fx.TellEnded) == 1
    assert healthy.of(fx.CancelResponse) == [fx.CancelResponse("r1")]


@both_backends
def test_a_port_that_fails_at_everything_still_lets_the_call_end(backend: str) -> None:
    healthy = Puppet()
    with pytest.raises(Bug):
        drive(backend, [Buggy([*OPENING, at(0, ev.DeviceFailed)], on=fx.Effect), healthy], policy=QUICK)
    assert len(healthy.of(fx.TellEnded)) == 1


@both_backends
@pytest.mark.parametrize("kind", [Bug, OSError, UnicodeEncodeError, SystemExit, KeyboardInterrupt])
def test_an_onlooker_that_fails_is_dropped_and_said_once(backend: str, kind: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    """R105: the call goes on to its end, and the other onlookers see it to its end."""

    class Clumsy:
        seen = 0

        def __call__(self, *_: object) -> None:
            self.seen += 1
            raise kind("ascii", "\ud800", 0, 1, "in a watch") if kind is UnicodeEncodeError else kind("in a watch")

    clumsy, onlooker, port = Clumsy(), Onlooker(), Puppet([*OPENING, at(30, ev.CallerHungUp)])
    ended = drive(backend, [port], clumsy, onlooker)
    assert ended.phase.state is CLOSED
    assert port.of(fx.TellEnded) == [fx.TellEnded(fx.Reason.CALLER_HUNG_UP)]
    assert onlooker.events() == ["LineOpened", "SessionOpened", "SessionConfirmed", "VadCalibrated", "CallerHungUp"]
    assert clumsy.seen == 1
    assert [record.getMessage() for record in caplog.records] == ["onlooker_dropped: Clumsy"]


class Unspeakable(BaseException):
    """What fails even to say what it is."""

    def __str__(self) -> str:
        raise SystemExit(3)


@both_backends
@pytest.mark.parametrize("where", ["run", "do"])
@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError, Unspeakable])
def test_whatever_a_port_raises_ends_its_call_and_no_more(backend: str, where: str, kind: type[BaseException]) -> None:
    """R105: what would end a program is a bug of that port."""

    class Foreign(Puppet):
        async def after(self, post: Post) -> None:
            if where == "run":
                raise kind(1)
            await super().after(post)

        def do(self, effect: fx.Effect) -> None:
            super().do(effect)
            if where == "do" and isinstance(effect, fx.ConfigureSession):
                raise kind(1)

    healthy = Puppet()
    with pytest.raises(RuntimeError, match=f"Foreign: {kind.__name__}"):
        drive(backend, [Foreign(OPENING), healthy], policy=QUICK)
    [told] = healthy.of(fx.TellEnded)
    assert told.reason is fx.Reason.INTERNAL


def test_of_two_bugs_the_first_is_raised() -> None:
    late = Buggy([at(20, ev.LineOpened)])
    with pytest.raises(Bug, match="in do"):
        drive("trio", [late, Buggy([at(10, ev.SessionOpened)], on=fx.ConfigureSession)])


@pytest.mark.virtual_time
@each_backend
async def test_a_bug_in_one_call_touches_no_other() -> None:
    """R87."""
    fine = Puppet([*OPENING, at(30, ev.CallerHungUp)])
    ended: dict[str, Any] = {}

    async def hold(name: str, port: Puppet) -> None:
        try:
            ended[name] = await Driver(start(QUICK, name), [port]).run()
        except Bug as bug:
            ended[name] = bug

    async with anyio.create_task_group() as group:
        group.start_soon(hold, "fine", fine)
        group.start_soon(hold, "broken", Buggy(OPENING))
    assert isinstance(ended["broken"], Bug)
    assert ended["fine"].phase.state is CLOSED
    assert fine.of(fx.TellEnded) == [fx.TellEnded(fx.Reason.CALLER_HUNG_UP)]


@pytest.mark.virtual_time
@each_backend
async def test_whoever_cancels_the_driver_hangs_up() -> None:
    ports = [Puppet(OPENING), Puppet()]
    driver = Driver(start(silent_policy()), ports)
    with anyio.move_on_after(0.05) as scope:
        await driver.run()
    assert scope.cancelled_caught
    assert [port.ended for port in ports] == ["cancelled"] * 2
    assert driver.call.phase.state is CLOSED
    told = ports[0].of(fx.TellEnded)
    assert told == [fx.TellEnded(fx.Reason.CALLER_HUNG_UP, "stopped from outside")]


@both_backends
def test_what_is_posted_after_the_end_does_nothing(backend: str) -> None:
    class Late(Puppet):
        async def run(self, post: Post) -> None:
            self.post = post
            try:
                await super().run(post)
            finally:
                post(ev.SpeechStarted, "while unwinding")

    port, onlooker = Late([at(0, ev.LineOpened), GONE]), Onlooker()
    ended = drive(backend, [port], onlooker)
    before = list(port.asked)
    port.post(ev.DeviceFailed, "long after, and outside any event loop")
    assert onlooker.events() == ["LineOpened", "CallerHungUp"]
    assert port.asked == before
    assert ended.phase.state is CLOSED


@pytest.mark.parametrize("ending", ["closed", "cancelled", "bug"])
@pytest.mark.virtual_time
@each_backend
async def test_no_task_is_left(anyio_backend_name: str, ending: str) -> None:
    def tasks() -> int:
        return len(asyncio.all_tasks()) if anyio_backend_name == "asyncio" else trio.lowlevel.current_statistics().tasks_living

    ports: dict[str, Callable[[], Puppet]] = {
        "closed": lambda: Puppet([*OPENING, GONE]),
        "cancelled": lambda: Puppet(OPENING),
        "bug": lambda: Buggy(OPENING),
    }
    before = tasks()
    with anyio.move_on_after(0.2):
        try:
            await Driver(start(QUICK), [Puppet(), ports[ending](), Leaver()]).run()
        except Bug:
            assert ending == "bug"
    assert tasks() == before
