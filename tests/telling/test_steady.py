"""Claims about a stream that holds nobody up, and about the log's ration (R105, R108)."""

import io
import json
import logging
import os
import threading

from adapters.hosts.phone.log import logging_to, tell
from adapters.hosts.phone.ration import FEW, MOST
from adapters.seam.wellformed import printable
from adapters.telling.steady import MOST_CHARS, Steady
from tests.shared.shell import PATIENCE_S


def test_a_reader_who_never_reads_holds_nobody_up_and_costs_a_bounded_memory() -> None:
    reading, writing = os.pipe()
    failed: list[str] = []
    with open(writing, "w", encoding="utf-8") as pipe:  # noqa: PTH123
        steady = Steady(pipe, failed.append)
        for _ in range(40):
            steady.write("x" * 100_000)
        assert steady._chars <= MOST_CHARS
        os.close(reading)
        steady.drain(PATIENCE_S)
    assert failed == ["Broken pipe"]


def test_a_stream_that_is_closed_is_said_once_and_the_rest_is_dropped() -> None:
    said, told = threading.Event(), list[str]()

    def failed(words: str) -> None:
        told.append(words)
        said.set()

    closed = io.StringIO()
    closed.close()
    steady = Steady(closed, failed)
    steady.write("a")
    assert said.wait(PATIENCE_S)
    steady.write("b")
    steady.drain()
    assert len(told) == 1


def test_what_a_terminal_cannot_show_is_escaped() -> None:
    octets = io.BytesIO()
    steady = Steady(io.TextIOWrapper(octets, "ascii", write_through=True), lambda _: None)
    steady.write("a é \ud800 😀")
    steady.drain(PATIENCE_S)
    assert octets.getvalue() == rb"a \xe9 \ud800 \U0001f600"


def test_what_would_steer_a_terminal_is_shown_as_nothing() -> None:
    assert printable("a\x1b]0;evil\x07b") == "a\ufffd]0;evil\ufffdb"
    assert printable("ä 😀\nb") == "ä 😀\nb"


def lines_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_flood_of_one_kind_is_a_few_lines_and_a_count_at_the_calls_end() -> None:
    """R108."""
    stream = io.StringIO()
    with logging_to(stream):
        for _ in range(200_000 // 100):
            tell(logging.WARNING, "call_log", "CA1-1", code="unknown_event")
        tell(logging.WARNING, "call_log", "CA2-2", code="unknown_event")
        tell(logging.INFO, "call_ended", "CA1-1", reason="limit")
    lines = lines_of(stream.getvalue())
    assert [line["call"] for line in lines] == ["CA1-1"] * FEW + ["CA2-2", "CA1-1"]
    assert lines[-1]["withheld"] == 2_000 - FEW


def test_a_flood_of_made_up_kinds_is_bounded_too() -> None:
    stream = io.StringIO()
    with logging_to(stream):
        for number in range(5_000):
            tell(logging.WARNING, "call_log", "CA1-1", code=f"code_{number}")
        tell(logging.INFO, "call_ended", "CA1-1", reason="limit")
    lines = lines_of(stream.getvalue())
    assert len(lines) == MOST + 1
    assert lines[-1]["withheld"] == 5_000 - MOST


def test_a_log_is_ascii_whatever_was_said() -> None:
    stream = io.StringIO()
    with logging_to(stream):
        tell(logging.WARNING, "refused", words="\ud800é")
    assert stream.getvalue().isascii()
