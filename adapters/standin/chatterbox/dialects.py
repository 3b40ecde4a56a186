"""The kinds of speech server that the stand-in can be: their routes, the fields that each takes, and the words in which it refuses.

Read from the sources of devnen/Chatterbox-TTS-Server and travisvn/chatterbox-tts-api and from the `openai` package; the seed contract
is the project's own. It is stricter than they are: a field that the original does not know is refused, so that a slip shows.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs

MAX_SYNTHESIS_MS = 120_000
MAX_ID_CHARS = 200
MAX_TEXT_CHARS = 2_000
"""About two minutes of speech, far beyond a sentence."""
VOICES = ("Abigail.wav", "Adrian.wav")
"""The predefined voices of the devnen stand-in; they all sound the same."""
Json = dict[str, Any]


class Refusal(Exception):
    """A request that the server refuses: a status, and the JSON that says why."""

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(status)
        self.status, self.body = status, body


@attrs.frozen
class Field:
    """What a field takes: its types, its least and greatest value (or length, of a text), its choices; and None, if it may be left out."""

    kinds: tuple[type, ...]
    low: float = -math.inf
    high: float = math.inf
    choices: tuple[object, ...] = ()
    required: bool = False

    def fault(self, value: object) -> tuple[str, str] | None:
        """What is wrong with a value, as pydantic's type of the fault and its words; None if nothing."""
        if value is None and not self.required:
            return None
        if type(value) not in self.kinds:
            return f"{self.kinds[0].__name__}_type", f"Input should be a valid {self.kinds[0].__name__}"
        size = len(value) if isinstance(value, str) else value
        if isinstance(size, int | float) and size > self.high:
            return (
                ("string_too_long", f"String should have at most {self.high:g} characters")
                if isinstance(value, str)
                else _unequal("less", self.high)
            )
        if isinstance(size, int | float) and size < self.low:
            return (
                ("string_too_short", f"String should have at least {self.low:g} characters")
                if isinstance(value, str)
                else _unequal("greater", self.low)
            )
        if self.choices and value not in self.choices:
            return "literal_error", f"Input should be {' or '.join(map(repr, self.choices))}"
        return None


def _unequal(word: str, bound: float) -> tuple[str, str]:
    return f"{word}_than_equal", f"Input should be {word} than or equal to {bound:g}"


def _text(low: float = 1, high: float = math.inf, *, required: bool = True) -> Field:
    return Field((str,), low, high, required=required)


def _number(low: float, high: float) -> Field:
    return Field((float, int), low, high)


def _one_of(*choices: str) -> Field:
    return Field((str,), choices=choices)


_SPEAKING = {"temperature": _number(0, 5), "exaggeration": _number(0.25, 2), "cfg_weight": _number(0, 1)}
_DEVNEN = {
    "text": _text(),
    "voice_mode": _one_of("predefined", "clone"),
    "predefined_voice_id": _text(0, required=False),
    "reference_audio_filename": _text(0, required=False),
    "output_format": _one_of("wav"),
    "split_text": Field((bool,)),
    "chunk_size": Field((int,), 50, 500),
    "seed": Field((int,)),
    "speed_factor": _number(0.25, 4),
    "language": _text(0, required=False),
    **_SPEAKING,
}
_DEVNEN_SPEECH = {
    "model": _text(0),
    "input": _text(0),
    "voice": _text(0),
    "response_format": _one_of("wav"),
    "speed": _number(0.25, 4),
    "seed": Field((int,)),
}
_TRAVISVN = {
    "input": _text(1, 3_000),
    "voice": _text(0, required=False),
    "response_format": _text(0, required=False),
    "speed": _number(-math.inf, math.inf),
    "stream_format": _one_of("audio"),
    "streaming_chunk_size": Field((int,), 50, 500),
    "streaming_strategy": _one_of("sentence", "paragraph", "fixed", "word"),
    "streaming_buffer_size": Field((int,), 1, 10),
    "streaming_quality": _one_of("fast", "balanced", "high"),
    **_SPEAKING,
}
_OPENAI = {
    "model": _text(),
    "input": _text(1, 4_096),
    "voice": Field((str, dict), 1, required=True),
    "instructions": _text(0, required=False),
    "response_format": _one_of("wav", "pcm"),
    "speed": _number(0.25, 4),
    "stream_format": _one_of("audio"),
}
_SEED = {
    "text": _text(1, MAX_TEXT_CHARS),
    "session_id": _text(1, MAX_ID_CHARS, required=False),
    "synthesis_ms": Field((int,), 0, MAX_SYNTHESIS_MS),
    "voice": _text(1, required=False),
}


@attrs.frozen
class Wanted:
    """A POST that asks for something possible. `synthesis_ms` None: as long as the server is set to."""

    text: str
    session_id: str | None = None
    synthesis_ms: int | None = None
    header: bool = True
    """Does a WAV header come before the samples?"""


@attrs.frozen
class Endpoint:
    """A path that takes a text: its fields, the text's among them, and whether the sound streams."""

    path: str
    fields: Mapping[str, Field]
    text: str
    streams: bool = False
    aliases: tuple[str, ...] = ()


def _devnen_voices(body: Json) -> None:
    if body.get("voice_mode", "predefined") == "clone":
        if not body.get("reference_audio_filename"):
            raise Refusal(400, {"detail": "Missing 'reference_audio_filename' for 'clone' voice mode."})
        return
    voice = body.get("voice", body.get("predefined_voice_id"))
    if not voice:
        raise Refusal(400, {"detail": "Missing 'predefined_voice_id' for 'predefined' voice mode."})
    if voice not in VOICES:
        raise Refusal(404, {"detail": f"Predefined voice file '{voice}' not found."})


def _spoken_format(body: Json) -> None:
    if body.get("response_format") is None:
        raise Refusal(400, _openai_error("response_format: the default is mp3, which this stand-in does not speak: ask for wav or pcm"))


def _anything(_: Json) -> None:
    """No more is asked of a body."""


def _seed_refusal(name: str, fault: tuple[str, str]) -> Refusal:
    return Refusal(400, {"detail": f"{name}: {fault[1]}"})


def _fastapi_refusal(name: str, fault: tuple[str, str]) -> Refusal:
    return Refusal(422, {"detail": [{"type": fault[0], "loc": ["body", name], "msg": fault[1]}]})


def _openai_refusal(name: str, fault: tuple[str, str]) -> Refusal:
    return Refusal(400, _openai_error(f"{name}: {fault[1]}", name))


def _openai_error(message: str, param: str | None = None) -> Json:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}


@attrs.frozen
class Dialect:
    """A kind of server: where it takes texts, what it answers to a GET, and how it refuses."""

    name: str
    endpoints: tuple[Endpoint, ...]
    gets: Mapping[str, Any]
    refusal: Callable[[str, tuple[str, str]], Refusal]
    also: Callable[[Json], None] = _anything
    """What else it asks of a body; raises Refusal."""
    cancels: bool = False
    described: bool = True
    """Does it have an /openapi.json?"""
    notices: bool = True
    """Does it notice a client that leaves, and stop the work?"""
    health: str = "/health"
    loading: Mapping[str, Any] = attrs.field(factory=dict)
    """What it says there while it loads its model, if it says so."""
    breaks: bool = False
    """Has it answered a stream with 200 before it finds out that it cannot?"""

    def openapi(self) -> Json:
        """The description of itself, as short as it may be."""
        paths: Json = {path: {"get": {}} for path in self.gets}
        paths |= {endpoint.path: {"post": {}} for endpoint in self.endpoints}
        return {"openapi": "3.1.0", "info": {"title": f"callfsm stand-in: {self.name}", "version": "1"}, "paths": paths}

    def wanted(self, endpoint: Endpoint, body: Json) -> Wanted:
        """What a body asks for; Refusal when that is impossible."""
        for name in body:
            if name not in endpoint.fields:
                raise self.refusal(name, ("extra_forbidden", "Extra inputs are not permitted"))
        for name, field in endpoint.fields.items():
            if name not in body and field.required:
                raise self.refusal(name, ("missing", "Field required"))
            if fault := field.fault(body.get(name)):
                raise self.refusal(name, fault)
        self.also(body)
        text = body[endpoint.text]
        if not text.strip():
            raise self.refusal(endpoint.text, ("value_error", "Input text cannot be empty"))
        return Wanted(text, body.get("session_id"), body.get("synthesis_ms"), body.get("response_format") != "pcm")


_MODEL = {"id": "chatterbox", "object": "model", "created": 0, "owned_by": "callfsm"}
_MODELS = {"object": "list", "data": [_MODEL]}
_WELL = {"status": "healthy", "model_loaded": True, "device": "cpu", "initialization_state": "ready"}
_LOADING = {
    "status": "initializing",
    "model_loaded": False,
    "initialization_state": "initializing",
    "initialization_progress": "Loading TTS model",
}
DEFAULTS = "/api/ui/initial-data"
_LISTED = [{"display_name": name.removesuffix(".wav"), "filename": name} for name in VOICES]
DIALECTS = {
    dialect.name: dialect
    for dialect in (
        Dialect(
            "seed",
            (Endpoint("/v1/tts", _SEED, "text"),),
            {"/health": {"status": "ok", "engine": "callfsm stand-in for Chatterbox", "sample_rate": 24_000}},
            _seed_refusal,
            cancels=True,
            described=False,
            loading={"status": "loading"},
        ),
        Dialect(
            "devnen",
            (Endpoint("/tts", _DEVNEN, "text"), Endpoint("/v1/audio/speech", _DEVNEN_SPEECH, "input")),
            {
                "/get_predefined_voices": _LISTED,
                "/v1/audio/voices": {"status": "ok", "voices": list(VOICES)},
                DEFAULTS: {"config": {"tts_engine": {"default_voice_id": VOICES[1]}}, "predefined_voices": _LISTED},
                "/api/model-info": {"loaded": True, "type": "original", "device": "cpu", "sample_rate": 24_000},
            },
            _fastapi_refusal,
            _devnen_voices,
            # it synthesises on its event loop, where nobody is seen to leave; that nothing else is answered is the lack of a loop
            notices=False,
            health="/api/model-info",
            loading={"loaded": False, "type": None, "device": "cpu", "sample_rate": None},
        ),
        Dialect(
            "travisvn",
            (
                Endpoint("/audio/speech", _TRAVISVN, "input", aliases=("/v1/audio/speech", "/tts")),
                Endpoint("/audio/speech/stream", _TRAVISVN, "input", True, ("/v1/audio/speech/stream", "/tts/stream")),
            ),
            {"/health": _WELL, "/models": _MODELS, "/v1/models": _MODELS, "/ping": {"status": "ok", "message": "Server is running"}},
            _fastapi_refusal,
            loading=_LOADING,
            breaks=True,
        ),
        Dialect(
            "openai",
            (Endpoint("/v1/audio/speech", _OPENAI, "input", True),),
            {"/v1/models": _MODELS},
            _openai_refusal,
            _spoken_format,
            described=False,
        ),
    )
}
