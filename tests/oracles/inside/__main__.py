"""`python -m tests.oracles.inside [NAME…]`: each framework through every fault, twice, and a table of what was heard and answered."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs

from tests.matrix import Servers, servers
from tests.matrix_faults import DELTA, DELTAS, FAULTS, OWNERS, REALTIME_FAULTS, Cell
from tests.oracles.catalog import FOLDER, Oracle, oracles
from tests.oracles.environment import NoEnvironment, python_of, version_of

ROOT = Path(__file__).parents[3]
RUN_S = 900.0
LATE_MS = 20.0
"""A verdict that falls short while the machine was later than a frame is no evidence, of either: the call is held again, with fewer at
once, and the better one counts."""
RETRIES = (3, 1, 1)
"""How many calls are held at once, when they are held again."""
MOST_OLD_MS, MOST_CONTEXT_MS = 20, 40
RACES = ("response_cancel_not_active", "conversation_already_has_active_response")
"""What two sides say at once meet as, with the original as well."""
SCRIPTED = {"refuse_session": ("invalid_value",)}
"""Errors that a fault's own script has the server send, where the core has an event of its own for them."""
PLAIN_CALLS = 5
Json = dict[str, Any]


def cells(words: list[str]) -> list[Json]:
    """Every fault with each owner of interruption that can meet it, as it comes and with callfsm inside."""
    found = []
    for fault in REALTIME_FAULTS:
        if "realtime" not in fault.voices or (words and not any(word in fault.name for word in words)):
            continue
        for owner in OWNERS:
            if owner in fault.owners:
                policy = attrs.asdict(Cell(fault.name, "realtime", owner, "asyncio").policy)
                found += [{"fault": fault.name, "owner": owner, "inside": inside, "policy": policy} for inside in (False, True)]
    return found


def hold(script: Path, python: Path, wanted: list[Json], world: Servers, at_once: int = 5) -> Iterator[Json]:
    """Hold these calls; gives their verdicts as they come."""
    lines, agent_first = [], "agent_first=True" in script.read_text(encoding="utf-8")
    for cell in wanted:
        fault = FAULTS[cell["fault"]]
        text = fault.script.replace(DELTA, DELTAS["realtime"])
        if agent_first:
            # The interruption is the first that the caller says.
            text = text.replace('speech_started"\n nth = 2', 'speech_started"\n nth = 1')
        url, log = world.begin("realtime", text, fault.without)
        lines.append(json.dumps({**cell, "url": url, "log": str(log), "speaks_again": fault.speaks_again}))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(script.parent), str(ROOT))), "AT_ONCE": str(at_once)}
    environment |= {"LOGURU_LEVEL": "CRITICAL"}
    with subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdin and process.stdout
        process.stdin.write("\n".join(lines) + "\n")
        process.stdin.close()
        for line in process.stdout:
            if line.startswith("{"):
                yield judged(json.loads(line))


def judged(verdict: Json) -> Json:
    """The verdict with what falls short of the aim, in words."""
    fault = FAULTS[verdict["fault"]]
    allowed = {*fault.codes, *RACES, *SCRIPTED.get(fault.name, ())}
    provoked = [code for code in verdict["errors"] if code not in allowed]
    told = bool(verdict["ends"])
    short = []
    if verdict["interrupted"] and verdict["old_ms"] > MOST_OLD_MS:
        short.append(f"{verdict['old_ms']} ms of old audio")
    if not (told or verdict["answered"]) or len(verdict["ends"]) > 1:
        short.append(f"neither answered nor told of an end once: {verdict['ends']}")
    if provoked:
        short.append(f"errors {provoked}")
    if verdict["context_ms"] is not None and verdict["context_ms"] > MOST_CONTEXT_MS:
        short.append(f"context {verdict['context_ms']} ms off")
    return {**verdict, "due": fault.reason is None, "provoked": provoked, "told": told, "short": short}


def held(oracle: Oracle, python: Path, wanted: list[Json], world: Servers, tell: Callable[[str], None]) -> list[Json]:
    """Every call's verdict; what fell short while the machine was late is held again."""
    verdicts = []
    for verdict in hold(oracle.script, python, wanted, world):
        verdicts.append(verdict)
        if verdict["inside"] and verdict["short"]:
            tell(_line(verdict))
    for at_once in RETRIES:
        # The frameworks as they come fall short in many calls: these are held again once.
        doubtful = [one for one in verdicts if one["short"] and one["late_ms"] > LATE_MS and (one["inside"] or at_once > 1)]
        if not doubtful:
            break
        again = hold(oracle.script, python, [{key: one[key] for key in wanted[0]} for one in doubtful], world, at_once)
        of = {_cell(one): one for one in verdicts}
        for one in again:
            of[_cell(one)] = min(of[_cell(one)], one, key=_shortfall)
        verdicts = list(of.values())
    return verdicts


def _cell(verdict: Json) -> tuple[Any, ...]:
    return verdict["fault"], verdict["owner"], verdict["inside"]


def _shortfall(verdict: Json) -> tuple[Any, ...]:
    """Which of two calls was worse: the one that was better is evidence, as lateness makes none so."""
    return len(verdict["short"]), not verdict["answered"], verdict["old_ms"], verdict["context_ms"] or 0


def _line(verdict: Json) -> str:
    how = "with callfsm" if verdict["inside"] else "as it comes"
    return f"{how}, {verdict['fault']}, {verdict['owner']}: {'; '.join(verdict['short'])} (machine {verdict['late_ms']:.0f} ms late)"


def row(title: str, verdicts: list[Json]) -> str:
    """A line of the table."""
    old = sorted(one["old_ms"] for one in verdicts if one["interrupted"])
    context = sorted(one["context_ms"] for one in verdicts if one["context_ms"] is not None)
    due = [one for one in verdicts if one["due"]]
    cells = (
        f"{old[len(old) // 2]} / {old[-1]} ({sum(ms > MOST_OLD_MS for ms in old)} of {len(old)})" if old else "-",
        f"{sum(one['answered'] for one in due)} of {len(due)}",
        f"{sum(not one['told'] and not one['answered'] for one in verdicts)}",
        f"{sum(bool(one['provoked']) for one in verdicts)}",
        f"{context[len(context) // 2]:.0f} / {context[-1]:.0f} ({sum(ms > MOST_CONTEXT_MS for ms in context)} of {len(context)})"
        if context
        else "-",
    )
    return f"| {title} | " + " | ".join(cells) + " |"


def cost(title: str, verdicts: list[Json]) -> str:
    """What a call cost that nothing befell, held alone, and what was heard of the old answer after `speech_started`, in frames of 20 ms."""
    cpu, old = sorted(one["cpu_ms"] for one in verdicts), sorted(one["old_ms"] for one in verdicts)
    reaction = f"old audio {old[len(old) // 2]} ms, at most {old[-1]}"
    return f"{title}: {cpu[len(cpu) // 2]:.0f} ms of processor time a second of the call; {reaction}"


HEAD = (
    f"| | old audio, ms: median / worst (calls over {MOST_OLD_MS}) | next turn answered | neither answered nor told of an end "
    f"| calls with provoked errors | context error, ms: median / worst (over {MOST_CONTEXT_MS}) |\n|" + " --- |" * 6
)


def main(arguments: list[str] | None = None) -> int:
    """Hold every call; 0 when all with callfsm inside reach the aim, 1 when one falls short or cannot be judged, 2 for bad input."""
    known = {oracle.name: oracle for oracle in oracles(FOLDER / "inside")}
    parser = argparse.ArgumentParser(prog="python -m tests.oracles.inside", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(known)} (default: all)")
    parser.add_argument("--faults", nargs="+", default=[], metavar="WORDS", help="only faults whose name holds one of these")
    parser.add_argument("--verdicts", type=Path, metavar="FILE", help="keep every verdict, a line of JSON each")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in known]:
        print(f"inside: there is no {unknown[0]}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    rows, costs, short = [HEAD], [""], 0
    for name in options.names or known:
        oracle = known[name]
        try:
            python = python_of(oracle)
        except NoEnvironment as lack:
            print(f"missing: {lack}", file=sys.stderr)
            short += 1
            continue
        with servers() as world:
            verdicts = held(oracle, python, cells(options.faults), world, lambda line: print(f"  {line}", flush=True))
            plain = [one for one in cells(["none"]) if one["owner"] == "client"] * PLAIN_CALLS
            alone = list(hold(oracle.script, python, plain, world, at_once=1))
        if options.verdicts:
            with options.verdicts.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps(one) + "\n" for one in verdicts)
        version = version_of(oracle, python)
        for inside, how in ((False, "as it comes"), (True, "with callfsm")):
            some = [one for one in verdicts if one["inside"] is inside]
            rows.append(row(f"{oracle.client} {version}, {how}", some))
            costs.append(cost(f"{oracle.client} {version}, {how}", [one for one in alone if one["inside"] is inside]))
            short += inside and sum(bool(one["short"]) for one in some)
        for one in verdicts:
            if one["inside"] and one["short"]:
                print(f"  still: {_line(one)}", flush=True)
    print("\n".join([*rows, *costs]))
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
