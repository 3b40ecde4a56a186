"""Text in a call's picture: cleaned for XML, measured without a font, elided and wrapped; no place and no colour is chosen here.

Lengths are in SVG user units (px). The same text gives the same answer on every machine.
"""

import re
import unicodedata

import attrs

# Widths in em of DejaVu Sans, the widest of the fonts that a system is likely to show the picture in, rounded up to 0.05.
_BY_WIDTH = """
0.3 'IJijl
0.35 ,./:;|\\
0.4 ()-[]ft
0.45 !r
0.5 "*_`
0.55 ?csz
0.6 FLkvxy
0.7 ABCKRVXZ
0.75 NU
0.8 &DGHOQ
0.85 #+<=>^w~
0.9 M
1 %@Wm…—
"""
_WIDTHS = {character: float(em) for em, characters in map(str.split, _BY_WIDTH.strip().splitlines()) for character in characters} | {
    " ": 0.35
}
_WIDTH_ASCII = 0.65
_WIDTH_OTHER = 0.75
_WIDTH_WIDE = 1.05
BOLD = 1.12  # a bold face is about this much wider

# What XML 1.0 forbids, and the marks that turn the direction of whatever text follows them.
_UNFIT = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|[\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """The text as XML may hold it: each control, surrogate or direction mark as U+FFFD, each run of blanks as one space."""
    return " ".join(_UNFIT.sub("\ufffd", text).split())


def escaped(text: str) -> str:
    """The text, cleaned, for use between tags or inside an attribute's double quotes."""
    plain = clean(text)
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        plain = plain.replace(character, entity)
    return plain


def width_of(text: str, size: float) -> float:
    """The most that `text` is likely to take at font size `size`."""
    return size * sum(map(_em, text))


def elided(text: str, width: float, size: float) -> str:
    """The text if it fits into `width`, else as much of its beginning as does and `…`; empty when not even that fits."""
    if width_of(text, size) <= width:
        return text
    room = width - width_of("…", size)
    for length, character in enumerate(text):
        room -= width_of(character, size)
        if room < 0:
            return f"{text[:length].rstrip()}…" if length else ""
    return text


@attrs.frozen
class Wrapped:
    """Text in lines; `whole` when nothing is left out and no word is broken."""

    lines: tuple[str, ...]
    whole: bool


def wrapped(text: str, width: float, size: float, limit: int) -> Wrapped:
    """The text in at most `limit` lines of `width`; words too wide for a line are broken, and what is left over is elided."""
    lines: list[str] = []
    rest, unbroken = text, True
    while rest and len(lines) < limit - 1:
        line = _line(rest, width, size)
        if not line:
            return Wrapped((), whole=False)
        after = rest[len(line) :]
        unbroken = unbroken and (not after or after.startswith(" "))
        lines.append(line)
        rest = after.strip()
    last = elided(rest, width, size)
    return Wrapped((*lines, last) if last else tuple(lines), unbroken and last == rest)


def n(value: float) -> str:
    """A number as SVG wants it, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")


def clock(ms: float, precise: bool = False) -> str:
    """A time as m:ss, or m:ss.t if `precise`."""
    tenths = round(ms / 100)
    return f"{tenths // 600}:{tenths // 10 % 60:02d}" + (f".{tenths % 10}" if precise else "")


def _line(text: str, width: float, size: float) -> str:
    """The longest beginning of `text` that fits: whole words if at least one does, else characters."""
    used, space = 0.0, 0
    for length, character in enumerate(text):
        if character == " ":
            space = length
        used += width_of(character, size)
        if used > width:
            return text[:length] if character != " " and not space else text[: space or length]
    return text


def _em(character: str) -> float:
    if character in _WIDTHS:
        return _WIDTHS[character]
    if character.isascii():
        return _WIDTH_ASCII
    if unicodedata.combining(character):
        return 0.0
    return _WIDTH_WIDE if unicodedata.east_asian_width(character) in "WF" or ord(character) > 0xFFFF else _WIDTH_OTHER
