"""`python -m tests.chaos --seconds 600 --seed 1`: mutations for every parser, then a good call beside each attack, in turn."""

import argparse
import random
import sys
import time
import traceback

import anyio

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


def main() -> int:
    """Exit code 1: something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long in all: a quarter for the parsers (default: 600)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    counts, faults = fuzz(options.seconds / 4, options.seed)
    figures: Figures = anyio.run(hold, options.seconds * 3 / 4, options.seed)
    print(f"parsers: {sum(counts.values()):,} inputs, {faults} faults")
    print(figures.told())
    return int(faults > 0 or figures.failed)


if __name__ == "__main__":
    sys.exit(main())
