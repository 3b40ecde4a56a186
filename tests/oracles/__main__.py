"""`python -m tests.oracles [NAME…]`: every oracle holds its call with the stand-ins; a table tells what each found."""

import argparse
import sys

from tests.oracles.catalog import Misdeclared, Oracle, oracles
from tests.oracles.running import Verdict, judge


def main() -> int:
    """Run those that are named, or all; 0 when all that could judge agree with the stand-ins, 1 when one does not, 2 for bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.oracles",
        description="clients that others wrote hold calls with the stand-ins, and callfsm with servers that others wrote",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="an oracle (default: all)")
    parser.add_argument("--list", action="store_true", help="say which there are")
    options = parser.parse_args()
    try:
        known = {oracle.name: oracle for oracle in oracles()}
    except Misdeclared as error:
        return _refused(str(error))
    if unknown := [name for name in options.names if name not in known]:
        return _refused(f"there is no oracle {unknown[0]}; there are {', '.join(known)}")
    wanted = [known[name] for name in options.names] or list(known.values())
    if options.list:
        for oracle in wanted:
            what = f"{oracle.server}, a server" if oracle.server else ", ".join(oracle.needs)
            print(f"{oracle.name}: {what} against {', '.join(oracle.stand_ins) or 'callfsm'}")
        return 0
    verdicts = [_judged(number, len(wanted), oracle) for number, oracle in enumerate(wanted, 1)]
    _summarise(verdicts)
    return 0 if all(verdict.agrees or verdict.missing for verdict in verdicts) else 1


def _refused(why: str) -> int:
    print(f"oracles: {why}", file=sys.stderr)
    return 2


def _judged(number: int, count: int, oracle: Oracle) -> Verdict:
    def tell(line: str) -> None:
        print(f"  {line}", flush=True)

    print(f"[{number}/{count}] {oracle.name}", flush=True)
    verdict = judge(oracle, tell)
    if verdict.missing:
        tell(f"missing: {verdict.missing}")
    return verdict


def _summarise(verdicts: list[Verdict]) -> None:
    """The table, and under it what was broken or missing."""
    print(f"\n{'oracle':<22}{'client':<32}{'checks':>8}{'broken':>8}{'events':>8}{'env s':>8}{'call s':>8}  agrees")
    for one in verdicts:
        sent = sum(one.events.values()) - one.events["input_audio_buffer.append"]
        client = f"{one.oracle.client} {one.version}"
        counts = f"{one.held + len(one.broken):>8}{len(one.broken):>8}{sent:>8}{one.build_s:>8.1f}{one.call_s:>8.1f}"
        print(f"{one.oracle.name:<22}{client:<32}{counts}  {'yes' if one.agrees else 'not judged' if one.missing else 'NO'}")
    print("(events: what the client sent, appended sound not counted)")
    for one in verdicts:
        for line in (one.missing,) if one.missing else one.broken:
            print(f"{one.oracle.name}: {line}")


if __name__ == "__main__":
    sys.exit(main())
