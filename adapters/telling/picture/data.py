"""What a call's picture shows, as plain, checked data: both sides' sound, states, moments, words and figures; nothing is drawn here.

Times are in ms from the call's start.
"""

import math

import attrs


def _finite(_: object, field: "attrs.Attribute[float]", value: float) -> None:
    """A validator for a time."""
    if not math.isfinite(value):
        raise ValueError(f"{field.name} is {value!r}: it takes a number of milliseconds")


def _not_before_start(it: "Span | Said", field: "attrs.Attribute[float]", value: float) -> None:
    """A validator for the end of something that has a `start_ms`."""
    _finite(it, field, value)
    if value < it.start_ms:
        raise ValueError(f"{field.name} is {value!r}, before start_ms, {it.start_ms!r}: it takes a time not before it")


def _whole_samples(_: object, field: "attrs.Attribute[bytes]", value: bytes) -> None:
    """A validator for 16-bit sound."""
    if len(value) % 2:
        raise ValueError(f"{field.name} has {len(value)} bytes of sound: it takes whole 16-bit samples, so an even number")


@attrs.frozen
class Span:
    """A region was in `state` from `start_ms` to `end_ms`."""

    start_ms: float = attrs.field(validator=_finite)
    end_ms: float = attrs.field(validator=_not_before_start)
    state: str


@attrs.frozen
class Ribbon:
    """A region's states through the call; `name` is the region's."""

    name: str
    spans: tuple[Span, ...]


@attrs.frozen
class Marker:
    """A moment worth a flag; `kind` chooses its colour, `label` is on the flag (the kind if empty), `detail` in its tooltip."""

    at_ms: float = attrs.field(validator=_finite)
    kind: str
    label: str = ""
    detail: str = ""


@attrs.frozen
class Said:
    """`who` ("caller" or "agent") said `text`; for the agent, as much of it as was heard is in the sound."""

    start_ms: float = attrs.field(validator=_finite)
    end_ms: float = attrs.field(validator=_not_before_start)
    who: str = attrs.field(validator=attrs.validators.in_(("caller", "agent")))
    text: str


@attrs.frozen
class CallPicture:
    """All that a picture shows; sound is 24 kHz mono s16le and begins at 0 ms, `figures` are (name, value)."""

    title: str
    duration_ms: float = attrs.field(validator=_finite)
    caller: bytes = attrs.field(default=b"", validator=_whole_samples)
    agent: bytes = attrs.field(default=b"", validator=_whole_samples)
    ribbons: tuple[Ribbon, ...] = ()
    markers: tuple[Marker, ...] = ()
    said: tuple[Said, ...] = ()
    figures: tuple[tuple[str, str], ...] = ()
