"""The page as one file that needs nothing else: markup, style, scripts and the call in it; no build step, and nothing is fetched."""

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

ASSETS = Path(__file__).parent / "assets"
MODULES = ("model.js", "sound.js", "timeline.js", "panels.js", "diagram.js", "page.js")
"""In the order in which they build on one another."""
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./[a-z]+\.js";\n', re.MULTILINE)
_PLACES = re.compile(r"(<!--[a-z]+-->|/\*[a-z]+\*/)")
_EXPORT = re.compile(r"^export ", re.MULTILINE)


@cache
def script(*last: str) -> str:
    """The modules, and `last` behind them, as one module: names are unique among them, so what they import of one another is there."""
    texts = [(ASSETS / name).read_text(encoding="utf-8") for name in (*MODULES, *last)]
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", text)) for text in texts)


def page(document: dict[str, Any]) -> str:
    """The page of a recorded call; it may run its own script and nothing else, whatever words are in the call."""
    return _filled(script("recorded.js"), "default-src 'none'", _data("document", document))


def live_page(host: str, offers: dict[str, Any]) -> str:
    """The page of a call that goes on, as a server at `host` gives it: it may talk to that server, and to nobody else.

    `offers` says what the server does for it.
    """
    code = script("future.js", "talk.js", "fleet.js", "live.js")
    return _filled(code, f"default-src 'none'; connect-src 'self' ws://{host}", _data("offers", offers), own="'self' ")


def _data(name: str, value: dict[str, Any]) -> str:
    # What ends a script element must not stand in one.
    words = json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{words}</script>'


def worklet() -> str:
    """What runs in the sound thread of a page that talks."""
    return (ASSETS / "line.js").read_text(encoding="utf-8")


def _filled(code: str, policy: str, document: str = "", own: str = "") -> str:
    style = (ASSETS / "page.css").read_text(encoding="utf-8")
    # Firefox asks for an icon, and complains of one that the policy forbids.
    policy += f"; img-src data:; script-src {own}'sha256-{_hash(code)}'; style-src 'sha256-{_hash(style)}'"
    policy += "; base-uri 'none'; form-action 'none'"
    filling = {
        "<!--policy-->": f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        "/*style*/": style,
        "<!--document-->": document,
        "/*script*/": code,
    }
    parts = _PLACES.split((ASSETS / "page.html").read_text(encoding="utf-8"))
    return "".join(filling.get(part, part) for part in parts)


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
