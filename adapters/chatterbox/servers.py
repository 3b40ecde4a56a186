"""The speech servers that the Chatterbox port speaks with: what each asks for and can do, as data, and how one is found out.

Read from the servers' sources: devnen/Chatterbox-TTS-Server (`server.py`, `models.py`), travisvn/chatterbox-tts-api
(`app/api/endpoints`), and the `openai` package's `audio.speech`; the contract with a cancel is the one of the seed system.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType

import attrs
import httpx

AUTO = "auto"


@attrs.frozen
class Dialect:
    """What a kind of server asks for. Paths are below the server's root; an empty name means that there is no such field."""

    name: str
    path: str
    """Where a text is POSTed."""
    text: str
    """The field of the text."""
    voice: str
    """The field of the voice."""
    health: str
    """What answers whether the server is well, without a synthesis."""
    fixed: Mapping[str, object] = MappingProxyType({})
    """Fields that are always sent."""
    session: str = ""
    """The field of the session id; with it goes POST /cancel/<session_id>. Without it only a closed connection may stop the work."""
    streams: bool = False
    """Does the sound come while the rest is synthesised?"""
    model: str = ""
    default_model: str = ""
    default_voice: str = ""
    voices: str = ""
    """Lists the voices of a server that has no default: [{"filename"}]."""

    @property
    def cancels(self) -> bool:
        """Can a synthesis be cancelled by its id?"""
        return bool(self.session)


DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect("seed", "/v1/tts", "text", "voice", "/health", session="session_id"),
        Dialect(
            "travisvn",
            "/audio/speech/stream",
            "input",
            "voice",
            "/health",
            fixed=MappingProxyType({"response_format": "wav"}),
            streams=True,
        ),
        Dialect(
            "devnen",
            "/tts",
            "text",
            "predefined_voice_id",
            "/api/model-info",
            # a sentence is short: split, it would be put together again with 200 ms of silence between the parts
            fixed=MappingProxyType({"voice_mode": "predefined", "output_format": "wav", "split_text": False}),
            voices="/get_predefined_voices",
        ),
        Dialect(
            "openai",
            "/v1/audio/speech",
            "input",
            "voice",
            "/v1/models",
            fixed=MappingProxyType({"response_format": "wav"}),
            streams=True,
            model="model",
            default_model="tts-1",
            default_voice="alloy",
        ),
    )
}
"""By name, in the order in which a server is asked what it is: travisvn's has /v1/audio/speech too, and devnen's as well."""


def root_of(url: str) -> httpx.URL:
    """A checked url, without the /v1 that OpenAI's has; ValueError in one line."""
    try:
        root = httpx.URL(url.strip())
    except httpx.InvalidURL as error:
        raise ValueError(f"{url!r} is no url of a Chatterbox server ({error}): it looks like http://127.0.0.1:8772") from error
    if root.scheme not in ("http", "https") or not root.host or root.query or root.fragment:
        raise ValueError(f"{url!r} is no url of a Chatterbox server: it looks like http://127.0.0.1:8772")
    if root.userinfo:
        raise ValueError("the url of a Chatterbox server takes no name and password: give the key apart")
    return root.copy_with(path=root.path.rstrip("/").removesuffix("/v1") + "/")


def _known(_: object, __: "attrs.Attribute[str]", name: str) -> None:
    if name not in (AUTO, *DIALECTS):
        raise ValueError(f"server is {name!r}: it takes one of {', '.join((AUTO, *DIALECTS))}")


@attrs.frozen(kw_only=True)
class Server:
    """A speech server and how to speak with it; a bad url or dialect raises ValueError in one line, and `key` is shown nowhere."""

    url: str
    dialect: str = attrs.field(default=AUTO, validator=_known)
    """One of DIALECTS, or `auto`: asked for at the start of the call."""
    voice: str = ""
    """The server's own when empty."""
    model: str = ""
    key: str | None = attrs.field(default=None, repr=False)
    """Sent as `Authorization: Bearer`."""
    fields: Mapping[str, object] = attrs.field(factory=dict, converter=dict)
    """More fields of each POST: a temperature, a seed. They win over all but the text and the session."""

    def __attrs_post_init__(self) -> None:
        root_of(self.url)
        if self.key is not None and not (self.key.isascii() and self.key.isprintable() and self.key.strip() == self.key != ""):
            raise ValueError("the key of the speech server holds what no key holds: a space, a line break or a foreign letter")

    @property
    def where(self) -> str:
        """What to call it in a message."""
        root = root_of(self.url)
        return f"{root.scheme}://{root.netloc.decode()}"

    def request(self, dialect: Dialect, text: str, session_id: str, voice: str) -> dict[str, object]:
        """The JSON of a POST for a text; `voice` is what the server was found to have when none is wished for."""
        fields: dict[str, object] = dict(dialect.fixed)
        if dialect.model:
            fields[dialect.model] = self.model or dialect.default_model
        if wished := self.voice or voice or dialect.default_voice:
            fields[dialect.voice] = wished
        fields |= self.fields
        fields[dialect.text] = text
        if dialect.session:
            fields[dialect.session] = session_id
        return fields


def dialect_in(openapi: bytes) -> Dialect | None:
    """The dialect that a server's /openapi.json shows; None when it shows none."""
    paths = object_in(openapi).get("paths")
    if not isinstance(paths, dict):
        return None
    return next((dialect for dialect in DIALECTS.values() if dialect.path in paths), None)


def voice_in(listed: bytes) -> str:
    """The first voice of a server's list; empty when there is none."""
    try:
        voices = json.loads(listed)
    except (ValueError, RecursionError):
        return ""
    first = voices[0] if isinstance(voices, list) and voices else None
    name = first.get("filename") if isinstance(first, dict) else None
    return name if isinstance(name, str) else ""


def is_well(status: int, body: bytes) -> bool:
    """Does the answer to a health check say that a synthesis would work? A server that loads its model answers 200 and says so."""
    told = object_in(body)
    loaded = told.get("loaded") is not False and told.get("model_loaded") is not False
    return status < 500 and loaded and told.get("status") not in ("initializing", "starting", "error")


def is_too_long(status: int, body: bytes) -> bool:
    """Does a refusal say that the text is too long for the server?"""
    words = body[:4_096].lower()
    return status == 413 or (status in (400, 422) and any(word in words for word in (b"too long", b"too_long", b"at most", b"maximum")))


def outcome_of(status: int, body: bytes, *, awaited: bool) -> str:
    """What a cancel's answer means. An id `unknown` to the server whose answer we await was overtaken: its POST will meet the cancel."""
    if status in (404, 405):
        return "unsupported"
    if not 200 <= status < 300:
        return "failed"
    answer = object_in(body)
    if answer.get("cancelled") is not False or (awaited and answer.get("state") == "unknown"):
        return "acknowledged"
    return "too late"


def detail_of(body: bytes) -> str:
    """The server's own words when they are a plain string (a validation error may quote what was to be said)."""
    told = object_in(body)
    error = told.get("error")
    detail = error.get("message") if isinstance(error, dict) else told.get("detail")
    return ": " + " ".join(detail.split())[:120] if isinstance(detail, str) else ""


def object_in(body: bytes) -> dict[str, object]:
    """The JSON object in a body; empty when there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
