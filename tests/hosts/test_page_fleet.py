"""Claims about the page of a phone server: all its calls, each to be watched while it goes on, and words only where they are allowed."""

import json
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import attrs
import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.hosts.page.fleet import LATELY, Fleet
from adapters.hosts.page.server import PageServer, served
from adapters.telling.page.document import document_of
from adapters.telling.trace import read_trace, trace_in
from tests.shared.browser import chromium
from tests.shared.page_host import Served, silence, watched
from tests.shared.phone_model import Exchange, ToneCaller, ToneModel, exchange, tone, tone_server
from tests.shared.shell import PATIENCE_S, begin_callfsm, callfsm, write_wav


def caller() -> ToneCaller:
    """Who speaks so long that they are told goodbye."""
    return ToneCaller(700, ((900, 2_000),))


@attrs.frozen
class House:
    """A phone server with its page."""

    phone: Exchange
    page: Served

    async def get(self, name: str, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(f"{self.page.url}{name}", headers=headers)

    async def until(self, wanted: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        """What the page of all calls is told, once that is so."""
        async with self.page.socket("fleet") as socket:
            async for message in socket:
                told: dict[str, Any] = json.loads(message)
                if wanted(told):
                    return told
        raise AssertionError("the page was closed")


@asynccontextmanager
async def house(*, words: bool = False, **more: Any) -> AsyncIterator[House]:
    fleet = Fleet(words=words)
    async with exchange(model=ToneModel(answer_ms=300), gallery=fleet, **more) as phone:
        fleet.calls = phone.server.calls
        async with served(PageServer(source=fleet, fleet=fleet), 0) as url:
            yield House(phone, Served(url))


async def test_all_calls_are_told_with_what_they_are_in_and_how_they_ended() -> None:
    async with house() as one:
        before = await one.until(lambda told: True)
        async with one.phone.dialling(one.phone.place(caller())):
            during = await one.until(lambda told: told["live"])
        after = await one.until(lambda told: told["over"])
    assert (before["live"], before["over"], before["answers"], before["places"]) == ([], [], {}, 20)
    [call] = during["live"]
    assert call["id"].startswith("CA")
    assert during["regions"]["phase"] == {call["phase"]: 1}
    assert sum(during["regions"]["session"].values()) == 1
    assert set(during["regions"]["phase"]) <= set(during["tones"]["phase"])
    [over] = after["over"]
    assert (over["id"], over["ended"]) == (call["id"], "the goodbye was heard")
    assert after["reasons"] == {"the goodbye was heard": 1}
    assert after["answers"]["count"] == over["answers"] == 1
    assert after["answers"]["p50"] == after["answers"]["p95"] == over["worst_ms"] == over["last_ms"]
    assert after["live"] == []


@pytest.mark.parametrize("words", [False, True], ids=["without words", "with words"])
async def test_a_call_is_watched_as_its_trace_has_it_and_its_words_are_shown_where_that_is_allowed(tmp_path: Path, words: bool) -> None:
    async with house(words=words, traces=tmp_path) as one:
        async with one.phone.dialling(one.phone.place(caller())):
            [call] = (await one.until(lambda told: told["live"]))["live"]
            async with one.page.socket(f"watch?call={call['id']}") as socket:
                told = await watched(socket, until="end")
        trace = await one.get(f"call.trace?call={call['id']}")
    [path] = tmp_path.glob("*.trace")
    recorded = read_trace(path)
    assert told["steps"] == json.loads(json.dumps(document_of(recorded, redact=not words)))["steps"]
    assert max(told["levels"]["caller"]) > 40
    assert max(told["levels"]["agent"]) > 40
    assert told["call"]["redacted"] is not words
    if words:
        assert trace_in(trace.content, "the trace").lines == recorded.lines
    else:
        assert trace.status_code == 404
        assert "Goodbye." in path.read_text()
        assert "Goodbye." not in json.dumps(told)


async def test_a_call_that_is_not_known_is_told_so_and_old_ones_are_forgotten() -> None:
    async with house() as one, one.page.socket("watch?call=CA0-1") as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_reason == "there is no such call, or not any more"
        assert (await one.get("call.trace?call=CA0-1")).status_code == 404
    assert Fleet()._over.maxlen == LATELY


@pytest.mark.parametrize("name", ["fleet", "watch?call=x", "talk"])
@pytest.mark.parametrize("stranger", [{"origin": "http://evil.example"}, {"origin": None}])
async def test_no_page_of_elsewhere_sees_a_call_and_none_may_talk(name: str, stranger: dict[str, str | None]) -> None:
    async with house() as one:
        for how in (stranger, {} if name == "talk" else stranger):
            with pytest.raises(InvalidStatus) as error:
                async with one.page.socket(name, **how):
                    pass
            assert error.value.response.status_code == 403


async def test_the_page_may_come_through_a_tunnel_to_another_port_and_by_no_other_name() -> None:
    names = ("localhost:9999", "127.0.0.1:1", "localhost.evil.example", "127.0.0.1:80 evil", "[::1]:8", "")
    async with house() as one:
        assert [(await one.get("", Host=name)).status_code for name in names] == [200, 200, 404, 404, 200, 404]


async def test_serve_and_call_show_their_page_on_loopback_and_refuse_odd_options(tmp_path: Path) -> None:
    async with tone_server(ToneModel(answer_ms=300)) as (url, _):
        process = begin_callfsm("serve", "--realtime", url, "--port", 0, "--metrics-port", 0, "--page")
        lines = [await anyio.to_thread.run_sync(process.stdout.readline) for _ in range(4)]
        page = Served(next(line.split()[1] for line in lines if line.startswith("page ")))
        async with page.socket("fleet") as socket:
            told = json.loads(await socket.recv())
            process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionClosed):
                while True:
                    await socket.recv()
        await anyio.to_thread.run_sync(process.communicate)
    assert page.url.startswith("http://127.0.0.1:")
    assert (socket.close_reason, process.returncode, told["live"]) == ("the server has ended", 0, [])
    for arguments, words in (
        (("serve", "--page-words"), "--page-words: there is no page to show them; give --page too"),
        (("serve", "--page", "70000"), "--page 70000: it takes a number from 0 to 65,535"),
        (("call", "--page", "70000"), "--page 70000: it takes a number from 0 to 65,535"),
        (("call", "--page", "--backend", "trio"), "--page: its server runs on asyncio alone; leave --backend out"),
    ):
        done = callfsm(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (2, f"callfsm: {words}\n")


async def test_a_call_of_the_command_line_is_watched_to_its_end(tmp_path: Path) -> None:
    wav = write_wav(tmp_path / "caller.wav", silence(600) + tone(500, 400) + silence(1_500))
    async with tone_server(ToneModel(answer_ms=300)) as (url, _):
        options = ("--voice", "realtime", "--realtime", url, "--caller", wav, "--out", tmp_path / "held", "--page")
        process = begin_callfsm("call", *options)
        page = Served((await anyio.to_thread.run_sync(process.stdout.readline)).split()[1])
        async with page.socket("watch") as socket:
            told = await watched(socket, until="end")
        await anyio.to_thread.run_sync(process.communicate)
    document = json.loads(json.dumps(document_of(read_trace(tmp_path / "held/call.trace"))))
    assert (told["steps"], told["end"]["ms"], process.returncode) == (document["steps"], document["end"]["ms"], 0)
    assert max(told["levels"]["caller"]) > 40


async def test_of_a_page_that_takes_nothing_nobody_waits_at_the_end() -> None:
    fleet = Fleet()
    with anyio.fail_after(PATIENCE_S):
        async with served(PageServer(source=fleet, fleet=fleet), 0) as url:
            socket = await Served(url).socket("fleet")
        socket.transport.abort()


@pytest.mark.needs("Chromium")
async def test_a_click_on_a_call_watches_it_and_another_leads_back(tmp_path: Path) -> None:
    def look_around(url: str) -> None:
        with chromium(tmp_path) as browser:
            tab = browser.tab()
            tab.open(url)
            tab.wait("live.view?.fleet?.over.length === 1")
            assert tab.run("document.querySelector('main').hidden")
            assert tab.run("document.querySelector('#talk')") is None
            assert "the goodbye was heard" in tab.run("document.querySelector('#fleet').innerText")
            tab.click("[data-call]")
            tab.wait("globalThis.page?.model.end")
            assert tab.run("page.model.call.redacted")
            assert tab.run("document.querySelector('#fleet').hidden")
            assert tab.run("page.model.spans.get('phase').map(span => span.state)")[-1] == "closed"
            tab.run("page.model.before = true")
            tab.run("live.socket.close()")
            tab.wait("live.words.textContent.startsWith('The server is gone')")
            tab.wait("live.words.textContent === '' && page.model.end && !page.model.before")
            tab.run("page.go('future')")
            tab.click(".change button")
            tab.wait("document.querySelector('.outcome')?.innerText.startsWith('its words are not shown')")
            tab.run("[...document.querySelectorAll('#live button')].find(one => one.innerText === 'All calls').click()")
            tab.wait("live.view?.fleet && document.querySelector('main').hidden")
            assert [one for one in tab.complaints if "404" not in one] == []

    async with house() as one:
        await one.phone.dial(one.phone.place(caller()))
        await anyio.to_thread.run_sync(look_around, one.page.url)
