"""A WAV file that somebody named, as 24 kHz mono PCM, or in one line what is wrong with it and what to do."""

from pathlib import Path

from adapters.audio.wav import WavError, WavStream
from adapters.seam.ports import RATE_HZ

AT_ONCE_BYTES = 1 << 20
CALLER_S = 3_600
"""The longest caller: an hour, which is 170 MB."""


def read_caller(path: Path) -> bytes:
    """What a caller says, from a file that may be cut off. Raises ValueError in one line."""
    return read_wav(path, WavStream(longest_s=CALLER_S))


def read_wav(path: Path, stream: WavStream) -> bytes:
    """A file's sound through a fresh `stream`, s16le. Raises ValueError in one line that names the file."""
    pcm = []
    try:
        with path.open("rb") as file:
            while data := file.read(AT_ONCE_BYTES):
                pcm.append(stream.feed(data))
        return b"".join([*pcm, stream.end()])
    except OSError as error:
        raise ValueError(f"{path} can't be read ({error.strerror}); give the path of a WAV file") from None
    except WavError as error:
        raise ValueError(f"{path}: {error}; convert it with: ffmpeg -i {path} -ac 1 -ar {RATE_HZ} -c:a pcm_s16le new.wav") from None
