"""How a call's picture looks: its lengths, its colours by name, and its style sheet; nothing is placed or drawn here.

Lengths are in SVG user units (px).
"""

from zlib import crc32

import attrs

WIDTH = 1400
EDGE = 36
LEFT, RIGHT = 152, WIDTH - EDGE

FLAG, FLAG_H, FLAG_TEXT = 19, 16, 10.5
CAPTION, CAPTION_TEXT, CAPTION_MARGIN = 14, 11.0, 3
HALF = 28  # half the height of an envelope
LANE, BAR, STATE_TEXT = 23, 17, 10.5

SIDES = {"caller": "#14796f", "agent": "#3568d1"}
STYLE = (
    "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:#1e293b;"
    "font-variant-numeric:tabular-nums}"
    ".t{font-size:21px;font-weight:600}.k{font-size:11px;fill:#64748b}.v{font-size:16px;font-weight:600}"
    ".n{font-size:12px;font-weight:600;fill:#334155}.m{font-size:10.5px;fill:#64748b}"
    f".s{{font-size:{STATE_TEXT}px}}.f{{font-size:{FLAG_TEXT}px;font-weight:600}}.c{{font-size:{CAPTION_TEXT:g}px}}"
    ".caller{fill:#0f544d}.agent{fill:#1e3f8a}.g{stroke:#eef1f5}.b{stroke:#d5dbe3}.p{stroke-width:1;stroke-dasharray:3 3;opacity:.75}"
    ".w{stroke-width:1.5;opacity:.9}"
    ".h,.c{paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}"
    ".e{text-anchor:end}.h,.s,.f{text-anchor:middle}"
)


@attrs.frozen
class Paint:
    """A fill and the ink that can be read on it; hatched fills mean sound held back."""

    fill: str
    ink: str
    hatched: bool = False
    tone: str = "other"
    """What the colour says, for whoever has colours of their own."""


@attrs.frozen
class FlagPaint:
    """A flag's fill, ink, and the line of its border and pole; `strong` for what a reader looks for first."""

    fill: str
    ink: str
    line: str
    strong: bool = False


_BY_PAINT = {
    Paint(
        "#e9edf2", "#64748b", tone="rest"
    ): "none silent clear resting in_step nothing open quiet ready calibrated staying idle no_tool no_entry warm disarmed unlimited",
    Paint("#dbe1e9", "#475569", tone="over"): "over closed completed finished",
    Paint("#d5e5db", "#3a5f4b", tone="listen"): "listening",
    Paint("#7556c2", "#ffffff", tone="greet"): "greeting_lock",
    Paint("#dcd3f2", "#4f389b", tone="guard"): "guarded goodbye parting preparing",
    Paint("#3568d1", "#ffffff", tone="speak"): "ai_speaking playing",
    Paint("#b9cff5", "#1e3f8a", tone="make"): "in_progress requested onset synthesising running",
    Paint("#d9e4f8", "#1e3f8a", tone="near"): "admitted tail ahead wanted due owed",
    Paint("#14796f", "#ffffff", tone="caller"): "speaking",
    Paint("#b5dcd6", "#0f544d", tone="await"): "stopped connecting configuring calibrating awaited entering submitted armed",
    Paint("#cf4a12", "#ffffff", tone="cancel"): "cancelling cancel_in_flight server_cancelling confirmed",
    Paint("#f7d3c0", "#8a3410", tone="cut"): "cancelled withdrawn incomplete position_awaited leaving locked lost",
    Paint("#f9dd9b", "#7a4b00", tone="doubt"): "echoed starved paused blocked voiceless slow cooling aged warned",
    Paint("#f9dd9b", "#7a4b00", hatched=True, tone="hold"): "suspected words_awaited held",
    Paint("#b3202c", "#ffffff", tone="fault"): "failed cancel_unsent",
    Paint("#3b4656", "#ffffff", tone="close"): "closing",
}
_STATES = {state: paint for paint, states in _BY_PAINT.items() for state in states.split()}
_OTHERS = (
    Paint("#d9d2f0", "#483290"),
    Paint("#c9e3ee", "#1f5468"),
    Paint("#efdcc6", "#6b4518"),
    Paint("#dfe5c3", "#4c5619"),
    Paint("#efd0de", "#7d2450"),
    Paint("#cfe0e4", "#2b4f57"),
)
_KINDS = {
    "barge-in": FlagPaint("#cf4a12", "#ffffff", "#cf4a12", strong=True),
    "error": FlagPaint("#b3202c", "#ffffff", "#b3202c", strong=True),
    "hang-up": FlagPaint("#3b4656", "#ffffff", "#3b4656", strong=True),
    "cancel": FlagPaint("#fef1ea", "#8a3410", "#e3a284"),
    "synthesis cancel": FlagPaint("#f4f0fd", "#4f389b", "#b4a3e2"),
    "truncate": FlagPaint("#eef3fd", "#1e3f8a", "#9db6e8"),
    "false alarm": FlagPaint("#fdf3d9", "#7a4b00", "#e0b657"),
}
_OTHER_KIND = FlagPaint("#f3f5f8", "#3b4656", "#aab4c2")


def paint_of(state: str) -> Paint:
    """The colour of a region's state, by its name; a name not known here always gets the same one of six pale colours."""
    return _STATES.get(state) or _OTHERS[crc32(state.encode("utf-8", "replace")) % len(_OTHERS)]


def tone_of(state: str) -> str:
    """What that colour says, in a word: `speak`, `caller`, `cancel`, `hold`, …; `other` for a name not known here."""
    return paint_of(state).tone


def flag_of(kind: str) -> FlagPaint:
    """The colours of a marker's flag, by its kind; slate for a kind not known here."""
    return _KINDS.get(kind, _OTHER_KIND)
