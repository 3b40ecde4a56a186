"""The folder that a call leaves behind, told: its picture and its summary, also of a call whose process died (R107)."""

from pathlib import Path

from adapters.seam.files import write_private
from adapters.telling.picture.timeline import draw, read_stereo
from adapters.telling.report import OldAudio, report_on
from adapters.telling.trace import read_trace

TRACE, SOUND, PICTURE, SUMMARY = "call.trace", "call.wav", "call.svg", "summary.txt"


def tell(folder: Path, old_audio: OldAudio | None = None) -> str:
    """Write call.svg and summary.txt from call.trace and call.wav; gives the summary. What has no sound is drawn without.

    Raises TraceError for a trace that is none, and OSError where nothing can be written.
    """
    trace = read_trace(folder / TRACE)
    report = report_on(trace, old_audio)
    try:
        caller, agent = read_stereo(folder / SOUND)
    except (OSError, ValueError):
        caller, agent = b"", b""
    summary = report.summary()
    if not trace.whole:
        summary += f"{'the trace':<32}ends with its last whole line: the process died in mid-call\n"
    write_private(folder / PICTURE, draw(report.picture("callfsm: a call", caller, agent)))
    write_private(folder / SUMMARY, summary)
    return summary
