"""The session that we ask for, and whether the server has set it up: by what is asked, what is shown, and whose server it is.

A server is asked for nothing that it need not have: a voice, a transcription model, a format that it has already (R102). What a server's
documentation has besides is the user's to give, in a file as it writes it.
"""

from collections.abc import Mapping
from typing import Any

from adapters.realtime.dialects import FORMAT_NAMES, GA, dialect_of, place_of_vad, spoken, understood
from adapters.realtime.messages import value_at
from adapters.realtime.settings import NO_TRANSCRIPTION, OPENAI_TRANSCRIPTION, OPENAI_VOICE, RealtimeSettings
from adapters.seam.ports import PCM, PCMU, Sound
from fsm.call.policy import Policy

FORMATS: Mapping[Sound, Mapping[str, Any]] = {PCM: {"type": "audio/pcm", "rate": PCM.rate_hz}, PCMU: {"type": "audio/pcmu"}}
"""The wire's names for the formats (OpenAI's RealtimeAudioFormats)."""
_RIGHTS = ("type", "create_response", "interrupt_response")
"""What of the server's VAD must be as we asked; its numbers are its own affair."""


class SessionSetup:
    """What one session is asked to be; it remembers what the server showed of itself, and which rights its VAD was given."""

    def __init__(self, settings: RealtimeSettings, policy: Policy, *, openai: bool, hears: Sound = PCM, speaks: Sound = PCM) -> None:
        """`openai`: is the server OpenAI's, so that its voice and its transcription are known to be there?"""
        self._settings, self._policy, self._openai = settings, policy, openai
        self.hears, self.speaks = hears, speaks
        """The formats of the caller's sound and of the model's voice."""
        self._shown: Mapping[str, Any] = {}
        self.turn_detection = self.rights(held=policy.guards_greeting)
        """The VAD as it was last asked to be; None where it is ours."""
        self.dialect = GA if settings.wire == "auto" else settings.wire
        """What the server speaks."""

    def show(self, session: Mapping[str, Any]) -> None:
        """Note what session.created showed: the dialect, unless it was given, and what the server has set already."""
        if self._settings.wire == "auto":
            self.dialect = dialect_of(session)
        self._shown = self._read(session)

    @property
    def transcribes_unasked(self) -> bool:
        """Does the server write down what the caller says although nobody asked? Then its LLM reads that, and hears nothing."""
        return not self._openai and value_at(self._shown, "audio", "input", "transcription") is not None

    def has_sound(self, way: str) -> bool:
        """Has the server shown that its sound is what we want it to be, that of its input or its output?"""
        asked = FORMATS[self._ways[way]]
        shown, rate = (value_at(self._shown, "audio", way, "format", name) for name in ("type", "rate"))
        return _is_same(shown, asked["type"]) and (rate is None or _is_same(rate, asked.get("rate")))

    def modalities(self) -> list[str]:
        """What a response is to be given in."""
        return ["audio"] if self._policy.voice == "realtime" else ["text"]

    def asked(self) -> dict[str, Any]:
        """The session of the one session.update, in GA words but for what the user's file holds (R39)."""
        heard: dict[str, Any] = {"turn_detection": self.turn_detection}
        transcription = self._settings.transcription
        if transcription is None and self._openai:
            transcription = OPENAI_TRANSCRIPTION
        if transcription is not None:
            heard["transcription"] = None if transcription == NO_TRANSCRIPTION else {"model": transcription}
        spoken: dict[str, Any] = {}
        voice = self._settings.voice or (OPENAI_VOICE if self._openai else "")
        if self._policy.voice == "realtime" and voice:
            spoken["voice"] = voice
        for way, sound in self._ways.items():
            if not self.has_sound(way):
                (heard if way == "input" else spoken)["format"] = dict(FORMATS[sound])
        audio: dict[str, Any] = {"input": heard, **({"output": spoken} if spoken else {})}
        tools = {"tools": list(self._settings.tools), "tool_choice": "auto"} if self._settings.tools else {}
        said = {"output_modalities": self.modalities(), "instructions": self._settings.instructions}
        return {"type": "realtime", **said, **tools, "audio": audio}

    def message(self) -> dict[str, Any]:
        """The body of the session.update, in the server's dialect."""
        body = self._spoken({"type": "session.update", "session": self.asked()})
        further = {name: value for name, value in self._settings.session.items() if name != "tools"}
        session = merged(body["session"], further)
        self._put_turn_detection(session)
        if more := self._settings.session.get("tools"):
            session["tools"] = [*session.get("tools", ()), *more]
        return {**body, "session": session}

    def become(self, settings: RealtimeSettings) -> dict[str, Any]:
        """Ask for other instructions and tools, and for nothing else: the body of that session.update."""
        self._settings = settings
        choice = settings.session.get("tool_choice", "auto")
        said = {"type": "realtime", "instructions": settings.instructions, "tools": list(settings.tools), "tool_choice": choice}
        return self._spoken({"type": "session.update", "session": said})

    def release(self, held: bool) -> list[dict[str, Any]]:
        """An update of the VAD's rights alone; none when they stay what they are, as an update may reset the server's VAD."""
        rights = self.rights(held=held)
        if rights == self.turn_detection:
            return []
        self.turn_detection = rights
        body = {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": rights}}}}
        return [self._spoken(body)]

    def rights(self, held: bool) -> dict[str, Any] | None:
        """The server's VAD, and what it may do by itself: nothing while what is said is protected (R36); None where the VAD is ours."""
        if self._policy.turns == "local":
            return None
        settings = self._settings
        wanted = settings.turn_detection
        numbers = {
            "threshold": settings.vad_threshold,
            "prefix_padding_ms": settings.vad_prefix_ms,
            "silence_duration_ms": settings.vad_silence_ms,
        }
        kind = wanted.get("type", "server_vad")
        may = {
            "create_response": self._policy.create_response and not held,
            "interrupt_response": self._policy.interrupts == "server" and not held,
        }
        return {"type": kind, **(numbers if kind == "server_vad" else {}), **wanted, **may}

    def difference(self, session: Any) -> str:
        """The first thing in which the session is not what was asked, in words, else empty. What is absent differs in nothing (R102)."""
        told = self._read(session)
        wanted: list[tuple[str, object]] = [("output_modalities", self.modalities())]
        for way, sound in self._ways.items():
            wanted += [(f"audio.{way}.format.{name}", asked) for name, asked in FORMATS[sound].items()]
        vad, heard = self.turn_detection, value_at(told, "audio", "input")
        if isinstance(heard, Mapping) and "turn_detection" in heard and (vad is None) is not (heard["turn_detection"] is None):
            return _words("audio.input.turn_detection", heard["turn_detection"], vad and vad["type"])
        wanted += [(f"audio.input.turn_detection.{name}", vad[name]) for name in _RIGHTS] if vad else []
        for path, asked in wanted:
            got = value_at(told, *path.split("."))
            if got is not None and not _is_same(got, asked) and not _holds(got, asked):
                return _words(path, got, asked)
        return ""

    def _put_turn_detection(self, session: dict[str, Any]) -> None:
        """The user's fields of the VAD are in the rights already, and nowhere twice."""
        place_of_vad(self.dialect, session)["turn_detection"] = self.turn_detection and dict(self.turn_detection)

    @property
    def _ways(self) -> dict[str, Sound]:
        """The format of each way that carries sound."""
        return {"input": self.hears, **({"output": self.speaks} if self._policy.voice == "realtime" else {})}

    def _read(self, session: Any) -> Mapping[str, Any]:
        told = session if isinstance(session, Mapping) else {}
        return understood(self.dialect, told)

    def _spoken(self, body: dict[str, Any]) -> dict[str, Any]:
        return spoken(self.dialect, body)


def merged(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the fields of `more` put in, objects field by field."""
    both = dict(base)
    for name, value in more.items():
        before = both.get(name)
        both[name] = merged(before, value) if isinstance(before, Mapping) and isinstance(value, Mapping) else value
    return both


def _is_same(got: object, asked: object) -> bool:
    """Is a value what was asked, however it is written: as text, in other letters, a format by a name of its own?"""
    written = str(got).lower()
    return got == asked or (isinstance(got, str) and FORMAT_NAMES.get(written, written) == str(asked).lower())


def _holds(got: object, asked: object) -> bool:
    """Is a list all that was asked for, and more? A server that answers in both tells with its sound the words that are to be written."""
    return isinstance(got, list) and isinstance(asked, list) and {*asked} <= {*map(str, got)}


def _words(path: str, got: object, asked: object) -> str:
    shown = repr(got)[:60] if isinstance(got, str | int | float | list | None) else "something else"
    return f"the server set {path} to {shown}, and we asked for {asked!r}"
