"""`callfsm report`: the picture, the page and the summary of a recorded call, made afterwards."""

import argparse
from pathlib import Path
from typing import Any

from adapters.commands.common import Refused, command
from adapters.commands.extras import need


def add(commands: Any) -> None:
    """Declare the command."""
    text = "write the picture, the page and the summary of a recorded call, also of one whose process died"
    parser = command(commands, "report", _report, text, "callfsm report calls/20260101-120000")
    parser.add_argument("folder", type=Path, help="the folder that a call left, with its call.trace")
    parser.add_argument(
        "--redact",
        action="store_true",
        help="write call-redacted.html alone: no word, number or sound of the call, so that it can be sent on",
    )


def _report(options: argparse.Namespace) -> int:
    need("callfsm report", "call")
    from adapters.telling.folder import tell, tell_redacted
    from adapters.telling.trace import TraceError

    try:
        told = f"{tell_redacted(options.folder)}\n" if options.redact else tell(options.folder)
    except TraceError as error:
        raise Refused(str(error)) from None
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}; make it a folder that can be written") from None
    print(told, end="")
    return 0
