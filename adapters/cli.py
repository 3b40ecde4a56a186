"""The command line: `callfsm COMMAND …`; it parses, hands over, and turns every expected fault into one line and exit code 2."""

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import attrs

from fsm.call.policy import Policy

KEY_VARIABLE = "CALLFSM_REALTIME_KEY"
"""The environment variable with the realtime server's key, else OPENAI_API_KEY is read; never an argument, as those are public."""
STAND_IN_KEY_VARIABLE = "CALLFSM_STAND_IN_KEY"
"""The environment variable with the key that the stand-in realtime server demands; unset, it demands none."""


class Refused(Exception):
    """Something that the user can mend; its text is the one line that they see."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 a check failed, 2 bad input, 130 interrupted."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except Refused as error:
        print(f"callfsm: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


class _Parser(argparse.ArgumentParser):
    """A parser that refuses in one line too."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the arguments, and where to read more."""
        self.exit(2, f"callfsm: {message}; see `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="callfsm", description="An explicit, checked state machine for a voice agent's call.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_call(commands)
    _add_stand_in(commands)
    _add_replay(commands)
    _add_case(commands)
    _add_rules(commands)
    _add_diagrams(commands)
    _add_verify(commands)
    return parser


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str, example: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, epilog=f"example: {example}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(run=run)
    return parser


# callfsm call


def _add_call(commands: Any) -> None:
    text = "hold a call; without options between a caller who speaks and stand-in servers, all on this machine"
    parser = _command(
        commands, "call", _call, text, "callfsm call --voice realtime --realtime wss://api.openai.com/v1/realtime --caller me.wav"
    )
    parser.add_argument("--out", type=Path, help="the folder for call.wav, call.trace, call.svg and summary.txt (default: calls/DATE-TIME)")
    parser.add_argument(
        "--caller", type=Path, metavar="WAV", help="what the caller says (default: a caller who greets, asks and interrupts)"
    )
    parser.add_argument(
        "--realtime",
        metavar="URL",
        help=f"a realtime LLM (ws:// or wss://), its key in {KEY_VARIABLE} or OPENAI_API_KEY (default: the stand-in)",
    )
    parser.add_argument("--chatterbox", metavar="URL", help="a Chatterbox server (http:// or https://; default: the stand-in)")
    parser.add_argument("--voice", choices=("chatterbox", "realtime"), default="chatterbox", help="who speaks (default: chatterbox)")
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
    parser.add_argument("--backend", choices=("asyncio", "trio"), default="asyncio", help="the event loop (default: asyncio)")
    parser.add_argument("--device", help="a sound device (not yet: calls run on WAV files so far)")


def _call(options: argparse.Namespace) -> int:
    import anyio
    from rich.console import Console

    from adapters import live
    from adapters.realtime_settings import RealtimeSettings

    if "help" in options.set:
        return _list_policy()
    if options.device:
        raise Refused(
            "--device: microphones and loudspeakers are not supported yet; give the caller as --caller WAV and listen to call.wav"
        )
    policy = _policy(options)
    chosen = {"model": options.model, "instructions": options.instructions, "greeting": options.greeting}
    try:
        settings = RealtimeSettings(**{name: value for name, value in chosen.items() if value is not None})
    except ValueError as error:
        raise Refused(f"{error}; correct the option of that name") from None
    key = os.environ.get(KEY_VARIABLE) or os.environ.get("OPENAI_API_KEY") if options.realtime else None
    if options.realtime and options.realtime.lower().startswith("wss://") and not key:
        raise Refused(f"no key: set {KEY_VARIABLE} (or OPENAI_API_KEY) in the environment for {options.realtime}")
    plan = live.Plan(
        policy=policy,
        settings=settings,
        out=options.out or Path("calls") / time.strftime("%Y%m%d-%H%M%S"),
        realtime_url=options.realtime,
        key=key,
        chatterbox_url=options.chatterbox,
        caller=options.caller,
    )
    console, began_s = Console(), time.time()
    try:
        return anyio.run(_hold_until_told, plan, console, backend=options.backend)
    finally:
        _show_folder(console, plan.out, began_s)


async def _hold_until_told(plan: Any, console: Any) -> int:
    """Hold the call; Ctrl-C and SIGTERM hang up. Gives the exit code."""
    import anyio

    from adapters import live

    told: list[int] = []
    refusal = ""
    async with anyio.create_task_group() as group:
        await group.start(_listen_for_signals, group.cancel_scope, told)
        try:
            await live.hold_call(plan, console)
        except live.CannotStart as error:
            refusal = str(error)
        group.cancel_scope.cancel()
    if refusal:
        raise Refused(refusal)
    return 128 + told[0] if told else 0


async def _listen_for_signals(scope: Any, told: list[int], *, task_status: Any) -> None:
    """Cancel at the first signal; a second one meets Python's own handler, and ends everything at once."""
    import anyio

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            told.append(number)
            scope.cancel()
            return


def _policy(options: argparse.Namespace) -> Policy:
    """The policy of the options; `--set` wins."""
    try:
        return Policy(**{"voice": options.voice, "interrupts": options.interrupts, **_settings(options)})
    except ValueError as error:
        raise Refused(f"{error}; correct the option or the --set of that name") from None


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """The fields of the policy that `--set` gives, by name."""
    values: dict[str, Any] = {}
    kinds = {field.name: type(field.default) for field in attrs.fields(Policy)}
    for setting in options.set:
        name, _, text = setting.partition("=")
        if name not in kinds or not text:
            raise Refused(f"--set {setting}: give NAME=VALUE with a field of the policy; `callfsm call --set help` lists them")
        values[name] = _parsed(text, kinds[name])
    return values


def _parsed(text: str, kind: type) -> object:
    """The value of a setting; what cannot be read is left to the policy's own validator to refuse."""
    if kind is bool:
        return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), text)
    if kind is str:
        return text
    try:
        return int(text) if kind is int and text.lstrip("-").isdigit() else float(text)
    except ValueError:
        return text


def _list_policy() -> int:
    for field in attrs.fields(Policy):
        print(f"{field.name}={field.default}")
    return 0


def _show_folder(console: Any, out: Path, began_s: float) -> None:
    """Show what the call left, unless that is an older one's."""
    summary = out / "summary.txt"
    if summary.exists() and summary.stat().st_mtime >= began_s:
        console.print()
        console.print(summary.read_text(encoding="utf-8"), highlight=False, markup=False, soft_wrap=True)
        console.print(f"{out}: " + ", ".join(sorted(file.name for file in out.iterdir())), highlight=False, soft_wrap=True)


# callfsm stand-in


def _add_stand_in(commands: Any) -> None:
    parser = _command(
        commands,
        "stand-in",
        _stand_in,
        "run a stand-in server on loopback: a realtime LLM or a Chatterbox",
        "callfsm stand-in chatterbox --port 4123",
    )
    parser.add_argument("server", choices=("realtime", "chatterbox"))
    parser.add_argument("--port", type=int, default=0, help="the port on 127.0.0.1 (default: a free one, which is announced)")
    parser.add_argument("--log", type=Path, help="a file for one JSON line for each thing received")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input closes, as it does when the parent ends")
    parser.add_argument("--words-per-s", type=float, default=25.0, help="realtime: how fast a text answer is written (default: 25)")
    parser.add_argument(
        "--synthesis-ms", default="0:0", metavar="LOW:HIGH", help="chatterbox: how long a synthesis takes at least (default: 0:0)"
    )


def _stand_in(options: argparse.Namespace) -> int:
    if not 0 <= options.port <= 65_535:
        raise Refused(f"--port {options.port}: a port is a number from 0 to 65535")
    if options.with_parent:
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        if options.server == "realtime":
            from adapters.standin.realtime_connection import Pace
            from adapters.standin.realtime_server import run_realtime

            if not 0.1 <= options.words_per_s <= 1_000:
                raise Refused(f"--words-per-s {options.words_per_s:g}: it takes a number from 0.1 to 1000")
            pace = Pace(words_per_s=options.words_per_s)
            run_realtime(options.port, log=options.log, key=os.environ.get(STAND_IN_KEY_VARIABLE), pace=pace)
        else:
            from adapters.standin.chatterbox_server import run_chatterbox

            low, _, high = options.synthesis_ms.partition(":")
            if not (low.isdigit() and high.isdigit()):
                raise Refused(f"--synthesis-ms {options.synthesis_ms}: give two whole numbers, LOW:HIGH")
            run_chatterbox(options.port, synthesis_ms=(int(low), int(high)), log=options.log)
    except OSError as error:
        if error.filename:
            raise Refused(f"--log {error.filename}: {error.strerror}; give a file that can be written") from None
        raise Refused(
            f"the stand-in can't listen on port {options.port}: {error.strerror or error}; give another --port, or 0 for a free one"
        ) from None
    except ValueError as error:
        raise Refused(str(error)) from None
    return 0


def _end_with_parent() -> None:
    """Stop when whoever started us is gone, however it ended: its end of our standard input closes."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


# callfsm replay


def _add_replay(commands: Any) -> None:
    parser = _command(
        commands, "replay", _replay, "run a recorded call again and compare every step", "callfsm replay calls/20260101-120000/call.trace"
    )
    parser.add_argument("trace", type=Path)


def _replay(options: argparse.Namespace) -> int:
    from adapters.trace import TraceError, read_trace

    try:
        trace = read_trace(options.trace)
        difference = trace.first_difference()
    except TraceError as error:
        raise Refused(str(error)) from None
    if difference:
        print(f"{options.trace}: {difference}")
        return 1
    print(f"{options.trace}: {len(trace.lines)} steps, every row and effect as recorded")
    return 0


# callfsm case


def _add_case(commands: Any) -> None:
    parser = _command(commands, "case", _case, "run field logs through the core and judge their checks", "callfsm case cases/*.jsonl")
    parser.add_argument("file", type=Path, nargs="+", help="a case: a header line with its checks, then a JSON row a line")


def _case(options: argparse.Namespace) -> int:
    from adapters import cases

    failed = 0
    for file in options.file:
        try:
            case = cases.read_case(file)
            verdicts, history = cases.judge(case)
        except cases.CaseError as error:
            raise Refused(str(error)) from None
        print(case.name)
        for verdict in verdicts:
            word = {True: "pass", False: "FAIL", None: "    "}[verdict.holds]
            print(f"  {word}  {verdict.check}" + ("" if verdict.holds is None else f"   [{verdict.seen}]"))
            if verdict.holds is False:
                failed += 1
                for line in cases.steps_before(history, verdict.until_ms):
                    print(f"          {line}")
    print(f"{len(options.file)} cases, {failed} checks failed")
    return 1 if failed else 0


# callfsm rules


def _add_rules(commands: Any) -> None:
    parser = _command(
        commands, "rules", _rules, "list the rules, the rows that keep each and the tests that claim it", "callfsm rules R01 R30"
    )
    parser.add_argument("rule", nargs="*", help="only these, with all their rows and tests")


def _rules(options: argparse.Namespace) -> int:
    from adapters.rules import kept

    rules = kept()
    if unknown := set(options.rule) - {rule.name for rule in rules}:
        raise Refused(f"no such rule: {', '.join(sorted(unknown))}; they are {rules[0].name} to {rules[-1].name}")
    for rule in rules:
        if not options.rule:
            print(f"{rule.name}  {rule.title}  ({len(rule.rows)} rows, {len(rule.tests)} tests)")
        elif rule.name in options.rule:
            print(
                f"{rule.name}  {rule.title}",
                *(f"  row   {row.name}" for row in rule.rows),
                *(f"  test  {test}" for test in rule.tests),
                sep="\n",
            )
    if not options.rule:
        print(f"{sum(1 for rule in rules if rule.tests)} of {len(rules)} are claimed by a test")
    return 0


# callfsm diagrams


def _add_diagrams(commands: Any) -> None:
    parser = _command(
        commands, "diagrams", _diagrams, "draw the tables: diagrams, the full transition table, a barge-in", "callfsm diagrams diagrams"
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path("diagrams"))


def _diagrams(options: argparse.Namespace) -> int:
    from adapters.diagrams import write

    try:
        paths = write(options.folder)
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}; give a folder that can be written") from None
    for path in paths:
        print(path)
    return 0


# callfsm verify


def _add_verify(commands: Any) -> None:
    text = "explore every reachable state of the tables and judge every rule in each"
    parser = _command(commands, "verify", _verify, text, "callfsm verify --set voice=chatterbox --scope talk")
    parser.add_argument("--deep", action="store_true", help="larger bounds, every policy, and all events at once: hours, and several GB")
    parser.add_argument("--scope", metavar="NAME", help="one scope only, e.g. talk, opening, silence")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a field of every policy, e.g. interrupts=server")
    parser.add_argument(
        "--out", type=Path, default=Path("violations"), help="the folder for the traces of broken rules (default: violations)"
    )


def _verify(options: argparse.Namespace) -> int:
    from rich.console import Console

    from adapters import verify_show
    from adapters.verify_scopes import TAKEN_OUT, left_out, plans

    try:
        chosen = [plan for plan in plans(options.deep, **_settings(options)) if options.scope in (None, plan.scope.name)]
    except ValueError as error:
        raise Refused(f"{error}; correct the --set of that name") from None
    if not chosen:
        raise Refused(f"--scope {options.scope}: there is {', '.join(dict.fromkeys(plan.scope.name for plan in plans(options.deep)))}")
    console = Console(highlight=False)
    for line in dict.fromkeys([TAKEN_OUT, *(left_out(plan.scope) for plan in chosen)]):
        console.print(line, markup=False, soft_wrap=True)
    checked = verify_show.check_all(chosen, console)
    whole = options.scope is None and not options.set
    dead = verify_show.dead_in_words(checked) if whole else []
    for line in (*verify_show.report_all(checked, options.out), *dead):
        console.print(line, markup=False, soft_wrap=True)
    return 1 if dead or any(one.violations for one in checked) else 0


if __name__ == "__main__":
    sys.exit(main())
