"""How long an import takes, in fresh processes; nothing is printed here."""

import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULES = ("fsm", "attrs", "transitions")
PROGRAM = "from time import perf_counter; began_s = perf_counter(); import {}; print(perf_counter() - began_s)"
TIMEOUT_S = 30


def measure_imports(say: Callable[[str], None], *, repetitions: int = 11) -> dict[str, float]:
    """The milliseconds that `import` takes for each of MODULES in a new process, in turn: the median of `repetitions`."""
    for module in MODULES:
        import_ms(module)  # Leaves the compiled files behind, so that nothing is compiled when it counts.
    taken_ms: dict[str, list[float]] = {module: [] for module in MODULES}
    for repetition in range(repetitions):
        say(f"imports: repetition {repetition + 1} of {repetitions}")
        for module in MODULES:
            taken_ms[module].append(import_ms(module))
    return {module: statistics.median(taken) for module, taken in taken_ms.items()}


def import_ms(module: str) -> float:
    """The milliseconds that one `import` takes in a new process, without the start of Python."""
    command = [sys.executable, "-c", PROGRAM.format(module)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    return float(told.stdout) * 1000
