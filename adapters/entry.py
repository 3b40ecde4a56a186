"""The command's entry, installed as the module `callfsm`: it says so where another package `adapters` stands in front of ours."""

import sys
from pathlib import Path


def main() -> int:
    """Run `callfsm`; exit code 2, and one line, where a folder `adapters` of somebody's own is found first."""
    import adapters
    import fsm

    found, ours = list(adapters.__path__), Path(fsm.__path__[0]).with_name("adapters")
    if not any(Path(path).resolve() == ours.resolve() for path in found):
        line = f"callfsm: the package `adapters` that Python finds is {', '.join(found)}, not {ours}: "
        print(line + "give that folder another name, or take its parent from PYTHONPATH", file=sys.stderr)
        return 2
    from adapters.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
