"""`python -m tests.kills`: real workers, a real NATS, the stand-in Twilio and LLM; who holds a call is killed, frozen, or told to end.

After each: the caller hears the agent again, in one call with one owner at a time, whose greeting was asked for once if it was heard, whose
tools ran once, and whose end is told once. One that is frozen for longer than its lease wakes to a call that is another's.
"""

import argparse
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress

import anyio
import attrs

from adapters.cluster.nats import embedded
from adapters.cluster.record import Record
from adapters.cluster.store import Store, opened
from adapters.standin.demo import demo_caller
from adapters.standin.dialling import Telephone
from adapters.standin.twilio.call import Call, CallFailed
from adapters.standin.twilio.http import Application
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.rest import Calls, serve_rest
from adapters.standin.twilio.stream import Conditions, Hung
from fsm import effects as fx, events as ev, start, states as st, step
from fsm.call.snapshot import Call as Snapshot
from tests.shared.phone_process import server
from tests.shared.shell import PATIENCE_S

TOKEN = "cafe0123456789"
LOOK_S = 0.02
HOWS = ("kill", "stop", "term")
MOMENTS: dict[str, Callable[[Snapshot], bool]] = {
    "the session is set up": lambda call: call.session.state is st.CONFIGURING,
    "the greeting is asked for": lambda call: call.response.state is st.REQUESTED and call.response.cause is fx.Cause.GREETING,
    "the greeting is heard": lambda call: call.phase.state is st.GREETING_LOCK and call.playout.heard,
    "the caller speaks": lambda call: call.turn.state is st.SPEAKING,
    "a turn is to be committed": lambda call: call.turn.state is st.STOPPED,
    "an answer is asked for": lambda call: call.response.state is st.REQUESTED and call.response.cause is not fx.Cause.GREETING,
    "an answer is generated, unheard": lambda call: call.response.state is st.IN_PROGRESS and call.playout.state is st.ADMITTED,
    "an answer is heard": lambda call: call.phase.state is st.AI_SPEAKING and call.playout.state is st.PLAYING,
    "an answer is played out": lambda call: call.response.state is st.COMPLETED and call.playout.state is st.PLAYING,
    "the voice is held": lambda call: call.interruption.state is st.SUSPECTED,
    "an answer is cancelled": lambda call: call.phase.state is st.CANCELLING,
    "nobody speaks": lambda call: call.turn.turns >= 0 and call.idle.state is st.ARMED and call.response.state is st.COMPLETED,
}
"""When the process dies: at the first of such states that is on record."""


@attrs.frozen
class Outcome:
    """What came of a call whose process was killed; `wrong` is what broke."""

    moment: str
    how: str
    again_s: float = 0.0
    """From the kill to the first sound of the agent after it, by the call's clock."""
    wrong: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line."""
        return f"{self.how:5} {self.moment:34} heard again after {self.again_s:4.1f} s  {'; '.join(self.wrong) or 'kept'}"


async def killed(moment: str, how: str = "kill", *, workers: int = 3) -> Outcome:
    """Hold a call, kill its process at a moment, and judge what follows."""
    ids, reached, broken = Ids(), MOMENTS[moment], list[str]()
    async with AsyncExitStack() as stack:
        nats = await stack.enter_async_context(embedded())
        store = await stack.enter_async_context(opened(nats))
        call = Call(Application(ids, token=TOKEN), Telephone(demo_caller("realtime")), Conditions(), lambda _: None)
        rest = await stack.enter_async_context(serve_rest(Calls(ids, TOKEN, call.end, call.send_to)))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        options = ("--port", port, "--workers", workers, "--cluster", nats, "--public-url", url, "--twilio-api", rest)
        variables = {"TWILIO_AUTH_TOKEN": TOKEN, "TWILIO_ACCOUNT_SID": ids.account}
        _, told, _ = await anyio.to_thread.run_sync(lambda: stack.enter_context(server(*options, **variables)))
        assert told["ready"] == f"{url}/voice", told
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_dial, call, f"{url}/voice")
            with anyio.fail_after(PATIENCE_S):
                before = await _until(store, ids.call, lambda record: reached(record.call) or record.over)
                if before.over:
                    tasks.cancel_scope.cancel()
                    return Outcome(moment, how, wrong=("never reached",))
                pid = int(before.owner.name.split("-")[-2])
                os.kill(pid, {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "term": signal.SIGTERM}[how])
                await _until(store, ids.call, lambda record: record.owner.epoch > 1)
                after = await _until(store, ids.call, lambda record: _heard_again(record) is not None or record.over)
                again = _heard_again(after)
                if how == "stop":
                    os.kill(pid, signal.SIGCONT)
                    # What it does when it wakes, it does within the moment: a line of its own would be on record.
                    await anyio.sleep(1)
                call.end(Hung.CALLER)
                record = await _until(store, ids.call, lambda record: record.over)
            tasks.cancel_scope.cancel()
    if again is None:
        broken.append("the agent is not heard again")
    broken += _judged(record)
    return Outcome(moment, how, 0.0 if again is None else again / 1000, tuple(broken))


async def _dial(call: Call, url: str) -> None:
    with suppress(CallFailed):
        await call.dial(url, {})


async def _until(store: Store, call_sid: str, so: Callable[[Record], bool]) -> Record:
    """The record, once that is so of it."""
    while True:
        found = await store.record(call_sid)
        if found is not None and so(found[0]):
            return found[0]
        await anyio.sleep(LOOK_S)


def _heard_again(record: Record) -> float | None:
    """How long after what is the last line of the first owner the agent was heard again, in ms; None: it was not yet."""
    at = next((place for place, event in enumerate(record.events) if isinstance(event, ev.TakenUp)), None)
    if at is None:
        return None
    left_ms = record.events[at - 1].at_ms if at else 0.0
    return next((event.at_ms - left_ms for event in record.events[at:] if isinstance(event, ev.PlayoutProgressed)), None)


def _judged(record: Record) -> Iterator[str]:
    """What is wrong with a call as a whole."""
    asked, greeted, heard = Counter[type](), 0, False
    call, ran = start(record.call.policy, record.call.call_id), Counter[str]()
    for event in record.events:
        answer = step(call, event)
        call = answer.snapshot
        heard = heard or (call.phase.state is st.GREETING_LOCK and call.playout.heard)
        for effect in answer.effects:
            asked[type(effect)] += 1
            if isinstance(effect, fx.RunTool):
                ran[effect.tool_call_id] += 1
            if isinstance(effect, fx.CreateResponse) and effect.cause is fx.Cause.GREETING:
                greeted += heard
    if asked[fx.TellEnded] != 1:
        yield f"the end was told {asked[fx.TellEnded]} times"
    if asked[fx.HangUp] > 1:
        yield "the line was hung up twice"
    if max(ran.values(), default=1) > 1:
        yield "a tool ran twice"
    if greeted:
        yield "the greeting was asked for again, though it was heard"


def main(arguments: list[str] | None = None) -> int:
    """Kill and freeze at every moment, and print what came of it. Exit code 1: something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--how", choices=HOWS, help="SIGKILL, SIGSTOP for longer than the lease, or SIGTERM (default: all)")
    given = parser.parse_args(arguments)
    wrong = 0
    for how in (given.how,) if given.how else HOWS:
        for moment in MOMENTS:
            outcome = anyio.run(killed, moment, how)
            print(outcome, flush=True)
            wrong += bool(outcome.wrong)
    print(f"{wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
