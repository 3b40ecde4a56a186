"""What the realtime LLM is asked to be, as one validated record."""

from collections.abc import Mapping
from typing import Any

import attrs

from adapters.realtime.dialects import WIRES
from adapters.realtime.said import BACKCHANNELS, DISMISSALS, GOODBYES, words_of

OPENAI_VOICE, OPENAI_TRANSCRIPTION = "marin", "gpt-4o-mini-transcribe"
"""What OpenAI's own servers are asked for where the user asks for nothing; other servers need not have them (R102)."""
NO_TRANSCRIPTION = "none"
"""A transcription model of this name is no transcription."""


def _between(low: float, high: float, *, whole: bool = False) -> Any:
    """A validator for a number from `low` to `high`, both included; its error names the field, the value and the bounds."""
    kinds, number = (int, "a whole number") if whole else (int | float, "a number")

    def check(_: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
            raise ValueError(f"{field.name} is {value!r}: it takes {number} from {low:g} to {high:g}")

    return check


def _written(_: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """A validator for text, empty or not."""
    if not isinstance(value, str):
        raise ValueError(f"{field.name} is {value!r}: it takes text")


def _named(_: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """A validator for a name: text that is not blank."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{field.name} is {value!r}: it takes a name")


def _named_or_none(scope: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """A validator for a name or None."""
    if value is not None:
        _named(scope, field, value)


def _one_of(*choices: str) -> Any:
    """A validator for a word of a fixed set."""

    def check(_: object, field: "attrs.Attribute[Any]", value: object) -> None:
        if value not in choices:
            raise ValueError(f"{field.name} is {value!r}: it takes one of {', '.join(choices)}")

    return check


def _phrases(_: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """A validator for phrases that each hold a word."""
    if not isinstance(value, tuple) or not all(isinstance(phrase, str) and words_of(phrase) for phrase in value):
        raise ValueError(f"{field.name} is {value!r}: it takes a tuple of phrases, each with a word in it")


def _declarations(_: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """A validator for declared functions, each by a name of its own."""
    names = [one.get("name") if isinstance(one, Mapping) and one.get("type") == "function" else None for one in _items_of(value)]
    if not isinstance(value, tuple) or not all(isinstance(name, str) and name for name in names) or len(set(names)) != len(names):
        raise ValueError(f"{field.name}: it takes a tuple of functions, each with a name of its own")


def _items_of(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else ()


def _with_digits(_: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """A validator for a text with one place for digits."""
    if not isinstance(value, str) or value.count("{digits}") != 1 or value.replace("{digits}", "").count("{"):
        raise ValueError(f"{field.name} is {value!r}: it takes a text with {{digits}} in it once")


@attrs.frozen(kw_only=True)
class RealtimeSettings:
    """What the realtime LLM is asked to be; a bad value raises ValueError in one readable line."""

    model: str = attrs.field(default="gpt-realtime-2.1", validator=_named)
    """The model, put into the URL unless the URL names one."""
    instructions: str = attrs.field(
        default="You are a friendly voice on the telephone. Answer in one or two short spoken sentences.", validator=_written
    )
    """Who the model is, for the whole session."""
    voice: str | None = attrs.field(default=None, validator=_named_or_none)
    """The model's voice, when it is the model that speaks; None for the server's own, at OpenAI marin (R102)."""
    greeting: str = attrs.field(default="Greet the caller in one short sentence and ask how you can help.", validator=_written)
    """The instruction for the greeting when the application gives none; empty leaves it to the session's instructions."""
    transcription: str | None = attrs.field(default=None, validator=_named_or_none)
    """The model that writes down what the caller says; None for the server's own, at OpenAI gpt-4o-mini-transcribe; "none": no words."""
    vad_threshold: float = attrs.field(default=0.5, validator=_between(0, 1))
    """How sure the server's VAD must be (OpenAI's default)."""
    vad_prefix_ms: int = attrs.field(default=300, validator=_between(0, 5_000, whole=True))
    """How much sound from before the speech belongs to it (OpenAI's default)."""
    vad_silence_ms: int = attrs.field(default=500, validator=_between(50, 10_000, whole=True))
    """How much silence ends a turn (OpenAI's default)."""
    idle_prompt: str = attrs.field(
        default="The caller has been silent. Ask in one short sentence whether they are still there.", validator=_written
    )
    """The instruction for asking a silent caller (R54)."""
    farewell: str = attrs.field(default="The caller does not answer. Say goodbye in one short sentence.", validator=_written)
    """The instruction for the goodbye to a caller who stays silent (R53)."""
    limit_warning: str = attrs.field(default="Tell the caller in one short sentence that this call must end soon.", validator=_written)
    """The instruction for the warning ahead of the maximum duration (R82)."""
    entry: str = attrs.field(default="(The caller entered {digits} on the keypad.)", validator=_with_digits)
    """What the model is told of a keypad entry, as the caller's words; `{digits}` stands for the digits (R63)."""
    tool_filler: str = attrs.field(
        default="A tool that you called takes a moment. Tell the caller so in a few words, and nothing else.", validator=_written
    )
    """The instruction for what is said while a tool takes long (R80)."""
    tools: tuple[Mapping[str, Any], ...] = attrs.field(default=(), validator=_declarations)
    """The tools that the model may call, each as the wire declares a function: type, name, description, parameters."""
    backchannels: tuple[str, ...] = attrs.field(default=BACKCHANNELS, validator=_phrases)
    """What a listener says to show that they listen; over the agent's voice it is no turn (R29)."""
    dismissals: tuple[str, ...] = attrs.field(default=DISMISSALS, validator=_phrases)
    """What a caller says who wants no answer (R25)."""
    goodbye_phrases: tuple[str, ...] = attrs.field(default=GOODBYES, validator=_phrases)
    """What counts as a goodbye, in the last sentence of a response (R46)."""
    append_ms: int = attrs.field(default=20, validator=_between(20, 1_000, whole=True))
    """How much of the caller's sound goes into a message; a slow server's detector keeps up with fewer, longer ones."""
    wire: str = attrs.field(default="auto", validator=_one_of(*WIRES))
    """The dialect of the wire: ga, beta, xai, or auto, which goes by the server's address and its first message (R103)."""
    session: Mapping[str, Any] = attrs.field(factory=dict)
    """Further fields of the session, in the server's own words; see `adapters.realtime.session_file`."""
    turn_detection: Mapping[str, Any] = attrs.field(factory=dict)
    """Further fields of the server's VAD: another type, its eagerness; see `adapters.realtime.session_file`."""
    transcript_first: bool | None = attrs.field(default=None)
    """Is a turn taken once its transcript has come, as the server's LLM reads that? None: where the server transcribes unasked."""
