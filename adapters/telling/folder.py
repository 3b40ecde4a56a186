"""The folder that a call leaves behind, told: its picture, its page and its summary, also of a call whose process died (R107)."""

from pathlib import Path

from adapters.seam.files import write_private
from adapters.telling.page.document import document_of
from adapters.telling.page.html import page
from adapters.telling.page.sound import sound_of
from adapters.telling.picture.timeline import draw, read_stereo
from adapters.telling.report import OldAudio, report_on
from adapters.telling.trace import Trace, read_trace

TRACE, SOUND, PICTURE, PAGE, SUMMARY = "call.trace", "call.wav", "call.svg", "call.html", "summary.txt"
REDACTED = "call-redacted.html"


def tell(folder: Path, old_audio: OldAudio | None = None) -> str:
    """Write call.svg, call.html and summary.txt from call.trace and call.wav; gives the summary. What has no sound is drawn without.

    Raises TraceError for a trace that is none, and OSError where nothing can be written.
    """
    trace = read_trace(folder / TRACE)
    report = report_on(trace, old_audio)
    caller, agent = _sides(folder)
    summary = report.summary()
    if not trace.whole:
        summary += f"{'the trace':<32}ends with its last whole line: the process died in mid-call\n"
    write_private(folder / PICTURE, draw(report.picture("callfsm: a call", caller, agent)))
    write_private(folder / SUMMARY, summary)
    write_private(folder / PAGE, _page(trace, caller, agent, old_audio))
    return summary


def tell_redacted(folder: Path) -> Path:
    """Write call-redacted.html, the page without the call's words, numbers, ids and sound; gives its path. Raises what `tell` does."""
    path = folder / REDACTED
    write_private(path, _page(read_trace(folder / TRACE), *_sides(folder), redact=True))
    return path


def _page(trace: Trace, caller: bytes, agent: bytes, old_audio: OldAudio | None = None, *, redact: bool = False) -> str:
    document = document_of(trace, old_audio, redact=redact)
    document["sound"] = sound_of(caller, agent, document["end"]["line_ms"], hearable=not redact)
    return page(document)


def _sides(folder: Path) -> tuple[bytes, bytes]:
    """The caller and the agent; nothing of either where there is no such recording."""
    try:
        return read_stereo(folder / SOUND)
    except (OSError, ValueError):
        return b"", b""
