"""What a field log shows as a whole, before any row of it is fed: where its call begins, and what was under way."""

from collections.abc import Iterable
from itertools import takewhile

from adapters.proof.cases.fields import Row, fields_of, is_fed, is_heartbeat, kind, text_of

UNNAMED = "resp_unnamed"
"""The response of rows that tell of sound and name none."""


def begins(rows: list[Row]) -> bool:
    """Does the log show the beginning of its call? A session or greeting that comes after a response is not the first."""
    fed = [row for row in rows if is_fed(row) or _asks_for_greeting(row)]
    before_response = takewhile(lambda row: not response_of(row), fed)
    opened = any(kind(row) in (("llm", "session.created"), ("llm", "setup_complete")) or _asks_for_greeting(row) for row in before_response)
    return opened or any(kind(row) == ("telephony", "start") for row in rows)


def _asks_for_greeting(row: Row) -> bool:
    return bool(row["event"] == "response.create.sent" and str(row["payload"].get("reason", "")).upper().startswith("GREETING"))


def response_of(row: Row) -> str:
    """The response that a row names; a sentence's is the one that is spoken; empty if it names none."""
    spoken = UNNAMED if row["source"] == "tts" or row["event"] == "playback.start" else ""
    return text_of(fields_of(row["payload"]), "response_id") or spoken


def under_way(rows: Iterable[Row]) -> Row | None:
    """The row by which a log in mid-call shows a response that was created before it, if its first word of one does so."""
    asked, queued = False, None
    for row in filter(is_fed, rows):
        asked |= kind(row)[1] in ("input_audio_buffer.speech_stopped", "input_audio_buffer.committed")
        if row["event"] == "tx_queue" and row["payload"].get("frames"):
            queued = queued or row
        if response_of(row):
            begins = kind(row)[1] == "response.created" or (asked and row["event"] == "audio_chunk.first")
            return queued if begins else row
    return queued


def queues(rows: Iterable[Row]) -> list[float | None]:
    """What the log says is queued, in order, with None for each new response."""
    kinds = {("audio", "tx_queue"), ("llm", "response.created")}
    return [row["payload"].get("frames") if row["event"] == "tx_queue" else None for row in rows if kind(row) in kinds]


def marked(rows: Iterable[Row]) -> bool:
    """Does the log have a mark that proves that something was heard?"""
    return any(kind(row) == ("telephony", "mark") and not is_heartbeat(row["payload"]) for row in rows)
