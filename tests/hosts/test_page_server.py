"""Claims about the page's server: it lets in its own page alone, what is watched is what the trace says, and nobody ends another's call."""

import json
import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from anyio.abc import ByteSendStream
from anyio.from_thread import start_blocking_portal
from websockets.exceptions import ConnectionClosed, InvalidStatus

from adapters.browser.wire import HEAD
from adapters.hosts.embedded import StandIn
from adapters.hosts.page import server
from adapters.hosts.page.faults import FAULTS
from adapters.hosts.page.server import WATCHERS, PageServer, served
from adapters.seam.ports import FRAME_BYTES
from adapters.standin.chatterbox.faults import CHATTERBOX
from adapters.standin.faults import parse
from adapters.standin.realtime.faults import REALTIME
from adapters.telling.page.document import document_of
from adapters.telling.trace import read_trace
from fsm.call import events as ev
from tests.shared.page_host import Host, Pretender, page_host, silence, watched
from tests.shared.phone_model import ToneModel, tone, tone_server
from tests.shared.shell import PATIENCE_S, ROOT, begin_callfsm, callfsm, until

RECORDED = (ROOT / "tests/bench/recorded.trace").read_text()
GOODBYE = silence(700) + tone(500, 900)


def host_of(tmp_path: Path) -> AbstractAsyncContextManager[Host]:
    """The page before a model whose answers are short."""
    return page_host(tmp_path / "calls", ToneModel(answer_ms=300))


async def get(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.get(url, headers=headers)


async def test_a_call_is_talked_and_watched_to_its_goodbye_and_leaves_its_folder(tmp_path: Path) -> None:
    async with (
        host_of(tmp_path) as host,
        host.socket("watch") as watch,
        host.socket("talk") as talk,
    ):
        watching: list[dict[str, Any]] = []
        async with anyio.create_task_group() as group:

            async def look() -> None:
                watching.append(await watched(watch))

            group.start_soon(look)
            reason = await Pretender(talk, GOODBYE).run()
        [folder], [told] = host.folders(), watching
        assert (await get(f"{host.url}call.html")).text == (folder / "call.html").read_text()
    assert reason == "the goodbye was heard"
    assert {path.name for path in folder.iterdir()} == {"call.html", "call.svg", "call.trace", "call.wav", "summary.txt"}
    trace = read_trace(folder / "call.trace")
    document = json.loads(json.dumps(document_of(trace)))
    assert told["steps"] == document["steps"]
    assert told["end"] == document["end"]
    assert (told["tables"], told["call"]) == (document["tables"], document["call"])
    caller, agent = told["levels"]["caller"], told["levels"]["agent"]
    assert max(caller) == pytest.approx(9_000 / 32_768 * 255, abs=2)
    assert max(agent) == pytest.approx(9_000 / 32_768 * 255, abs=2)


STRANGERS = {
    "another page": {"origin": "http://evil.example"},
    "another port": {"origin": "http://127.0.0.1:1"},
    "no page": {"origin": None},
    "a page that has no name": {"origin": "null"},
}


@pytest.mark.parametrize("name", ["talk", "watch"])
@pytest.mark.parametrize("stranger", STRANGERS)
async def test_no_page_of_elsewhere_opens_a_socket(tmp_path: Path, name: str, stranger: str) -> None:
    async with page_host(tmp_path / "calls") as host:
        with pytest.raises(InvalidStatus) as refused:
            async with host.socket(name, **STRANGERS[stranger]):
                pass
    assert refused.value.response.status_code == 403
    assert host.folders() == []


async def test_a_wrong_token_and_a_foreign_name_of_this_machine_get_nothing(tmp_path: Path) -> None:
    async with page_host(tmp_path / "calls") as host:
        parts = urlsplit(host.url)
        wrong = f"{host.origin}/{'x' * 22}/"
        answers = [
            await get(wrong),
            await get(f"{host.origin}/"),
            await get(f"{wrong}call.html"),
            await get(f"{host.url}call.html"),
            await get(host.url, Host=f"evil.example:{parts.port}"),
            await get(host.url, Origin="http://evil.example"),
            await get(host.url, Host=f"localhost:{parts.port}"),
        ]
        with pytest.raises(InvalidStatus):
            async with host.socket(f"../{'x' * 22}/talk"):
                pass
    *refused, taken = answers
    assert {answer.status_code for answer in refused} == {404}
    assert not [answer.text for answer in refused if "<" in answer.text]
    assert (taken.status_code, taken.text[:15]) == (200, "<!doctype html>")


async def test_the_page_may_run_what_is_its_own_and_be_framed_and_kept_by_nobody(tmp_path: Path) -> None:
    async with page_host(tmp_path / "calls") as host:
        answer = await get(host.url)
    assert "default-src 'none'" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def asked(**more: Any) -> bytes:
    """A question about the recorded call."""
    return json.dumps({"trace": RECORDED, "settings": {}, "without": [], **more}).encode()


QUESTIONS: tuple[tuple[bytes, str], ...] = (
    (b"", "a question is JSON"),
    (b"\xff" * 10, "a question is JSON"),
    (b"[" * 100_000, "a question is JSON"),
    (b"[]", "a question has a trace, settings, and the numbers of events to leave out"),
    (b'{"trace": 1, "settings": {}, "without": []}', "a question has a trace"),
    (b'{"trace": "", "settings": {}, "without": []}', "the trace: it ends before its first line does"),
    (b'{"trace": "\\ud800", "settings": {}, "without": []}', "the trace: not a trace of version"),
    (json.dumps({"trace": RECORDED, "settings": {"patience": "1"}, "without": []}).encode(), "the policy has no patience"),
    (json.dumps({"trace": RECORDED, "settings": {"idle_ms": "-"}, "without": []}).encode(), "idle_ms is '-': it takes a number"),
    (json.dumps({"trace": RECORDED, "settings": {"idle_ms": None}, "without": [None]}).encode(), "idle_ms is None: it takes a number"),
    (asked(added=7), "events to put in are a list of at most 100"),
    (asked(added=[{}] * 101), "events to put in are a list of at most 100"),
    (asked(added=[{"event": "Nonsense", "at_ms": 1}]), "there is no event 'Nonsense'"),
    (asked(added=[{"event": "SpeechStarted", "at_ms": "soon", "item_id": ""}]), "at_ms is 'soon', which it cannot be"),
    (asked(added=[{"event": "PhaseExpired", "at_ms": 1, "epoch": 1}]), "a deadline passes when it does"),
    (asked(next=10**9), "there is no such step"),
    (asked(next=None), "there is no such step"),
)


async def test_an_odd_question_is_answered_in_one_line_and_a_long_one_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LONGEST_QUESTION", 150_000)
    async with page_host(tmp_path / "calls") as host, httpx.AsyncClient(trust_env=False) as client:
        url = f"{host.url}future"
        odd = [await client.post(url, content=question) for question, _ in QUESTIONS]
        long = await client.post(url, content=bytes(1_000_000))
        foreign = await client.post(url, content=b"", headers={"Origin": "http://evil.example"})
    for (_, words), answer in zip(QUESTIONS, odd, strict=True):
        assert answer.status_code == 422, words
        assert answer.text.startswith(words)
        assert answer.text.count("\n") == 1
    assert (long.status_code, foreign.status_code) == (413, 404)


async def test_of_two_tabs_the_second_is_told_that_the_first_talks(tmp_path: Path) -> None:
    async with host_of(tmp_path) as host, host.socket("talk") as first:
        reasons: list[str] = []
        async with anyio.create_task_group() as group:

            async def talk() -> None:
                reasons.append(await Pretender(first, GOODBYE).run())

            group.start_soon(talk)
            await until(lambda: host.talk.busy)
            async with host.socket("talk") as second:
                with pytest.raises(ConnectionClosed):
                    await second.recv()
    assert (second.close_code, second.close_reason) == (4013, "another tab talks; close it, or wait until its call is over")
    assert reasons == ["the goodbye was heard"]


async def test_a_tab_that_is_closed_has_hung_up_and_the_next_one_talks(tmp_path: Path) -> None:
    async with host_of(tmp_path) as host:
        async with host.socket("talk") as talk:
            await talk.send(HEAD.pack(0) + bytes(FRAME_BYTES))
            await talk.recv()
        await until(lambda: not host.talk.busy)
        async with host.socket("talk") as talk:
            assert await Pretender(talk, GOODBYE).run() == "the goodbye was heard"
        first, _ = host.folders()
    end = [event for event, _, _ in read_trace(first / "call.trace").steps()][-1]
    assert isinstance(end, ev.CallerHungUp)
    assert end.reason.startswith("the page is gone: closed with 1000")


HOSTILE = (b"", bytes(5), bytes(60_000), "x" * 60_000, "[" * 5_000, '{"cut": 1, "played": 99999999}', '{"cut": "no"}', "\ud7ff\u0000")


async def test_odd_messages_of_a_page_cost_it_nothing_but_themselves(tmp_path: Path) -> None:
    async with host_of(tmp_path) as host, host.socket("talk") as talk:
        for odd in HOSTILE:
            await talk.send(odd)
        assert await Pretender(talk, GOODBYE).run() == "the goodbye was heard"


async def test_a_huge_message_closes_its_socket_and_no_other(tmp_path: Path) -> None:
    async with host_of(tmp_path) as host, host.socket("talk") as talk:
        async with host.socket("watch") as watch:
            await watch.send(bytes(1_000_000))
            with pytest.raises(ConnectionClosed):
                while True:
                    await watch.recv()
        assert watch.close_code == 1009
        assert await Pretender(talk, GOODBYE).run() == "the goodbye was heard"


async def test_so_many_may_watch_and_one_who_reads_nothing_holds_up_nobody(tmp_path: Path) -> None:
    async with host_of(tmp_path) as host:
        crowd = [await host.socket("watch") for _ in range(WATCHERS)]
        async with host.socket("watch") as last:
            with pytest.raises(ConnectionClosed):
                await last.recv()
        assert (last.close_code, last.close_reason) == (4013, f"{WATCHERS} tabs watch already; close one")
        async with host.socket("talk") as talk:
            assert await Pretender(talk, GOODBYE).run() == "the goodbye was heard"
        for one in crowd:
            one.transport.abort()


def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path) -> None:
    for arguments, words in (
        (("--port", "70000"), "--port 70000: it takes a number from 0 to 65,535"),
        (("--out", "/dev/null/calls"), "--out /dev/null/calls: Not a directory; give a folder that can be written"),
    ):
        done = callfsm("page", *arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (2, f"callfsm: {words}\n")


def test_the_command_serves_its_page_until_it_is_told_to_end(tmp_path: Path) -> None:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(tone_server(ToneModel())) as (url, _):
        process = begin_callfsm("page", "--realtime", url, "--out", tmp_path / "calls")
        ready = process.stdout.readline()
        assert ready.startswith("ready http://127.0.0.1:")
        assert anyio.run(get, ready.split()[1]).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE_S) == ("", "")
    assert process.returncode == 0


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    async with page_host(tmp_path / "calls") as host:
        port = urlsplit(host.url).port or 0
        with pytest.raises(OSError) as taken:
            async with served(PageServer(source=host.talk.stage), port):
                pass
    assert taken.value.filename == f"127.0.0.1:{port}"


async def test_a_fault_is_asked_for_by_its_own_page_and_by_its_name_alone(tmp_path: Path) -> None:
    sent: list[bytes] = []

    class Told:
        async def send(self, line: bytes) -> None:
            if len(sent) == 2:
                raise anyio.BrokenResourceError
            sent.append(line)

    async with host_of(tmp_path) as host:
        stand_in = StandIn("ws://127.0.0.1:1", cast(ByteSendStream, Told()))
        page = PageServer(source=host.talk.stage, talk=host.talk, stand_ins={"realtime": stand_in})
        async with served(page, 0) as url, httpx.AsyncClient(trust_env=False) as client:
            bare = f"{host.url}fault?name=line"
            asked = [f"{url}fault?name={name}" for name in ("line", "session", "slow speech", "%00", "")]
            answers = [await client.post(one) for one in (*asked, f"{url}fault", bare, f"{url}fault?name=twice")]
            answers.append(await client.post(asked[0], headers={"Origin": "http://evil.example"}))
            answers.append(await client.post(asked[0].replace(page.token, "x" * len(page.token))))
            answers.append(await client.get(asked[0]))
    assert [answer.status_code for answer in answers] == [204, 204, 404, 404, 404, 404, 404, 409, 404, 404, 405]
    assert answers[7].text == "the stand-in is gone\n"
    scripts = [parse(line.decode(), REALTIME).faults[0].name for line in sent]
    assert scripts == ["close", "session_expired"]


@pytest.mark.parametrize("server", ["realtime", "chatterbox"])
def test_every_fault_that_a_page_offers_is_one_of_its_stand_in(server: str) -> None:
    repertoire = {"realtime": REALTIME, "chatterbox": CHATTERBOX}[server]
    offered = [fault for fault in FAULTS.values() if fault.server == server]
    assert offered
    for fault in offered:
        assert len(parse(fault.script, repertoire).faults) == 1
        assert "\n" not in fault.script
