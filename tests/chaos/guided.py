"""Coverage-guided inputs for the parsers, by atheris where it is installed: `python -m tests.chaos.guided NAME SECONDS SEED`.

libFuzzer never gives back the process that it is started in, so each parser is fed in one of its own (`guide`).
"""

import random
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

LONGEST = 8_192
START_S = 60.0
"""How long it may take to instrument the project's modules."""
FAULT = 77
"""What libFuzzer ends with where an input was more than refused."""


def is_there() -> bool:
    """Is atheris installed?"""
    return find_spec("atheris") is not None


def guide(name: str, seconds: int, seed: int) -> tuple[int, list[str]]:
    """Feed one parser for so long; how many inputs it has had, and what went wrong, with the input. RuntimeError where it cannot be."""
    command = [sys.executable, "-m", "tests.chaos.guided", name, str(seconds), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds + START_S, check=False)
    told = re.search(r"^Done (\d+) (?:runs )?in", done.stderr, re.MULTILINE)
    inputs = int(told[1]) if told else max(map(int, re.findall(r"^#(\d+)", done.stderr, re.MULTILINE)), default=0)
    if done.returncode == 0:
        return inputs, []
    if done.returncode != FAULT:
        raise RuntimeError(f"{name}: atheris ended with {done.returncode}: {done.stderr[-800:]}")
    return inputs, [f"{name}: {done.stdout[-3_000:]}"]


def main(name: str, seconds: str, seed: str) -> None:
    """Feed the parser until the time is over; the process ends then."""
    import atheris

    with atheris.instrument_imports(include=["adapters", "fsm"]):
        from tests.chaos.parsers import mutated, parsers

    def bent(data: bytes, longest: int, number: int) -> bytes:
        """Half of them as libFuzzer would, which knows what was reached; half with a value of another kind, which it would hardly find."""
        chance = random.Random(number)
        return mutated(data, chance)[:longest] if chance.random() < 0.5 else atheris.Mutate(data, longest)

    def feed(data: bytes) -> None:
        """An input; one that does more than be refused is told, with what it did."""
        try:
            parser.feed(data)
        except BaseException:
            print(repr(data[:600]), flush=True)
            raise

    with parsers() as made, tempfile.TemporaryDirectory() as folder:
        parser = next(parser for parser in made if parser.name == name)
        for number, good in enumerate(parser.seeds):
            (Path(folder) / str(number)).write_bytes(good)
        limits = [f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={LONGEST}", "-timeout=20", "-rss_limit_mb=2048"]
        atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={folder}/", folder], feed, custom_mutator=bent)
        atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
