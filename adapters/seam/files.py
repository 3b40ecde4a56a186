"""How files are made that hold what was said, for their owner alone, and how files of others are read, which may never end."""

import errno
import os
from pathlib import Path
from typing import BinaryIO, TextIO

_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)


def private_file(path: Path) -> BinaryIO:
    """A file to be written: a new one is its owner's alone to read, one that is there keeps its mode. Raises OSError."""
    return os.fdopen(os.open(path, _NEW, 0o600), "wb")


def private_lines(path: Path) -> TextIO:
    """The same for lines of ASCII, each written when it is whole."""
    return os.fdopen(os.open(path, _NEW, 0o600), "w", encoding="ascii", buffering=1, newline="\n")


def write_private(path: Path, text: str) -> None:
    """Write a text into such a file, or leave none: half a picture is no picture. Raises OSError, which names the file."""
    try:
        with private_file(path) as file:
            file.write(text.encode(errors="backslashreplace"))
    except OSError as error:
        if error.filename is None:
            path.unlink(missing_ok=True)
            error.filename = str(path)
        raise


def private_folder(path: Path) -> None:
    """Make a folder, and those above it; the last, if it is new, is its owner's alone. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)


def read_whole(path: Path, most_mib: int) -> bytes:
    """What a file holds. Raises OSError, also for one that is larger, as a device is that never ends."""
    with path.open("rb") as file:
        held = file.read((most_mib << 20) + 1)
    if len(held) > most_mib << 20:
        raise OSError(errno.EFBIG, f"it holds more than {most_mib} MiB", str(path))
    return held
