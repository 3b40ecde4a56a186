"""The command's entry, installed as the module `callfsm`: it says so where another package `adapters` stands in front of ours."""

import sys
from importlib.util import find_spec
from pathlib import Path


def main() -> int:
    """Run `callfsm`; exit code 2, and one line, where a folder `adapters` of somebody's own is found first."""
    found, ours = _folder("adapters"), _folder("fsm").with_name("adapters")
    if found != ours:
        line = f"callfsm: the package `adapters` that Python finds is {found}, not {ours}: "
        print(line + "give that folder another name, or take its parent from PYTHONPATH", file=sys.stderr)
        return 2
    from adapters.cli import main as run

    return run()


def _folder(package: str) -> Path:
    spec = find_spec(package)
    where = list((spec and spec.submodule_search_locations) or ["nowhere"])
    return Path(where[0]).resolve()


if __name__ == "__main__":
    sys.exit(main())
