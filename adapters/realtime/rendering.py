"""The realtime wire's table as Markdown: each message, the forms in which it may come, and what each comes to; it decides nothing."""

from inspect import getdoc
from pathlib import Path

from adapters.realtime.messages import FIELDS, GA_NAMES
from adapters.realtime.table import TABLE, Message, Row

NAME = "wire.md"
_BETA = {ga: beta for beta, ga in GA_NAMES.items()}


def wire_table() -> str:
    """The document."""
    parts = [
        "# The realtime wire",
        "Made from the table in `adapters/realtime/table.py` by `make diagrams`; a test fails when it is stale.",
        f"{len(TABLE)} messages that a server may send. The first form that a message has counts. Before that, what belongs to a response "
        "in no conversation is set aside, as that is somebody else's (R90); a message without what nothing can stand in for is an error, "
        "told and counted (R84), and so is one of a type that nobody knows. A tool call whose arguments were done is told with the message "
        "behind, unless that says that it was cut off (R90). A response that is awaited, and of which something else comes before its "
        "`response.created`, is created by that (R102).",
        "## Messages",
        _markdown(("message", "in the form", "comes to", "as"), *(line for message in TABLE.values() for line in _lines(message))),
        "## Fields",
        "Null is absent. Said once for every message that holds the field; a field of another type makes its message malformed.",
        _markdown(("field", "is looked for at", "stands in for it where it is absent", "read of"), *(_field(name) for name in FIELDS)),
    ]
    return "\n\n".join(parts) + "\n"


def stale(folder: Path) -> bool:
    """Does `folder` not hold the document as it is made now?"""
    path = folder / NAME
    return not path.exists() or path.read_bytes() != wire_table().encode()


def write(folder: Path) -> list[Path]:
    """Make `folder` hold the document; the file, if it was changed."""
    if not stale(folder):
        return []
    (folder / NAME).write_text(wire_table(), encoding="utf-8", newline="\n")
    return [folder / NAME]


def _markdown(*lines: tuple[str, ...]) -> str:
    """A table of Markdown; the first line is its head."""
    head, *rows = lines
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in (head, tuple("---" for _ in head), *rows)
    )


def _lines(message: Message) -> list[tuple[str, ...]]:
    beta = f" (beta: `{_BETA[message.name]}`)" if message.name in _BETA else ""
    names = [f"`{message.name}`{beta}", *("" for _ in message.rows[1:])]
    return [
        (name, row.words or ("any other" if len(message.rows) > 1 else "any"), _comes_to(row), _why(row))
        for name, row in zip(names, message.rows, strict=True)
    ]


def _comes_to(row: Row) -> str:
    return ", ".join(f"`{kind.__name__}`" for kind in dict.fromkeys(row.kinds)) or "set aside"


def _why(row: Row) -> str:
    done = (getdoc(row.act) or "").partition("\n")[0].rstrip(".") if row.kinds else ""
    return row.why or done[:1].lower() + done[1:]


def _field(name: str) -> tuple[str, ...]:
    field = FIELDS[name]
    readers = [f"`{message.name}`" for message in TABLE.values() if name in message.fields]
    shown = ", ".join(readers) if len(readers) < 5 else f"{len(readers)} messages"
    return name, ", ".join(f"`{place}`" for place in field.places), field.absent, shown
