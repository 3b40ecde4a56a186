"""`python -m tests.chaos --seconds 600 --seed 1`: mutations for every parser, then a good call beside each attack, in turn.

Where atheris is installed, half of the parsers' time is its: it goes by what each input reached.
"""

import argparse
import random
import sys
import time
import traceback

import anyio

from . import guided
from .attacks import Figures, hold
from .parsers import mutated, parsers


def fuzz(seconds: float, seed: int) -> tuple[dict[str, int], int]:
    """Feed the parsers for so long in all; how many inputs each has had, and how many faults were found, which are printed."""
    counts, faults = {}, 0
    with parsers() as made:
        for parser in made:
            chance, until_s, counts[parser.name] = random.Random(f"{seed} {parser.name}"), time.monotonic() + seconds / len(made), 0
            while time.monotonic() < until_s and faults < 20:
                data = mutated(chance.choice(parser.seeds), chance)
                counts[parser.name] += 1
                try:
                    parser.feed(data)
                except BaseException as fault:
                    if isinstance(fault, KeyboardInterrupt):
                        raise
                    faults += 1
                    print(f"{parser.name}: {data[:600]!r}", "".join(traceback.format_exception(fault)[-3:]), file=sys.stderr)
            print(f"{parser.name}: {counts[parser.name]:,} inputs", file=sys.stderr)
    return counts, faults


def fuzz_guided(seconds: float, seed: int) -> tuple[int, int]:
    """The same by atheris, for at least a second each: how many inputs in all, and how many faults, which are printed."""
    with parsers() as made:
        names = [parser.name for parser in made]
    inputs = faults = 0
    for name in names:
        count, found = guided.guide(name, max(1, int(seconds / len(names))), seed)
        inputs, faults = inputs + count, faults + len(found)
        print(f"{name}, guided: {count:,} inputs", *found, sep="\n", file=sys.stderr)
    return inputs, faults


def main() -> int:
    """Exit code 1: something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="how long in all: a quarter for the parsers (default: 600)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    for_parsers_s = options.seconds / 4
    by_coverage = guided.is_there()
    counts, faults = fuzz(for_parsers_s / 2 if by_coverage else for_parsers_s, options.seed)
    inputs, more = fuzz_guided(for_parsers_s / 2, options.seed) if by_coverage else (0, 0)
    figures: Figures = anyio.run(hold, options.seconds * 3 / 4, options.seed)
    by = "" if by_coverage else "; none by coverage: pip install atheris"
    print(f"parsers: {sum(counts.values()) + inputs:,} inputs, {inputs:,} of them guided by coverage, {faults + more} faults{by}")
    faults += more
    print(figures.told())
    return int(faults > 0 or figures.failed)


if __name__ == "__main__":
    sys.exit(main())
