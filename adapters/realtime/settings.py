"""What the realtime LLM is asked to be, as one validated record; and what counts as a goodbye."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

GOODBYES = (
    *("goodbye", "good bye", "bye", "bye bye", "have a nice day", "have a great day", "talk to you soon"),
    *("auf wiedersehen", "auf wiederhören", "tschüss", "schönen tag noch", "au revoir", "bonne journée", "adiós", "hasta luego"),
    *(
        "arrivederci",
        "buona giornata",
        "adeus",
        "tchau",
        "tot ziens",
        "do widzenia",
        "hej då",
        "до свидания",
        "להתראות",
        "ביי",
        "مع السلامة",
    ),
)
"""Phrases that end a call when the agent says them last; a setting, since every product says goodbye in its own way (R46)."""


BACKCHANNELS = (
    *("mm-hm", "mmhm", "mhm", "mm", "hm", "uh-huh", "uh huh", "aha", "yeah", "yep", "right", "okay", "ok", "i see", "sure"),
    *("ja", "genau", "ach so", "oui", "d'accord", "sí", "claro", "certo", "si", "tá", "hai", "да"),
)
"""A listener's words: over the agent's voice they are no turn, in silence they are (R29)."""
DISMISSALS = ("stop", "be quiet", "quiet", "quiet please", "shut up", "hold on", "wait", "sei still", "stopp", "halt", "silence", "cállate")
"""What silences the agent and wants no answer (R25)."""


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


def _phrases(_: object, field: "attrs.Attribute[Any]", value: object) -> None:
    """A validator for phrases that each hold a word."""
    if not isinstance(value, tuple) or not all(isinstance(phrase, str) and _words(phrase) for phrase in value):
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
    voice: str = attrs.field(default="marin", validator=_named)
    """The model's voice, when it is the model that speaks."""
    greeting: str = attrs.field(default="Greet the caller in one short sentence and ask how you can help.", validator=_written)
    """The instruction for the greeting when the application gives none; empty leaves it to the session's instructions."""
    transcription: str | None = attrs.field(default="gpt-4o-mini-transcribe", validator=_named_or_none)
    """The model that writes down what the caller says; None for no transcripts."""
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


def is_one_of(text: str, phrases: Sequence[str]) -> bool:
    """Is `text` one of the phrases, said once or several times, whatever its case and punctuation?"""
    words = _words(text)
    return bool(words) and any(not words.replace(phrase, "").strip() for phrase in map(_words, phrases) if phrase in words)


def says_goodbye(text: str, phrases: Sequence[str]) -> bool:
    """Does the last sentence of `text` hold one of the phrases as whole words? A question never does: it awaits an answer (R46)."""
    spoken = [sentence for sentence in re.findall(r"[^.!?。؟]+[.!?。؟]*", _plain(text)) if _words(sentence)]
    if not spoken or spoken[-1].rstrip().endswith(("?", "؟")):
        return False
    last = f" {_words(spoken[-1])} "
    return any(f" {_words(phrase)} " in last for phrase in phrases)


def _words(text: str) -> str:
    """The words of a text in small letters, one blank between them, without punctuation."""
    return " ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", _plain(text).casefold()))


def _plain(text: str) -> str:
    """The text with one form for each letter, mark and apostrophe."""
    return unicodedata.normalize("NFKC", text).replace("\u2019", "'")
