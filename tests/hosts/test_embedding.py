"""The page on embedding is true: its examples run as they stand there, and its contract names every effect and real events."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from adapters.hosts.phone.application import Line, PhoneCall
from adapters.standin.twilio import http
from adapters.standin.twilio.call import Call
from adapters.standin.twilio.ids import Ids
from adapters.standin.twilio.stream import Conditions, Hung
from fsm import Policy, effects as fx, events as ev
from tests.shared.phone_model import TOKEN, ToneCaller, ToneModel, _Session as ToneSession, tone_server
from tests.shared.shell import PATIENCE_S, at_most
from tests.shared.telephone import serving

PAGE = (Path(__file__).parents[2] / "adapters/hosts/EMBEDDING.md").read_text(encoding="utf-8")
CORE, MOUNTED, OWN = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
TABLE = [line for line in PAGE.splitlines() if line.startswith("| `")]


def made(text: str) -> dict[str, Any]:
    """What the code of an example defines."""
    names: dict[str, Any] = {}
    exec(compile(text, "EMBEDDING.md", "exec"), names)
    return names


def effects() -> set[str]:
    return {kind.__name__ for kind in vars(fx).values() if isinstance(kind, type) and issubclass(kind, fx.Effect) and kind is not fx.Effect}


def test_the_contract_names_each_effect_once_and_events_and_settings_that_there_are() -> None:
    named = [name for line in TABLE for name in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert sorted(named) == sorted(effects())
    rest = {name for line in TABLE for cell in line.split("|")[3:] for name in re.findall(r"`(\w+)`", cell)} - effects()
    assert not {name for name in rest if not (hasattr(ev, name) or name in {field.name for field in attrs.fields(Policy)})}


def test_every_example_is_short_enough_to_read_at_once() -> None:
    assert all(len(text.splitlines()) <= 45 for text in (CORE, MOUNTED, OWN))


def test_the_core_alone_runs_a_call_under_a_transport_of_its_own() -> None:
    asked: list[fx.Effect] = []

    def do(effect: fx.Effect) -> None:
        asked.append(effect)
        match effect:
            case fx.ConfigureSession():
                call.post(ev.SessionConfirmed)
            case fx.CreateResponse(cause=fx.Cause.GREETING):
                call.post(ev.ResponseCreated, "r1")
            case fx.Admit(response_id=response_id):
                admitted.append(call.may_play(response_id) and not call.may_play("another"))
                call.post(ev.AudioArrived, response_id)
                call.post(ev.PlayoutProgressed, response_id, 0.0)
                call.post(ev.ResponseCompleted, response_id)
                call.post(ev.PlayoutFinished, response_id, 100.0)
                call.post(ev.HangupRequested)
            case fx.HangUp():
                call.post(ev.LineClosed)
            case _:
                pass

    admitted: list[bool] = []
    call = made(CORE)["OwnCall"](do, Policy(voice="realtime", greeting_protected=False))
    for event in (ev.LineOpened, ev.GreetingPrepared, ev.SessionOpened):
        call.post(event)
    with at_most(PATIENCE_S):
        call.run()
    assert admitted == [True]
    assert [type(effect) for effect in asked if isinstance(effect, fx.HangUp | fx.CloseSession | fx.TellEnded)].count(fx.TellEnded) == 1
    assert call.call.phase.state.name == "closed"


def test_a_deadline_passes_in_the_loop_of_the_page_without_any_event() -> None:
    told: list[fx.Effect] = []
    call = made(CORE)["OwnCall"](told.append, Policy(voice="realtime", session_ms=500, reconnects=0, closing_ms=100))
    with at_most(PATIENCE_S):
        call.run()
    assert any(isinstance(effect, fx.TellEnded) for effect in told)


class Booking(ToneModel):
    """A model that books after the caller's first turn, and hands over after the second."""

    async def handle(self, ws: Any) -> None:
        self.sessions += 1
        await Booker(self, ws, self.sessions).run()


class Booker(ToneSession):
    """Its session."""

    async def answer(self) -> None:
        tool = {1: ("book_table", '{"guests": 4}'), 2: ("hand_over", "{}")}.get(self.turns)
        if tool and (self.turns, "asked") not in self.model.__dict__.setdefault("told", set()):
            self.model.__dict__["told"].add((self.turns, "asked"))
            await self.call(*tool)
        else:
            await super().answer()

    async def call(self, name: str, arguments: str) -> None:
        self.responses += 1
        response = {"id": f"t{self.responses}", "conversation_id": "c"}
        item = {"id": f"f{self.responses}", "type": "function_call", "call_id": f"c{self.responses}", "name": name, "arguments": arguments}
        await self.say("response.created", response={**response, "status": "in_progress"})
        given = {"item_id": item["id"], "call_id": item["call_id"], "name": name, "arguments": arguments}
        await self.say("response.function_call_arguments.done", response_id=response["id"], **given)
        await self.say("response.output_item.done", response_id=response["id"], item={**item, "status": "completed"})
        await self.say("response.done", response={**response, "status": "completed", "output": [{**item, "status": "completed"}]})


@pytest.mark.parametrize("public", [False, True])
async def test_a_mounted_server_holds_a_call_with_an_agent_of_its_own(public: bool) -> None:
    """The page's second and third example together: who called is known, tools act on the call, and what was said is kept."""
    booked: list[tuple[str, int]] = []
    kept: list[tuple[str, fx.TellEnded, tuple[Line, ...]]] = []
    model = Booking()

    async def book(caller: str, guests: int) -> int:
        booked.append((caller, guests))
        return 7

    async with tone_server(model) as (url, _):
        answer = made(OWN)["reception"](url, None, book, lambda *told: kept.append(told))

        def made_for(place: str) -> Starlette:
            more = {"public_url": f"{place}/phone"} if public else {}
            app: Starlette = made(MOUNTED)["application"](answer, token=TOKEN, api="http://127.0.0.1:1", **more)
            app.routes.append(Route("/", lambda _: PlainTextResponse("ours")))
            return app

        async with serving(made_for=made_for) as place:
            ids, caller = Ids(), ToneCaller(700, ((3_000, 3_400), (9_000, 9_400)), length_ms=25_000)
            call = Call(http.Application(ids, token=TOKEN), caller, Conditions(), lambda _: None, "")
            await call.dial(f"{place}/phone/voice", {})
            assert call.hung is Hung.APPLICATION
    [update] = [message for message in model.received if message["type"] == "session.update"][:1]
    assert "+15005550006" in update["session"]["instructions"]
    assert booked == [("+15005550006", 4)]
    [(call_id, ended, said)] = kept
    assert call_id.startswith("CA")
    assert ended.reason is fx.Reason.APPLICATION
    assert Line("agent", "I see.") in said
    creates = [message for message in model.received if message["type"] == "response.create"]
    assert any("booking 7 can be cancelled" in json.dumps(create) for create in creates)


async def test_an_answer_that_raises_ends_its_call_alone_and_so_does_work_that_raises_afterwards() -> None:
    """R105: the code of an application, a SystemExit of its own too, ends no server."""
    hung: list[Hung | None] = []
    calls: list[PhoneCall] = []
    async with tone_server(ToneModel()) as (url, _):
        answer = made(OWN)["reception"](url, None, None, lambda *_: sys.exit(3))

        def first_raises(call: PhoneCall) -> Any:
            calls.append(call)
            return answer(call) if len(calls) > 1 else sys.exit(3)

        async with serving(made_for=lambda _: made(MOUNTED)["application"](first_raises, token=TOKEN, api="http://127.0.0.1:1")) as place:
            for _ in range(2):
                call = Call(http.Application(Ids(), token=TOKEN), ToneCaller(700, (), length_ms=800), Conditions(), lambda _: None, "")
                await call.dial(f"{place}/phone/voice", {})
                hung.append(call.hung)
    assert hung == [Hung.CUT_OFF, Hung.CALLER]
    assert calls[0].ended is None
    assert calls[1].ended is not None


def test_a_transcript_has_each_turn_once_in_the_words_that_were_told_last() -> None:
    """R24: some servers tell a turn again, with more of its words."""
    call = PhoneCall()
    told = [("u1", "I need"), ("u1", "I need a repair."), ("", "Yes."), ("", "No.")]
    call.recall(ev.Transcribed(float(n), *one) for n, one in enumerate(told))
    assert [line.text for line in call.transcript] == ["I need a repair.", "Yes.", "No."]
