"""What kind of server is at the other end, as far as its first message shows it, and what follows for a call's waits."""

from collections.abc import Callable
from typing import Any

import pytest

from adapters.hosts.phone.agent import ServedAgent
from adapters.realtime import port
from adapters.realtime.profiles import PROFILES
from adapters.realtime.settings import RealtimeSettings
from fsm.call import events as ev
from fsm.call.effects import CloseSession, ConfigureSession
from fsm.call.policy import Policy
from tests.shared.realtime import Server, llm_at, running, scripted
from tests.shared.shell import PATIENCE_S

QUICK = Policy(voice="realtime")
CHAINED = Policy(**{**PROFILES["chained"].policy, "voice": "realtime"})
UNASKED = {"audio": {"input": {"transcription": {"model": "whisper"}}}}
UNASKED_BETA = {"modalities": ["audio", "text"], "input_audio_transcription": {"model": "whisper"}}
PLAIN = {"audio": {"input": {"transcription": None}}}


def showing(session: dict[str, Any]) -> Callable[[Server], None]:
    def script(server: Server) -> None:
        server.say("session.created", session=session)
        server.say("session.updated", session=server.expect("session.update")["session"])
        server.stay()

    return script


@pytest.mark.parametrize(
    ("session", "openai", "is_chained"),
    [(UNASKED, False, True), (UNASKED_BETA, False, True), (PLAIN, False, False), ({}, False, False), (UNASKED, True, False)],
)
async def test_a_server_that_transcribes_unasked_shows_itself_to_be_chained(
    session: dict[str, Any], openai: bool, is_chained: bool
) -> None:
    with scripted(showing(session)) as (url, _):
        llm = llm_at(url, openai=openai)
        async with llm.checked():
            assert await llm.is_chained() is is_chained


async def test_one_that_says_nothing_shows_nothing() -> None:
    with scripted(Server.stay) as (url, _):
        llm = llm_at(url)
        async with llm.checked():
            assert not await llm.is_chained(within_s=0.05)
        assert not await llm.is_chained(within_s=0.05), "there is no connection that was checked"


async def test_what_the_server_said_first_is_the_calls_too() -> None:
    with scripted(showing(UNASKED)) as (url, _):
        llm = llm_at(url)
        async with llm.checked():
            assert await llm.is_chained()
            answers = {ev.SessionOpened: ConfigureSession(), ev.SessionConfirmed: CloseSession()}
            async with running(llm, answers) as core:
                await core.until(ev.SessionConfirmed)
            assert [type(event) for event in core.events][:2] == [ev.SessionOpened, ev.SessionConfirmed]


@pytest.mark.parametrize(("session", "chained", "policy"), [(UNASKED, CHAINED, CHAINED), (PLAIN, CHAINED, QUICK), (UNASKED, None, QUICK)])
async def test_a_phone_server_waits_as_its_model_shows_unless_its_kind_was_named(
    session: dict[str, Any], chained: Policy | None, policy: Policy
) -> None:
    with scripted(showing(session)) as (url, _):
        found = await ServedAgent(policy=QUICK, chained=chained, settings=RealtimeSettings(), realtime_url=url).checked()
        assert found.policy == policy


def says_nothing(server: Server) -> None:
    server.say("session.updated", session=server.expect("session.update")["session"])
    server.stay()


async def test_a_server_that_says_nothing_before_it_is_asked_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """R102: whoever sends a session.update at once is answered; so are we."""
    monkeypatch.setattr(port, "SHOWN_S", 0.05)
    with scripted(says_nothing) as (url, _):
        answers = {ev.SessionOpened: ConfigureSession(), ev.SessionConfirmed: CloseSession()}
        async with running(llm_at(url), answers) as core:
            await core.until(ev.SessionConfirmed)
        llm = llm_at(url)
        async with llm.checked():
            assert await llm.refusal(PATIENCE_S) == ""
