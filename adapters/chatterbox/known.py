"""What a speech server is: found out by what it tells of itself, and remembered as long as the process lives, not asked for each call."""

import json
from collections.abc import Awaitable, Callable

import attrs

from adapters.chatterbox.http import Answer, Blame, Fault
from adapters.chatterbox.servers import DIALECTS, Dialect, Server, dialect_in, object_in, root_of, voices_in
from adapters.seam.bounded import Bounded

Ask = Callable[[str, str], Awaitable[Answer]]
"""Asks a server: a method and a path; raises Fault."""


@attrs.frozen
class Known:
    """What is known of a server: what it speaks, and its own voice where one must be named and none is wished for."""

    dialect: Dialect
    voice: str = ""
    sure: bool = True
    """Does the server show that it speaks this, or is it named? If not, it is a guess."""


_KNOWN: Bounded[tuple[str, str, bool], Known] = Bounded()


def recall(server: Server) -> Known | None:
    """What an earlier call found out."""
    return _KNOWN.get(_key(server))


def forget(server: Server) -> None:
    """It is another server by now."""
    _KNOWN.pop(_key(server), None)


async def find_out(server: Server, ask: Ask) -> Known:
    """Ask a server what it is; Fault when it does not answer."""
    named = DIALECTS.get(server.dialect)
    dialect, sure = (named, True) if named else await _dialect(server, ask)
    known = Known(dialect, await _default_voice(dialect, ask) if dialect.voices and not _is_voiced(server) else "", sure)
    if sure:
        _KNOWN[_key(server)] = known
    return known


def _key(server: Server) -> tuple[str, str, bool]:
    return str(root_of(server.url)), server.dialect, _is_voiced(server)


def _is_voiced(server: Server) -> bool:
    """Is it known without asking whose voice is wanted?"""
    return bool(server.voice) or "voice_mode" in server.fields


async def _dialect(server: Server, ask: Ask) -> tuple[Dialect, bool]:
    """By the description that it gives of itself, or else by the paths that take a POST; and whether that is more than a guess."""
    described = await ask("GET", "/openapi.json")
    if described.status >= 500:
        raise Fault(f"the server answered {described.status}", Blame.MOMENT)
    found = dialect_in(described.body) if described.status == 200 else None
    if found:
        return found, True
    for dialect in DIALECTS.values():
        if "POST" in (await ask("OPTIONS", dialect.path)).allows:
            return dialect, True
    return DIALECTS["openai" if server.key else "seed"], False


async def _default_voice(dialect: Dialect, ask: Ask) -> str:
    """The voice that a server has by default, or else its first one; empty when it has none."""
    told = object_in((await ask("GET", dialect.defaults)).body)
    voices, default = told.get("predefined_voices"), _at(told, "config", "tts_engine", "default_voice_id")
    names = voices_in(json.dumps(voices).encode() if isinstance(voices, list) else (await ask("GET", dialect.voices)).body)
    return default if isinstance(default, str) and (default in names or not names) else (names or [""])[0]


def _at(told: object, *path: str) -> object:
    for name in path:
        told = told.get(name) if isinstance(told, dict) else None
    return told
