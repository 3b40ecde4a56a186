"""Proxies that the environment names: the realtime socket and the speech client go through them, on asyncio and trio."""

import ssl
from collections.abc import Iterator

import pytest

from adapters.chatterbox.http import Fault, ask, client_of
from adapters.chatterbox.servers import Server
from adapters.realtime.websocket import WebSocketError, connect
from tests.realtime.test_websocket import certificate as certificate, echo, serving
from tests.shared.proxies import ACCOUNT, connect_proxy, socks_proxy
from tests.shared.shell import each_backend

pytestmark = each_backend
NAMES = ("http", "https", "all", "socks", "ws", "wss", "no")
HOST = "realtime.invalid"
"""A name that nobody but the proxy knows."""


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        for variable in (f"{name}_proxy", f"{name}_proxy".upper()):
            monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def port() -> Iterator[int]:
    with serving(echo) as url:
        yield int(url.rpartition(":")[2])


async def echoed(url: str, tls: ssl.SSLContext | None = None) -> str:
    async with connect(url, tls=tls) as ws:
        ws.send("hello")
        return await anext(aiter(ws))


async def refused(url: str) -> str:
    with pytest.raises(WebSocketError) as caught:
        await echoed(url)
    assert ACCOUNT[1] not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "ALL_PROXY", "WS_PROXY", "HTTP_PROXY"])
async def test_an_http_proxy_is_asked_to_connect(variable: str, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect_proxy(port) as proxy:
        monkeypatch.setenv(variable, f"127.0.0.1:{proxy.port}" if variable == "WS_PROXY" else f"http://127.0.0.1:{proxy.port}")
        assert await echoed(f"ws://{HOST}:8123/path") == "hello"
    assert proxy.asked == [f"CONNECT {HOST}:8123 HTTP/1.1"]


@pytest.mark.parametrize(("scheme", "host"), [("socks5h", HOST), ("socks5", "127.0.0.2")])
@pytest.mark.parametrize("account", [False, True])
async def test_a_socks_proxy_is_asked_too(scheme: str, host: str, account: bool, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with socks_proxy(port, account=account) as proxy:
        who = "name:pass%20word@" if account else ""
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://{who}127.0.0.1:{proxy.port}")
        assert await echoed(f"ws://{host}:8123") == "hello"
    assert proxy.asked == [f"{host}:8123"]


@pytest.mark.needs("openssl")
async def test_tls_goes_through_the_tunnel_and_is_checked_against_the_servers_own_name(
    certificate: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(str(certificate))
    known = ssl.create_default_context(cafile=str(certificate))
    with serving(echo, ssl=server_tls) as url, connect_proxy(int(url.rpartition(":")[2])) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert await echoed("wss://127.0.0.1:8123", known) == "hello"
        with pytest.raises(WebSocketError, match=r"TLS with other.invalid:8123 .through the proxy 127.0.0.1:.* failed"):
            await echoed("wss://other.invalid:8123", known)


@pytest.mark.needs("openssl")
async def test_a_proxy_may_itself_be_spoken_to_under_tls(certificate: object, port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    proxy_tls.load_cert_chain(str(certificate))
    with connect_proxy(port, tls=proxy_tls) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{proxy.port}")
        assert await echoed(f"ws://{HOST}", ssl.create_default_context(cafile=str(certificate))) == "hello"


async def test_a_proxy_that_wants_an_account_gets_it_and_is_told_of_in_a_line_where_there_is_none(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect_proxy(port, account=True) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://name:pass%20word@127.0.0.1:{proxy.port}")
        assert await echoed(f"ws://{HOST}") == "hello"
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert "answered 407: it wants a name and a password" in await refused(f"ws://{HOST}")
    with socks_proxy(port, account=True) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"socks5h://other:pass%20word@127.0.0.1:{proxy.port}")
        assert "the proxy did not connect us" in await refused(f"ws://{HOST}")


async def test_a_proxy_that_lets_nobody_through_is_named_without_its_password(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect_proxy(port, status="403 Forbidden") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://name:pass%20word@127.0.0.1:{proxy.port}")
        assert f"{HOST}:80 (through the proxy 127.0.0.1:{proxy.port}): the proxy answered 403" in await refused(f"ws://{HOST}")
    with socks_proxy(port, reply=2) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"socks5h://127.0.0.1:{proxy.port}")
        assert "the proxy did not connect us" in await refused(f"ws://{HOST}")
    with serving(echo) as url:
        monkeypatch.setenv("HTTPS_PROXY", url.replace("ws:", "http:"))
        await refused(f"ws://{HOST}")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert "(through the proxy 127.0.0.1:1): connection refused" in await refused(f"ws://{HOST}")


@pytest.mark.parametrize("value", ["socks://127.0.0.1:1080/", "ftp://127.0.0.1", "http://name:pass%20word@", "http://h:port"])
async def test_a_proxy_that_cannot_be_one_is_told_of_in_a_line(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    assert "the proxy that the environment names cannot be used: write it as" in await refused(f"ws://{HOST}")


async def test_a_host_that_no_proxy_names_is_reached_directly(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "example.com,127.0.0.1")
    assert await echoed(f"ws://127.0.0.1:{port}") == "hello"


async def test_a_speech_server_is_reached_through_the_proxy(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(url: str) -> int:
        async with client_of(Server(url=url)) as client:
            return (await ask(client, "GET", "health", 10)).status

    with connect_proxy(1, status="403 Forbidden") as proxy, socks_proxy(port) as socks:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{proxy.port}")
        assert await answer("http://voice.invalid:8772") == 403
        with pytest.raises(Fault, match="no way through the proxy: 403 Forbidden"):
            await answer("https://voice.invalid")
        assert proxy.asked == ["GET http://voice.invalid:8772/health HTTP/1.1", "CONNECT voice.invalid:443 HTTP/1.1"]
        monkeypatch.setenv("ALL_PROXY", f"socks5h://127.0.0.1:{socks.port}")
        assert await answer("http://voice.invalid:8772") == 426
        assert socks.asked == ["voice.invalid:8772"]


async def test_a_proxy_that_cannot_be_one_is_told_of_by_a_speech_server_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks://127.0.0.1:1080/")
    with pytest.raises(ValueError, match="the proxy that the environment names cannot be used"):
        client_of(Server(url="http://voice.invalid:8772"))
