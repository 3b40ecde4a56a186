"""Twilio's HTTP side of a call: signed webhooks to the application, and the TwiML that it answers; no call state in here."""

import base64
import hashlib
import hmac
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from email.utils import formatdate
from urllib.parse import urljoin, urlsplit

import attrs
import httpx

from adapters.standin.twilio.ids import Ids

ANSWER_S = 15.0
"""How long an application may take to answer a webhook (Twilio's own limit)."""
MAX_TWIML_BYTES = 64 * 1024
MAX_PARAMETER_CHARS = 500
"""A <Parameter>'s name and value together (Twilio's own limit)."""


class Refused(Exception):
    """The application answered with something that Twilio cannot run; the text is one line."""


WEB, STREAM = ("http", "https"), ("ws", "wss")
"""The schemes of a webhook, and of a media stream."""


def checked(url: str, *schemes: str) -> str:
    """A URL that can be connected to, its scheme in small letters. Raises Refused, whose text says what is wrong with it."""
    try:
        parts, host = urlsplit(url), httpx.URL(url).host
        port, host = parts.port, host.encode("idna").decode()
    except (ValueError, httpx.InvalidURL) as error:
        raise Refused(f"{url}: it is no URL ({' '.join(str(error).split())})") from None
    if parts.scheme not in schemes or not host:
        raise Refused(f"{url}: it takes a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)} and a host")
    if port == 0 or parts.fragment or not url.isprintable() or " " in url:
        raise Refused(f"{url}: a URL that can be connected to has no port 0, no # and no blank")
    return parts.scheme + url[len(parts.scheme) :]


@attrs.frozen
class Stream:
    """<Connect><Stream>: connect the caller to a WebSocket."""

    url: str
    parameters: Mapping[str, str] = attrs.field(repr=False)
    status_callback: str = ""
    name: str = ""


@attrs.frozen
class Rejected:
    """<Reject>: the caller hears `reason`, busy or rejected, and the call never begins."""

    reason: str


@attrs.frozen
class Redirect:
    """<Redirect>: ask `url` for other TwiML."""

    url: str


@attrs.frozen
class Other:
    """A verb that is named and not acted out: <Say>, <Pause>, <Play>; a <Hangup> ends the call."""

    verb: str


Verb = Stream | Rejected | Redirect | Other


def signature(url: str, fields: Mapping[str, str], token: str) -> str:
    """X-Twilio-Signature: the URL, and each POST field's name and value in the names' order, keyed with the auth token."""
    signed = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()).decode()


@attrs.frozen
class Application:
    """The application's web server, as Twilio talks to it; `token` signs what is posted, and without one nothing is signed."""

    ids: Ids
    caller: str = "+15005550006"
    called: str = "+15005550001"
    token: str | None = attrs.field(default=None, repr=False)

    def headers(self, url: str, fields: Mapping[str, str]) -> dict[str, str]:
        """The headers that show who posts."""
        signed = {"X-Twilio-Signature": signature(url, fields, self.token)} if self.token else {}
        return {"User-Agent": "TwilioProxy/1.1", **signed}

    async def ring(self, url: str) -> list[Verb]:
        """Tell the application of the call and give the verbs of its TwiML. Raises Refused."""
        response = await self._post(url, self._fields("ringing"))
        return read_twiml(response.content, url)

    async def ask_again(self, url: str) -> list[Verb]:
        """Ask what to do with a call that goes on, and give the verbs of the TwiML. Raises Refused."""
        response = await self._post(url, self._fields("in-progress"))
        return read_twiml(response.content, url)

    async def tell_status(self, url: str, status: str, duration_s: int, number: int) -> None:
        """Post a call's status, as a number's status callback gets it. Raises Refused."""
        more = {"CallbackSource": "call-progress-events", "SequenceNumber": str(number), "Timestamp": formatdate(usegmt=False)}
        if status == "completed":
            more |= {"CallDuration": str(duration_s), "Duration": str(-(-duration_s // 60))}
        await self._post(url, {**self._fields(status), **more})

    async def tell_stream(self, stream: Stream, event: str, error: str = "") -> None:
        """Post what happened to a stream to the <Stream>'s statusCallback. Raises Refused."""
        fields = {
            "AccountSid": self.ids.account,
            "CallSid": self.ids.call,
            "StreamSid": self.ids.stream,
            "StreamName": stream.name or self.ids.stream,
            "StreamEvent": event,
            "Timestamp": formatdate(usegmt=False),
            **({"StreamError": error} if error else {}),
        }
        await self._post(stream.status_callback, fields)

    def _fields(self, status: str) -> dict[str, str]:
        """What Twilio posts of a call; the places of an unknown number are empty, and count in the signature."""
        places = {f"{who}{what}": "" for who in ("From", "To", "Caller", "Called") for what in ("City", "State", "Zip", "Country")}
        return {
            "AccountSid": self.ids.account,
            "ApiVersion": "2010-04-01",
            "CallSid": self.ids.call,
            "CallStatus": status,
            "Direction": "inbound",
            "From": self.caller,
            "Caller": self.caller,
            "To": self.called,
            "Called": self.called,
            **places,
        }

    async def _post(self, url: str, fields: dict[str, str]) -> httpx.Response:
        try:
            async with httpx.AsyncClient(timeout=ANSWER_S) as client:
                response = await client.post(url, data=fields, headers=self.headers(url, fields))
        except httpx.HTTPError as error:
            raise Refused(f"{url} did not answer ({str(error) or type(error).__name__}); is the server running?") from None
        if response.status_code >= 300:
            hint = "; the signature did not satisfy it: is TWILIO_AUTH_TOKEN the same on both sides?" if response.status_code == 403 else ""
            raise Refused(f"{url} answered {response.status_code}{hint}")
        return response


def read_twiml(content: bytes, base_url: str) -> list[Verb]:
    """The verbs of a TwiML document; relative URLs are of `base_url`. Raises Refused."""
    if len(content) > MAX_TWIML_BYTES or b"<!DOCTYPE" in content:
        raise Refused("12100: the TwiML is longer than 64 KiB, or has a document type")
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise Refused(f"12100: the TwiML is no XML ({error})") from None
    if root.tag != "Response":
        raise Refused(f"12101: the TwiML begins with <{root.tag}>; it must be a <Response>")
    return [_verb(verb, base_url) for verb in root]


def _verb(verb: ElementTree.Element, base_url: str) -> Verb:
    if verb.tag == "Reject":
        return Rejected(verb.get("reason", "rejected"))
    if verb.tag == "Redirect":
        if verb.get("method", "POST") != "POST":
            raise Refused("12200: a <Redirect> by another method than POST; the stand-in knows no other")
        return Redirect(_joined("Redirect", base_url, (verb.text or "").strip(), WEB))
    if verb.tag != "Connect":
        return Other(verb.tag)
    if len(verb) != 1 or verb[0].tag != "Stream":
        raise Refused("12200: a <Connect> without one <Stream>; the stand-in knows no other")
    stream = verb[0]
    url = _joined("url", base_url.replace("http", "ws", 1), stream.get("url", ""), STREAM)
    if urlsplit(url).query:
        raise Refused("31920: the <Stream>'s url has a query, which Twilio does not support; use <Parameter>")
    callback = stream.get("statusCallback", "")
    callback = callback and _joined("statusCallback", base_url, callback, WEB)
    return Stream(url, _parameters(stream), callback, stream.get("name", ""))


def _joined(name: str, base_url: str, given: str, schemes: tuple[str, ...]) -> str:
    """An attribute of a <Stream> that is a URL, perhaps a relative one."""
    try:
        return checked(urljoin(base_url, given), *schemes)
    except (Refused, ValueError) as error:
        raise Refused(f"31920: the <Stream>'s {name} can't be used: {error}") from None


def _parameters(stream: ElementTree.Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in stream:
        name, value = one.get("name"), one.get("value")
        if one.tag != "Parameter" or name is None or value is None:
            raise Refused(f"12200: a <{one.tag}> in <Stream>; it holds <Parameter name=… value=…/> alone")
        if len(name) + len(value) > MAX_PARAMETER_CHARS:
            raise Refused(f"31920: the <Parameter> {name[:40]!r} has {len(name) + len(value)} characters; Twilio takes 500")
        found[name] = value
    return found
