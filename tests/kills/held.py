"""One call whose process is lost at a moment."""

import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import attrs

from adapters.cluster.journal import Unreachable
from adapters.cluster.record import Record
from adapters.cluster.store import Store, opened
from adapters.standin.demo import demo_caller
from adapters.standin.dialling import Telephone
from adapters.standin.twilio.call import Call, CallFailed
from adapters.standin.twilio.http import Application
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.rest import Calls, serve_rest
from adapters.standin.twilio.stream import Conditions, Hung
from fsm import start, step
from fsm.call.snapshot import Call as Snapshot
from tests.kills import hours
from tests.kills.judge import heard_again, judged, lines_of, taken_up
from tests.kills.moments import MOMENTS
from tests.kills.ways import WAYS, nats_behind_proxy
from tests.shared.phone_process import server

TOKEN = "cafe0123456789"
LOOK_S = 0.05
WORKERS = 3
PATIENCE_S = 150.0
"""How long a call and what becomes of it may take, a NATS that is away included."""


@attrs.frozen
class Outcome:
    """What came of a call whose process was lost; `wrong` is what broke."""

    moment: str
    how: str
    voice: str
    taken_s: float = 0.0
    """From the loss until another process has the call, by the call's clock; 0 where none need take it up."""
    again_s: float = 0.0
    """And until the agent is heard, which the caller may hold up by speaking, and a tool by running."""
    wrong: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One line."""
        told = "; ".join(self.wrong) or "kept"
        return (
            f"{self.how:7} {self.voice:10} {self.moment:34} taken up after {self.taken_s:4.1f} s, heard after {self.again_s:4.1f} s  {told}"
        )


async def lost(moment: str, how: str = "kill", voice: str = "realtime") -> Outcome:
    """Hold a call, lose its process at a moment, and judge what follows."""
    ids, reached, way = Ids(), MOMENTS[moment], WAYS[how]
    async with AsyncExitStack() as stack:
        ran = Path(stack.enter_context(TemporaryDirectory(prefix="callfsm-kills-"))) / "ran"
        ran.touch()
        nats = await stack.enter_async_context(nats_behind_proxy())
        store = await stack.enter_async_context(opened(nats.url))
        caller = await anyio.to_thread.run_sync(demo_caller, voice)
        call = Call(Application(ids, token=TOKEN), Telephone(caller), Conditions(), lambda _: None)
        rest = await stack.enter_async_context(serve_rest(Calls(ids, TOKEN, call.end, call.send_to)))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        options = ("--port", port, "--workers", WORKERS, "--cluster", nats.proxied, "--public-url", url, "--twilio-api", rest)
        options += ("--voice", voice, "--tools", hours.__file__)
        variables = {"TWILIO_AUTH_TOKEN": TOKEN, "TWILIO_ACCOUNT_SID": ids.account, "HOURS_RUN": str(ran)}
        _, told, log = await stack.enter_async_context(server(*options, **variables))
        assert told.get("ready") == f"{url}/voice", (told, log)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_dial, call, f"{url}/voice")
            again, record = None, None
            with anyio.move_on_after(PATIENCE_S):
                before = await _until(store, ids.call, lambda record: _passed(record, reached) or record.over)
                if not _passed(before, reached):
                    tasks.cancel_scope.cancel()
                    return Outcome(moment, how, voice, wrong=("never reached",))
                pid, at_ms = int(before.owner.name.split("-")[-2]), None if way.taken_up else before.events[-1].at_ms
                await way.strike(nats, pid)
                again = await _until(store, ids.call, lambda record: heard_again(record, at_ms) is not None or record.over)
                if way.heal is not None:
                    await way.heal(nats, pid)
                    # What it does when it is back, it does at once: it finds that the call is another's, and says that it left it.
                    while not any(line.get("reason") == "left" for line in lines_of(log)):
                        await anyio.sleep(LOOK_S)
                call.end(Hung.CALLER)
                await _until(store, ids.call, lambda record: record.over)
                while not any(line.get("event") == "call_ended" and line.get("reason") != "left" for line in lines_of(log)):
                    await anyio.sleep(LOOK_S)
                record = await _until(store, ids.call, lambda record: record.over)
            tasks.cancel_scope.cancel()
        if again is None or record is None:
            seen = ", ".join(str(line.get("event")) for line in lines_of(log[-20:]))
            return Outcome(moment, how, voice, wrong=(f"{'it never came back' if again is None else 'its end was never told'} ({seen})",))
        again_ms = heard_again(again, at_ms)
        # A process that drains may hold a call to its own end, where there is no quiet moment in it.
        ended_there = not way.must_be_taken_up and not taken_up(record)
        broken = ["the agent is not heard again"] if again_ms is None and not ended_there else []
        broken += judged(record, log, len(ran.read_text().split()))
        return Outcome(moment, how, voice, taken_up(record) / 1000, (again_ms or 0.0) / 1000, tuple(broken))


def _passed(record: Record, reached: Callable[[Snapshot], bool]) -> bool:
    """Was the call in such a state? Some last for less than we look away."""
    call = start(record.call.policy, record.call.call_id)
    return any(reached(call := step(call, event).snapshot) for event in record.events)


async def _dial(call: Call, url: str) -> None:
    with suppress(CallFailed):
        await call.dial(url, {})


async def _until(store: Store, call_sid: str, so: Callable[[Record], bool]) -> Record:
    """The record, once that is so of it; a store that is away is waited for."""
    while True:
        with suppress(Unreachable):
            found = await store.record(call_sid)
            if found is not None and so(found[0]):
                return found[0]
        await anyio.sleep(LOOK_S)
