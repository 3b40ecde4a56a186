"""`callfsm dial`: place a telephone call as Twilio would, at a webhook or a WebSocket on this machine."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapters.commands import output
from adapters.commands.common import Refused, add_without, command, refuse_used
from adapters.commands.extras import need

if TYPE_CHECKING:
    from adapters.hosts.ending import Ending

TOKEN_VARIABLE = "TWILIO_AUTH_TOKEN"
"""The environment variable with the auth token that signs what is posted; never an argument, as those are public."""
ACCOUNT_VARIABLE = "TWILIO_ACCOUNT_SID"


def add(commands: Any) -> None:
    """Declare the command."""
    text = "call a telephone server as Twilio would, with a caller on a WAV file or the demonstration's"
    parser = command(commands, "dial", _dial, text, f"{TOKEN_VARIABLE}=… callfsm dial http://127.0.0.1:8080/voice --caller me.wav")
    parser.add_argument("url", nargs="?", default="", help="the webhook (http://, https://), or the media stream itself (ws://, wss://)")
    parser.add_argument("--caller", type=Path, metavar="WAV", help="what the caller says (default: one who greets, asks and interrupts)")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="a folder for dial.wav (left: caller, right: agent) and dial.txt")
    parser.add_argument("--voice", choices=("chatterbox", "realtime"), default="realtime", help="who answers the demonstration's caller")
    parser.add_argument("--jitter-ms", type=float, default=0.0, metavar="N", help="hold each message up by anything up to this")
    parser.add_argument("--loss", type=float, default=0.0, metavar="PERCENT", help="lose this share of the frames, both ways")
    parser.add_argument("--dtmf", default="", metavar="KEYS@S", help="press keys so many seconds into the call, e.g. 1234#@5.0")
    parser.add_argument("--hang-up-after", type=float, metavar="S", help="hang up then (default: 30 s after the caller's last word)")
    add_without(parser, "carrier")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same jitter and loss (default: 1)")
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="a custom parameter of a ws:// stream")
    parser.add_argument("--called", metavar="NUMBER", help="the number that is called (default: +15005550001)")
    parser.add_argument("--status-callback", default="", metavar="URL", help="where the end of the call is posted")
    parser.add_argument("--rest-port", type=int, metavar="PORT", help="offer Twilio's REST API there, to end the call by; 0: any")


def _dial(options: argparse.Namespace) -> int:
    need("callfsm dial", "stand-in")
    import anyio

    from adapters.hosts.ending import Ending
    from adapters.seam.files import private_folder
    from adapters.standin import dialling
    from adapters.standin.twilio import http
    from adapters.standin.twilio.call import CallFailed
    from adapters.standin.twilio.lacks import LACKS

    if "help" in options.without:
        print("\n".join(f"{name}: {says}" for name, says in LACKS.items()))
        return 0
    if not options.url:
        raise Refused("no URL: give one that begins with http:// (a webhook) or ws:// (a media stream)")
    _refuse_odd("URL", options.url, *http.WEB, *http.STREAM)
    if options.parameter and options.url.lower().startswith("http"):
        raise Refused(f"--parameter {options.parameter[0]}: it is for a ws:// stream; a webhook's answer has its own")
    if options.status_callback:
        _refuse_odd("--status-callback", options.status_callback, *http.WEB)
    if options.out:
        refuse_used("--out", options.out, dialling.SOUND, dialling.SUMMARY)
    token = os.environ.get(TOKEN_VARIABLE)
    plan = dialling.Dialling(
        url=options.url,
        caller=options.caller,
        voice=options.voice,
        conditions=_conditions(options),
        parameters=_parameters(options.parameter),
        token=token,
        account=os.environ.get(ACCOUNT_VARIABLE),
        called=options.called,
        status_callback=options.status_callback,
        rest_port=options.rest_port,
        out=options.out,
    )
    console = output.console()
    if not token:
        console.print(f"{TOKEN_VARIABLE} is not set: nothing is signed, so a server that checks will refuse the call")
    try:
        if options.out:
            private_folder(options.out)
        with Ending() as end:
            code: int = anyio.run(_place, plan, console, end)
            end.must_end(code)
            return code
    except ValueError as error:
        raise Refused(f"--caller {error}") from None
    except CallFailed as error:
        raise Refused(f"URL {error}") from None
    except OSError as error:
        where = f"--out {options.out}" if error.filename else f"--rest-port {options.rest_port}"
        raise Refused(f"{where}: {error.strerror or error}; give another") from None


def _refuse_odd(option: str, url: str, *schemes: str) -> None:
    """Raise Refused for what is no URL of such a scheme."""
    from adapters.standin.twilio import http

    try:
        http.checked(url, *schemes)
    except http.Refused as error:
        raise Refused(f"{option} {error}") from None


async def _place(plan: Any, console: Any, end: "Ending") -> int:
    """Place the call; Ctrl-C, SIGTERM and SIGHUP hang up. Gives the exit code."""
    from adapters.standin import dialling

    told: list[int] = []

    async def first_signal() -> None:
        told.append(await end.told())

    with end.listening():
        held = await dialling.dial(plan, console, first_signal)
    return 0 if held else 128 + told[0] if told else 1


def _conditions(options: argparse.Namespace) -> Any:
    """The network and the caller's hands. Raises Refused."""
    from adapters.standin.twilio.lacks import LACKS
    from adapters.standin.twilio.stream import Conditions

    keys, _, at_s = options.dtmf.partition("@")
    if not 0 <= options.jitter_ms <= 1_000:
        raise Refused(f"--jitter-ms {options.jitter_ms:g}: it takes a number from 0 to 1000")
    if not 0 <= options.loss <= 100:
        raise Refused(f"--loss {options.loss:g}: it takes a number from 0 to 100")
    if options.hang_up_after is not None and not 0 < options.hang_up_after <= 86_400:
        raise Refused(f"--hang-up-after {options.hang_up_after:g}: it takes a number of seconds, up to a day")
    if options.rest_port is not None and not 0 <= options.rest_port <= 65_535:
        raise Refused(f"--rest-port {options.rest_port}: a port is a number from 0 to 65535")
    if unknown := [name for name in options.without if name not in LACKS]:
        raise Refused(f"--without {unknown[0]}: it takes one of {', '.join(LACKS)}")
    if options.dtmf and (not keys or set(keys) - set("0123456789*#ABCD") or not _seconds(at_s)):
        raise Refused(f"--dtmf {options.dtmf}: give KEYS@SECONDS with keys of 0123456789*#ABCD, e.g. 1234#@5.0")
    return Conditions(
        jitter_ms=options.jitter_ms,
        loss=options.loss / 100,
        digits=keys,
        digits_at_s=float(at_s or 0),
        hang_up_after_s=options.hang_up_after,
        without=frozenset(options.without),
        seed=options.seed,
    )


def _seconds(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal() and text.isascii()


def _parameters(given: list[str]) -> dict[str, str]:
    """The custom parameters. Raises Refused."""
    found = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise Refused(f"--parameter {one}: give NAME=VALUE")
        found[name] = value
    return found
