"""`callfsm diagrams`: the tables as pictures."""

import argparse
from pathlib import Path
from typing import Any

from adapters.commands.common import Refused, command
from adapters.commands.extras import need


def add(commands: Any) -> None:
    """Declare the command."""
    parser = command(
        commands,
        "diagrams",
        _diagrams,
        "draw the tables: diagrams, transitions, the realtime wire",
        "callfsm diagrams diagrams",
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path("diagrams"))


def _diagrams(options: argparse.Namespace) -> int:
    need("callfsm diagrams", "tables")
    from adapters.realtime import rendering
    from adapters.telling.diagrams.drawing import write
    from adapters.telling.diagrams.page import DiagramError

    try:
        paths = write(options.folder) + rendering.write(options.folder)
    except OSError as error:
        raise Refused(f"{error.filename or options.folder}: {error.strerror}; give a folder that can be written") from None
    except DiagramError as error:
        raise Refused(str(error)) from None
    for path in paths:
        print(path)
    return 0
