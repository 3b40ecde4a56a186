"""Twilio's request signatures: does what came really come from Twilio? Pure, and constant in time.

Twilio signs the URL that it was given and the fields that it posts, by name, with HMAC-SHA1 keyed with the account's auth token
("Webhooks security"). It is not constant about the port of that URL, nor about the slash at the end of a WebSocket's, so each spelling
is tried: whoever could sign one of them has the token.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit

Fields = Iterable[tuple[str, str]]
"""What was posted: names and values, in any order, a name perhaps more than once."""

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


def sign(url: str, fields: Fields, token: str) -> str:
    """X-Twilio-Signature of a request; of a name that comes more than once each value counts once, in order, as in Twilio's libraries."""
    signed = url + "".join(name + value for name, value in sorted(set(fields)))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(errors="surrogatepass"), hashlib.sha1).digest()).decode()


def is_signed(given: str, url: str, fields: Fields, token: str) -> bool:
    """Is `given` the signature of this request, in one of the spellings of its URL? Of a URL that is none there is no signature."""
    posted, found = list(fields), False
    try:
        spellings = _spellings(url)
    except ValueError:
        return False
    for spelling in spellings:
        found |= hmac.compare_digest(given.encode(errors="surrogatepass"), sign(spelling, posted, token).encode())
    return found


def _spellings(url: str) -> list[str]:
    """The URL with and without its port, and that of a WebSocket with and without a slash at its end."""
    parts = urlsplit(url)
    bare = parts.netloc.removesuffix(f":{parts.port}") if parts.port else parts.netloc
    places = [bare, f"{bare}:{parts.port or _PORTS.get(parts.scheme, 443)}"]
    paths = [parts.path.rstrip("/"), parts.path.rstrip("/") + "/"] if parts.scheme in ("ws", "wss") else [parts.path]
    return [parts._replace(netloc=place, path=path).geturl() for place in places for path in paths]
