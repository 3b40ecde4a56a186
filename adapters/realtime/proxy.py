"""The way to a server through the proxy that the environment names: by CONNECT, or by SOCKS 4 and 5; what passes is not in here.

Which proxy it is, and how it is written, is websockets' affair, and the SOCKS protocols are python-socks's; h11 reads the answer to a
CONNECT, which python-socks takes to come in one piece. A proxy is named by host and port alone: its URL may hold a password.
"""

import ssl
from base64 import b64encode
from urllib.request import getproxies, proxy_bypass

import anyio
import attrs
import h11
from anyio.abc import ByteStream
from python_socks import ProxyError, ProxyType
from python_socks.async_.anyio import Proxy as SocksProxy
from websockets.exceptions import InvalidProxy
from websockets.proxy import Proxy, get_proxy, parse_proxy
from websockets.uri import WebSocketURI

_SOCKS = {
    "socks4": (ProxyType.SOCKS4, False),
    "socks4a": (ProxyType.SOCKS4, True),
    "socks5": (ProxyType.SOCKS5, False),
    "socks5h": (ProxyType.SOCKS5, True),
}
"""The protocol, and whether the proxy looks the host's name up."""
_HINTS = {
    403: ": it does not let us through to there",
    407: ": it wants a name and a password, as in HTTPS_PROXY=http://NAME:PASSWORD@HOST:PORT",
}
_READ_BYTES = 65_536


class ProxyFault(Exception):
    """No way through the proxy; the text is one plain line."""


@attrs.frozen
class Way:
    """The way to a server: the proxy, and how it is spoken to where it is an https one."""

    proxy: Proxy
    tls: ssl.SSLContext | None

    def __str__(self) -> str:
        return f"through the proxy {self.proxy.host}:{self.proxy.port}"


def way_to(uri: WebSocketURI, tls: ssl.SSLContext | None) -> Way | None:
    """The way by WSS_PROXY, SOCKS_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, None for the straight one. Raises ProxyFault.

    `tls` holds the certificates that are trusted; None: those that the system trusts.
    """
    found = get_proxy(uri)
    if found is None and not proxy_bypass(f"{uri.host}:{uri.port}"):
        found = getproxies().get("all")
    if not found:
        return None
    try:
        proxy = parse_proxy(found if "://" in found else f"http://{found}")
    except (InvalidProxy, ValueError):
        hint = "write it as HTTPS_PROXY=http://HOST:PORT, or ALL_PROXY=socks5h://HOST:PORT"
        raise ProxyFault(f"the proxy that the environment names cannot be used: {hint}") from None
    return Way(proxy, (tls or ssl.create_default_context()) if proxy.scheme == "https" else None)


async def tunnel(way: Way, host: str, port: int) -> ByteStream:
    """A stream to the server. Raises ProxyFault where the proxy refuses; OSError or ssl.SSLError where it is not there, or has no TLS."""
    proxy = way.proxy
    if proxy.scheme in _SOCKS:
        kind, by_name = _SOCKS[proxy.scheme]
        try:
            return await SocksProxy(kind, proxy.host, proxy.port, proxy.username, proxy.password, by_name).connect(host, port)
        except ProxyError as error:
            raise ProxyFault(f"the proxy did not connect us ({error})") from None
    stream: ByteStream
    if way.tls is None:
        stream = await anyio.connect_tcp(proxy.host, proxy.port)
    else:
        stream = await anyio.connect_tcp(proxy.host, proxy.port, ssl_context=way.tls, tls=True, tls_standard_compatible=False)
    try:
        await _ask(stream, proxy, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except BaseException:
        await anyio.aclose_forcefully(stream)
        raise
    return stream


async def _ask(stream: ByteStream, proxy: Proxy, place: str) -> None:
    """CONNECT. Raises ProxyFault."""
    headers = [("Host", place)]
    if proxy.username is not None:
        secret = b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
        headers.append(("Proxy-Authorization", f"Basic {secret}"))
    http = h11.Connection(h11.CLIENT)
    try:
        request = http.send(h11.Request(method="CONNECT", target=place, headers=headers)) or b""
        await stream.send(request + (http.send(h11.EndOfMessage()) or b""))
        while (event := http.next_event()) is h11.NEED_DATA or isinstance(event, h11.InformationalResponse):
            if event is h11.NEED_DATA:
                http.receive_data(await stream.receive(_READ_BYTES))
    except (h11.ProtocolError, anyio.EndOfStream, anyio.BrokenResourceError):
        raise ProxyFault("it did not answer as a proxy does") from None
    if not isinstance(event, h11.Response) or not 200 <= event.status_code < 300:
        status = getattr(event, "status_code", 0)
        raise ProxyFault(f"the proxy answered {status}{_HINTS.get(status, '')}")
