"""Who answers: the options with which `call` and `serve` name the model, its voice and its tools, and what they come to."""

import argparse
import ast
import inspect
import os
import signal
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

from adapters.commands.common import Refused, settings
from fsm.call.policy import Between, OneOf, Policy

if TYPE_CHECKING:
    from adapters.chatterbox.servers import Server
    from adapters.chatterbox.voice import Voice
    from adapters.hosts.phone.agent import LineSound, ServedAgent
    from adapters.realtime.settings import RealtimeSettings
    from adapters.tools import Tools

KEY_VARIABLE = "CALLFSM_REALTIME_KEY"
"""The environment variable with the realtime server's key, else OPENAI_API_KEY is read; never an argument, as those are public."""

SPEECH_KEY_VARIABLE = "CALLFSM_CHATTERBOX_KEY"
"""The environment variable with the Chatterbox server's key, where it demands one."""


@attrs.frozen(kw_only=True)
class Chosen:
    """What the options come to; a server of None is the stand-in, and `key` is shown nowhere."""

    policy: Policy
    chained: Policy | None
    """The policy for a server that turns out to be a chained one; None where its kind was named."""
    settings: "RealtimeSettings"
    realtime_url: str | None
    key: str | None = attrs.field(repr=False)
    voice: "Voice"
    tools: "Tools | None"

    def served(self, line_sound: "LineSound") -> "ServedAgent":
        """It as the agent of each call of a host; without a realtime server, of the stand-in's."""
        from adapters.hosts.phone.agent import ServedAgent

        given = {field.name: getattr(self, field.name) for field in attrs.fields(Chosen)}
        return ServedAgent(**{**given, "realtime_url": self.realtime_url or "", "line_sound": line_sound})


def add_agent(parser: argparse.ArgumentParser, *, voice: str) -> None:
    """Declare the options; `voice` is the default of --voice."""
    parser.add_argument(
        "--realtime",
        metavar="URL",
        help=f"a realtime LLM (ws:// or wss://), its key in {KEY_VARIABLE} or OPENAI_API_KEY (default: the stand-in)",
    )
    parser.add_argument("--voice", choices=("chatterbox", "realtime"), default=voice, help=f"who speaks (default: {voice})")
    parser.add_argument(
        "--interrupts", choices=("client", "server"), default="client", help="who cancels an interrupted response (default: client)"
    )
    parser.add_argument("--model", help="the realtime model's name")
    parser.add_argument("--instructions", metavar="TEXT", help="the model's instructions")
    parser.add_argument("--greeting", metavar="TEXT", help="the instructions for the greeting")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a field of the policy, e.g. interruption_min_ms=300; `--set help` lists them",
    )
    parser.add_argument("--tools", type=Path, metavar="FILE", help="a Python file with a `Tools()` whose functions the model may call")
    _add_wire(parser)
    _add_speech(parser)


def with_stand_ins(options: argparse.Namespace) -> bool:
    """Do the options leave a server to a stand-in?"""
    return options.realtime is None or (voice_of(options) == "chatterbox" and options.chatterbox is None)


def voice_of(options: argparse.Namespace) -> str:
    """Who speaks: `--set voice=…` wins, as for every field. Raises Refused."""
    return str(settings(options.set).get("voice", options.voice))


def list_policy() -> int:
    """Print every field of the policy: its name and default, what it takes, and what it means; gives the exit code."""
    meanings = _meanings()
    for field in attrs.fields(Policy):
        default = str(field.default).lower() if isinstance(field.default, bool) else field.default
        print(f"{field.name}={default}   {_takes(field)}\n    {meanings[field.name]}")
    return 0


def _takes(field: "attrs.Attribute[Any]") -> str:
    """What a field takes: its choices, or its range and unit."""
    validator = field.validator
    if isinstance(validator, OneOf):
        return " | ".join(validator.choices)
    if isinstance(validator, Between):
        unit = " ms" if field.name.endswith("_ms") else ""
        return f"{'whole, ' if validator.whole else ''}{validator.low:,.10g} to {validator.high:,.10g}{unit}"
    return "true | false" if isinstance(field.default, bool) else "text"


def _meanings() -> dict[str, str]:
    """The docstring of each field, on one line."""
    [record] = ast.parse(dedent(inspect.getsource(Policy))).body
    assert isinstance(record, ast.ClassDef)
    found = {}
    for field, said in pairwise(record.body):
        if isinstance(field, ast.AnnAssign) and isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant):
            found[ast.unparse(field.target)] = " ".join(str(said.value.value).split())
    return found


def chosen(options: argparse.Namespace, **ours: object) -> Chosen:
    """What the options come to; `ours` are fields of the policy that other options decide, and `--set` wins. Raises Refused."""
    if options.realtime is not None:
        _refuse_odd(options.realtime)
    from adapters.realtime.profiles import PROFILES
    from adapters.realtime.settings import NO_TRANSCRIPTION, RealtimeSettings

    profile = PROFILES[options.server or "openai"]
    given = {"voice": options.voice, "interrupts": options.interrupts, **ours, **settings(options.set)}
    try:
        policy = Policy(**{**profile.policy, **given})
        chained = None if options.server else _chained(given)
    except ValueError as error:
        raise Refused(f"{error}; correct the option or the --set of that name") from None
    tools = _tools(options.tools, policy)
    wanted: dict[str, Any] = {
        **profile.settings,
        **_session_file(options.realtime_session),
        "wire": options.realtime_wire,
        "voice": options.realtime_voice,
        "transcription": options.transcription,
        "append_ms": options.append_ms,
        "model": options.model,
        "instructions": options.instructions,
        "greeting": options.greeting,
        "tools": tools and tools.declarations,
    }
    try:
        model = RealtimeSettings(**{name: value for name, value in wanted.items() if value is not None})
    except ValueError as error:
        field, says, words = str(error).partition(" is ")
        option = {"wire": "--realtime-wire", "voice": "--realtime-voice"}.get(field, f"--{field.replace('_', '-')}")
        raise Refused(f"{option}{says}{words}") from None
    if policy.interruption_words_ms and model.transcription == NO_TRANSCRIPTION:
        raise Refused("--transcription none: --set interruption_words_ms waits for the caller's words; leave one of the two out")
    key, voice = _key(options.realtime), _voice(options)
    _refuse_unheard(options, policy.voice)
    return Chosen(policy=policy, chained=chained, settings=model, realtime_url=options.realtime, key=key, voice=voice, tools=tools)


def _refuse_unheard(options: argparse.Namespace, voice: str) -> None:
    """Raise Refused for an option of a voice that nobody would hear."""
    given = {name: getattr(options, f"chatterbox_{name}") for name in ("dialect", "voice", "model", "fallback", "apology")}
    of_speech = [f"--chatterbox-{name}" for name, value in given.items() if value not in ("auto", "", None)]
    if voice == "realtime" and (options.chatterbox or of_speech):
        first = "--chatterbox" if options.chatterbox else of_speech[0]
        raise Refused(f"{first}: with --voice realtime the model speaks itself; give --voice chatterbox, or leave the option out")
    if voice == "chatterbox" and options.realtime_voice:
        raise Refused(f"--realtime-voice {options.realtime_voice}: a Chatterbox voice speaks; give --voice realtime, or --chatterbox-voice")
    if not (options.chatterbox or options.chatterbox_fallback) and {*of_speech} - {"--chatterbox-apology"}:
        raise Refused(f"{of_speech[0]}: the stand-in speaks, which has nothing to choose; give --chatterbox URL")


def _refuse_odd(url: str) -> None:
    """Raise Refused for what is no URL of a WebSocket."""
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme in ("ws", "wss")
            and parts.hostname
            and parts.port != 0
            and not parts.fragment
            and url.isprintable()
            and " " not in url
        )
    except ValueError:
        good = False
    if not good:
        raise Refused(f"--realtime {url}: give a URL that begins with wss:// or ws://, like ws://127.0.0.1:8000/path")


def _chained(given: Mapping[str, Any]) -> Policy | None:
    """The policy for a chained server; None where it contradicts what is given, which wins."""
    from adapters.realtime.profiles import PROFILES

    try:
        return Policy(**{**PROFILES["chained"].policy, **given})
    except ValueError:
        return None


def _add_wire(parser: argparse.ArgumentParser) -> None:
    """The options for what kind of server the realtime LLM's is."""
    parser.add_argument(
        "--server", choices=("openai", "chained"), help="its kind, for the waits that fit it (default: as it shows, else openai)"
    )
    parser.add_argument(
        "--realtime-wire", choices=("auto", "ga", "beta", "xai"), default="auto", help="its dialect (default: auto, by its first message)"
    )
    parser.add_argument(
        "--realtime-session", type=Path, metavar="FILE", help="a JSON file with further fields of the session, in the server's own words"
    )
    parser.add_argument(
        "--append-ms", type=int, metavar="N", help="how much of the caller's sound goes into a message, for a slow server (default: 20)"
    )
    parser.add_argument("--realtime-voice", metavar="NAME", help="the model's voice (default: the server's; at OpenAI marin)")
    parser.add_argument(
        "--transcription",
        metavar="MODEL",
        help="what writes down the caller's words, or none (default: the server's; at OpenAI gpt-4o-mini-transcribe)",
    )


def _session_file(path: Path | None) -> dict[str, Any]:
    """The settings that a file with further fields of the session comes to. Raises Refused."""
    from adapters.realtime.session_file import read_session_file

    if path is None:
        return {}
    try:
        session, turn_detection = read_session_file(path)
    except ValueError as error:
        raise Refused(f"--realtime-session {path}: {error}") from None
    return {"session": session, "turn_detection": turn_detection}


def _add_speech(parser: argparse.ArgumentParser) -> None:
    """The options for the Chatterbox server."""
    parser.add_argument("--chatterbox", metavar="URL", help="a Chatterbox server (http:// or https://; default: the stand-in)")
    parser.add_argument(
        "--chatterbox-dialect",
        default="auto",
        choices=("auto", "seed", "travisvn", "devnen", "openai"),
        help="which kind of server it is (default: auto, found out by asking)",
    )
    parser.add_argument("--chatterbox-voice", default="", metavar="NAME", help="the voice, as the server names it (default: the server's)")
    parser.add_argument("--chatterbox-model", default="", metavar="NAME", help="the model, where the server has several")
    parser.add_argument("--chatterbox-fallback", metavar="URL", help="a second Chatterbox server, which speaks while the first does not")
    parser.add_argument(
        "--chatterbox-apology",
        type=Path,
        metavar="WAV",
        help="what the caller hears, once, when no server speaks any more (default: nothing)",
    )


def _key(realtime_url: str | None) -> str | None:
    """The realtime server's key, None for the stand-in. Raises Refused when it surely needs one and there is none."""
    if realtime_url is None:
        return None
    key = os.environ.get(KEY_VARIABLE) or os.environ.get("OPENAI_API_KEY") or None
    if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
        name = KEY_VARIABLE if os.environ.get(KEY_VARIABLE) else "OPENAI_API_KEY"
        raise Refused(f"{name} holds what no key holds: a space, a line break or a foreign letter")
    if key is None and realtime_url.lower().startswith("wss://"):
        raise Refused(f"no key: set {KEY_VARIABLE} (or OPENAI_API_KEY) in the environment for {realtime_url}")
    return key


def _voice(options: argparse.Namespace) -> "Voice":
    from adapters.chatterbox.voice import Voice

    return Voice(
        speech=_speech(options, "--chatterbox", options.chatterbox),
        fallback=_speech(options, "--chatterbox-fallback", options.chatterbox_fallback),
        apology=_apology(options.chatterbox_apology),
    )


def _speech(options: argparse.Namespace, option: str, url: str | None) -> "Server | None":
    """The Chatterbox server at the URL of an option, None for none."""
    from adapters.chatterbox.servers import Server

    if url is None:
        return None
    how = {"dialect": options.chatterbox_dialect, "voice": options.chatterbox_voice, "model": options.chatterbox_model}
    try:
        return Server(url=url, key=os.environ.get(SPEECH_KEY_VARIABLE) or None, **how)
    except ValueError as error:
        raise Refused(f"{option} {url}: {error}") from None


def _apology(path: Path | None) -> bytes:
    """The sound of the recorded apology, empty for none."""
    from adapters.chatterbox.apology import read_apology

    try:
        return read_apology(path) if path else b""
    except ValueError as error:
        raise Refused(f"--chatterbox-apology {error}") from None


def _tools(path: Path | None, policy: Policy) -> "Tools | None":
    """The tools of a file, None for none."""
    from adapters.seam.errors import described
    from adapters.tools import load

    if path is None:
        return None
    pressed: list[int] = []

    def press(number: int, _: object) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    if listens := signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, press)
    try:
        return load(path, policy.tool_ms / 1000)
    except (ValueError, OSError) as error:
        raise Refused(f"--tools {path}: {error}") from None
    except KeyboardInterrupt as error:
        if pressed:
            raise
        raise Refused(f"--tools {path}: {described(error)}") from None
    finally:
        if listens:
            signal.signal(signal.SIGINT, signal.default_int_handler)
