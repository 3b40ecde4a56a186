"""`python -m tests.kills`: lose the process of a call in every way, at every moment, with both voices, and print what came of it."""

import argparse
import sys
from itertools import product
from statistics import median, quantiles

import anyio

from tests.kills.held import Outcome, lost
from tests.kills.moments import CHATTERBOX_ALONE, MOMENTS
from tests.kills.ways import WAYS

VOICES = ("realtime", "chatterbox")


def main(arguments: list[str] | None = None) -> int:
    """Exit code 1: something broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--how", choices=WAYS, nargs="+", default=list(WAYS), help="in these ways alone (default: all)")
    parser.add_argument("--voice", choices=VOICES, nargs="+", default=VOICES, help="with this voice alone (default: both)")
    given = parser.parse_args(arguments)
    outcomes: list[Outcome] = []
    for how, voice, moment in product(given.how, given.voice, MOMENTS):
        if voice == "chatterbox" or moment not in CHATTERBOX_ALONE:
            outcomes.append(anyio.run(lost, moment, how, voice))
            print(outcomes[-1], flush=True)
    for how in given.how:
        kept = [one for one in outcomes if one.how == how and not one.wrong]
        for words, seconds in (("taken up", [one.taken_s for one in kept]), ("heard again", [one.again_s for one in kept])):
            if len(seconds) > 1 and any(seconds):
                print(f"{how:7} {words}: median {median(seconds):.1f} s, p95 {quantiles(seconds, n=20)[-1]:.1f} s, of {len(seconds)}")
    wrong = sum(bool(one.wrong) for one in outcomes)
    print(f"{wrong} wrong of {len(outcomes)}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
