"""The speech servers that the Chatterbox port speaks with: what each asks for and can do, as data, and how one is found out.

Read from the servers' sources: devnen/Chatterbox-TTS-Server (`server.py`, `models.py`), travisvn/chatterbox-tts-api
(`app/api/endpoints`), and the `openai` package's `audio.speech`; the contract with a cancel is the one of the seed system.
"""

import json
import re
from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

import attrs
import httpx

AUTO = "auto"
_LOADING = re.compile(
    r"\b(?:(?:down)?loading|initiali[sz](?:ing|ed)|starting|warming|not (?:yet )?(?:started|ready|loaded)|being loaded)\b", re.IGNORECASE
)
"""What servers call it while they load their model."""
_ILL = frozenset({"error", "unhealthy", "failed"})
MAX_WORDS = 120
"""How much of a server's own words is told (R108)."""
MAX_DEPTH = 4
_MESSAGES = ("detail", "message", "msg", "error", "errors", "reason", "description", "title")
_WRONG_VOICE = re.compile(
    r"(?:no such|unknown|invalid|unsupported|missing)\b[^.]*\bvoice|predefined_voice_id|reference.audio"
    r"|\bvoice\b.*\b(?:not found|does not exist|not available|unknown|invalid|not supported|unsupported|is required|must be)\b",
    re.IGNORECASE,
)


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
    """Lists the voices of a server that must be told one: [{"filename"}]."""
    defaults: str = ""
    """Tells which of them is the default."""
    sounds: tuple[str, ...] = ()
    """What its models can do between words, written [laugh]."""

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
            defaults="/api/ui/initial-data",
            sounds=("laugh", "chuckle", "sigh", "gasp", "cough", "clear throat", "sniff", "groan", "shush"),
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
    if root.scheme not in ("http", "https") or not root.host or root.query or root.fragment or not 0 < (root.port or 80) < 65_536:
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


def voices_in(listed: bytes) -> list[str]:
    """The names in a server's list of voices."""
    voices = _json_in(listed)
    names = [voice.get("filename") if isinstance(voice, dict) else voice for voice in voices] if isinstance(voices, list) else []
    return [name for name in names if isinstance(name, str) and name]


class Health(Enum):
    """How a server is, by its own account."""

    WELL = "well"
    LOADING = "it loads its model"
    ILL = "ill"


def health_of(status: int, body: bytes) -> Health:
    """Does the answer to a health check say that a synthesis would work? A server that loads its model answers 200 and says so."""
    told = object_in(body)
    state = str(told.get("status") or told.get("initialization_state") or "").lower()
    if state in _ILL or told.get("initialization_error"):
        return Health.ILL
    words = state if status < 500 else f"{state} {detail_of(body)}"
    if _LOADING.search(words.replace("_", " ")) or any(told.get(name) is False for name in ("loaded", "model_loaded", "ready")):
        return Health.LOADING
    return Health.WELL if status < 500 else Health.ILL


def state_of(body: bytes) -> str:
    """What a server says of how it is: how far it has come with its model, or why it has not."""
    told = object_in(body)
    words = told.get("initialization_error") or told.get("initialization_progress") or told.get("message") or told.get("detail")
    return f": {' '.join(words.split())[:MAX_WORDS]}" if isinstance(words, str) and words else ""


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


def detail_of(body: bytes, said: str = "") -> str:
    """The server's own words, wherever in the answer they stand, in one line and bounded; what was to be `said` is not repeated."""
    words = _words(_json_in(body))
    for quoted in (said, said[:20]):
        words = words.replace(quoted, "…") if len(quoted) > 3 else words
    return f": {words[:MAX_WORDS]}" if words else ""


def names_voice(body: bytes, said: str = "") -> bool:
    """Does a refusal say that the voice is wrong, and not the text?"""
    told = _json_in(body)
    error = told.get("error") if isinstance(told, dict) else None
    detail = told.get("detail") if isinstance(told, dict) else None
    places = [one.get("loc") for one in detail if isinstance(one, dict)] if isinstance(detail, list) else []
    place = str([places, error.get("param") if isinstance(error, dict) else ""])
    return "voice" in place or _WRONG_VOICE.search(detail_of(body, said)) is not None


def _words(told: object, depth: int = 0) -> str:
    """The message in an error, as deep as servers put it: a text, an object that holds one, or a list of those with their places."""
    if depth > MAX_DEPTH:
        return ""
    if isinstance(told, str):
        return " ".join(told.split())
    if isinstance(told, list):
        return "; ".join(filter(None, (_words(one, depth + 1) for one in told[:3])))
    if not isinstance(told, dict):
        return ""
    words = next(filter(None, (_words(told.get(name), depth + 1) for name in _MESSAGES)), "")
    loc = told.get("loc")
    return f"{'.'.join(map(str, loc))}: {words}" if words and isinstance(loc, list) else words


def object_in(body: bytes) -> dict[str, object]:
    """The JSON object in a body; empty when there is none."""
    value = _json_in(body)
    return value if isinstance(value, dict) else {}


def _json_in(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
