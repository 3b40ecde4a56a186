"""Claims about the trace: written as the call happens, read back whole, replayed to the same rows; a damaged file is known as such."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from adapters.telling.trace import VERSION, Trace, TraceError, TraceWriter, Tracing, event_from_json, event_to_json, read_trace
from fsm.call import effects as fx, events as ev
from fsm.call.policy import Policy
from fsm.call.snapshot import start
from tests.shared.shell import ANSWER, BARGE_IN, Onlooker, Puppet, Said, at, drive, silent_policy, traced

CALL: tuple[Said, ...] = (
    *BARGE_IN,
    at(3000, ev.ResponseCreated, "r2"),
    at(3100, ev.ErrorReceived, "odd", "words of the server"),
    at(3200, ev.ResponseTranscribed, "r2", "Grüß Gott, “yes” — 好"),
    at(3300, ev.ResponseFailed, "r2", "server_error"),
    at(9000, ev.CallerHungUp, "gone"),
)
POLICY = silent_policy(interruption_min_ms=120.5)


def recorded(path: Path, script: tuple[Said, ...] = CALL, policy: Policy = POLICY) -> Onlooker:
    """Hold a call whose trace goes to `path`."""
    onlooker = Onlooker()
    traced(path, script, onlooker, policy=policy, call_id="call-7")
    return onlooker


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "call.trace"
    recorded(file)
    return file


def sealed(lines: list[Any]) -> bytes:
    """Lines as a file with a seal that fits."""
    body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    return body + json.dumps({"steps": len(lines) - 1, "sha256": hashlib.sha256(body).hexdigest()}).encode() + b"\n"


def lines_of(path: Path) -> list[Any]:
    """The lines of a trace but for its seal."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:-1]]


def edited(path: Path, edit: Callable[[list[Any]], None]) -> Trace:
    """The trace after an edit, sealed anew."""
    lines = lines_of(path)
    edit(lines)
    path.write_bytes(sealed(lines))
    return read_trace(path)


def refused(path: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(TraceError) as error:
        read_trace(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text
    assert "; " in text, "it says what to do, or what became of it"
    return text


# What is written can be read and replayed.


def test_a_call_replays_from_its_trace_to_the_same_rows(tmp_path: Path) -> None:
    onlooker = recorded(tmp_path / "call.trace")
    trace = read_trace(tmp_path / "call.trace")
    assert trace.call == start(POLICY, "call-7")
    assert trace.first_difference() is None
    replayed = [(event, answer) for event, answer, _ in trace.steps()]
    assert replayed == onlooker.steps
    assert len(replayed) > len(CALL), "deadlines are steps too"


def test_a_step_is_a_line_and_a_line_is_a_step(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["callfsm_trace"] == VERSION
    assert json.loads(lines[-1])["steps"] == len(lines) - 2 == len(read_trace(path).lines)


def test_a_line_names_the_rows_that_moved_and_the_effects(path: Path) -> None:
    [interruption] = [line for line in read_trace(path).lines if "/BargedIn/" in " ".join(line["moves"])]
    assert "interruption:SUSPECTED/InterruptionExpired/always -> LOCKED" in interruption["moves"]
    assert "response:IN_PROGRESS/BargedIn/always -> CANCEL_IN_FLIGHT" in interruption["moves"]
    assert {"effect": "CancelResponse", "response_id": "r1"} in interruption["effects"]


def test_a_step_is_written_when_it_happens(tmp_path: Path) -> None:
    writer = TraceWriter(tmp_path / "call.trace", start(POLICY))
    drive("trio", [Puppet(CALL)], writer, policy=POLICY)
    assert not read_trace(tmp_path / "call.trace").whole
    on_disk = (tmp_path / "call.trace").read_text(encoding="utf-8")
    assert '"CallerHungUp"' in on_disk.splitlines()[-1], "a process that is killed leaves whole lines"
    writer.close()
    writer.close()
    assert read_trace(tmp_path / "call.trace").first_difference() is None


def test_a_full_disk_ends_the_trace_and_not_the_call() -> None:
    """It is told once."""
    told: list[OSError] = []
    tracing, onlooker = Tracing(Path("/dev/full"), start(POLICY), told.append), Onlooker()
    drive("trio", [Puppet(CALL)], tracing, onlooker, policy=POLICY)
    tracing.close()
    assert [error.strerror for error in told] == ["No space left on device"]
    assert isinstance(onlooker.steps[-1][0], ev.CallerHungUp)


def test_a_call_that_nobody_began_is_a_trace_too(tmp_path: Path) -> None:
    TraceWriter(tmp_path / "call.trace", start(POLICY)).close()
    assert read_trace(tmp_path / "call.trace").lines == ()


@pytest.mark.parametrize("kind", ev.kinds(), ids=[kind.__name__ for kind in ev.kinds()])
def test_every_event_survives_the_way_through_json(kind: type[ev.Event]) -> None:
    values = {str: 'ü\n"x', float: 12.5, int: 3}
    fields: dict[str, Any] = {field.name: values[field.type] for field in attrs.fields(kind) if field.type in values}
    event = kind(**fields)
    line = json.loads(json.dumps(event_to_json(event))) | {"moves": [], "effects": []}
    assert event_from_json(line) == event


def test_no_key_is_in_a_trace(path: Path) -> None:
    """A trace holds a policy, events and effects, and none of these has a place for a key."""
    kinds: list[type[attrs.AttrsInstance]] = [Policy, *ev.kinds(), *fx.Effect.__subclasses__()]
    names = {field.name for kind in kinds for field in attrs.fields(kind)} - {"keys_interrupt"}
    assert not {
        name
        for name in names - {"keys_interrupt"}
        if any(word in name for word in ("key", "secret", "token", "auth", "header", "password"))
    }
    assert set(lines_of(path)[0]) == {"callfsm_trace", "call_id", "at_ms", "policy"}


# A replay tells what is different.


def test_an_effect_that_is_no_longer_asked_for_is_told(path: Path) -> None:
    def forget_cancel(lines: list[Any]) -> None:
        line = next(line for line in lines if {"effect": "CancelResponse", "response_id": "r1"} in line.get("effects", []))
        line["effects"] = [effect for effect in line["effects"] if effect["effect"] != "CancelResponse"]

    difference = edited(path, forget_cancel).first_difference()
    assert "InterruptionExpired at 1620" in difference
    assert "effects were" in difference
    assert "CancelResponse" in difference


def test_a_row_that_moves_elsewhere_is_told(path: Path) -> None:
    number = next(at for at, line in enumerate(lines_of(path)) if line.get("event") == "ResponseCreated")

    def move(lines: list[Any]) -> None:
        lines[number]["moves"][0] = "playout:SILENT/ResponseCreated/welcome -> PLAYING"

    difference = edited(path, move).first_difference()
    assert difference.startswith(f"line {number + 1}, ResponseCreated")
    assert "moves were" in difference


def test_another_policy_answers_otherwise(path: Path) -> None:
    def change_owner(lines: list[Any]) -> None:
        lines[0]["policy"]["interrupts"] = "server"

    difference = edited(path, change_owner).first_difference()
    assert "InterruptionExpired" in difference


def test_only_the_first_difference_is_told_in_one_line(path: Path) -> None:
    def spoil(lines: list[Any]) -> None:
        for line in lines[1:]:
            line["moves"] = ["elsewhere"]

    difference = edited(path, spoil).first_difference()
    assert difference.startswith("line 2, ")
    assert "\n" not in difference


# A file that is no trace.


def test_a_changed_file_is_refused(path: Path) -> None:
    data = path.read_bytes()
    for place in range(40, len(data) - 200, 97):
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        refused(path)


def test_a_file_that_lost_lines_in_its_middle_is_refused(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in ([*lines[:5], *lines[6:]], [*lines, lines[-1]], []):
        path.write_bytes(b"".join(kept))
        refused(path)


def test_a_trace_that_was_cut_anywhere_is_read_up_to_its_last_whole_line(path: Path) -> None:
    """R107: so ends the trace of a call whose process was killed; each line that is there replays."""
    data = path.read_bytes()
    first = data.index(b"\n") + 1
    for end in range(first, len(data), 61):
        path.write_bytes(data[:end])
        trace = read_trace(path)
        assert not trace.whole
        assert len(trace.lines) == data[:end].count(b"\n") - 1
    assert trace.first_difference() is None
    path.write_bytes(data[: first - 1])
    refused(path)


def test_damage_in_a_trace_without_its_seal_is_told_apart_from_its_end(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    for number in range(1, len(lines) - 2, 7):
        broken = [*lines[:number], lines[number][:-20] + b"\n", *lines[number + 1 : -1]]
        path.write_bytes(b"".join(broken))
        assert f"line {number + 1} is damaged" in refused(path)


@pytest.mark.parametrize("value", [None, "1", True, -1, 1e400, float("nan"), 10**400, [], {}])
def test_odd_times_and_nulls_are_refused_in_one_line(path: Path, value: object) -> None:
    lines = lines_of(path)
    lines[5]["at_ms"] = value
    path.write_bytes(sealed(lines))
    assert "line 6" in refused(path)


@pytest.mark.parametrize("value", [None, 1, True, [], {"a": 1}])
def test_a_field_of_another_type_is_refused_in_one_line(path: Path, value: object) -> None:
    lines = lines_of(path)
    number = next(number for number, line in enumerate(lines) if "response_id" in line)
    lines[number]["response_id"] = value
    path.write_bytes(sealed(lines))
    assert f"line {number + 1}" in refused(path)


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\x00\x1b[31m", "\u2028", "😀"])
def test_whatever_is_said_is_ascii_in_the_trace_and_read_again(tmp_path: Path, text: str) -> None:
    """R105: half a character that a server's JSON held would end the call that wrote it down."""
    file = tmp_path / "call.trace"
    onlooker = recorded(file, (*CALL[:-1], at(CALL[-1][0], ev.CallerHungUp, text)))
    file.read_text(encoding="ascii")
    trace = read_trace(file)
    assert len(trace.lines) == len(onlooker.steps)
    assert trace.first_difference() is None


def test_a_trace_is_its_owners_alone(path: Path) -> None:
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("data", [b"", b"\x00\xff\xfe", b"RIFF....WAVE", b"[1, 2]\n[3]\n", b"null\nnull\n", b"[" * 100_000, b"{}\n{}\n"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "call.trace").write_bytes(data)
    refused(tmp_path / "call.trace")


def test_a_trace_of_another_version_is_refused(path: Path) -> None:
    def age(lines: list[Any]) -> None:
        lines[0]["callfsm_trace"] = VERSION + 1

    with pytest.raises(TraceError):
        edited(path, age)
    assert f"version {VERSION}" in refused(path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"event": "DogBarked"}, "DogBarked"),
        ({"event": None}, "names its event"),
        ({"event": ["LineOpened"]}, "names its event"),
        ({"event": "ResponseCreated"}, "lacks response_id"),
        ({"event": "ErrorReceived"}, "lacks code"),
    ],
)
def test_a_line_that_is_no_step_is_refused_by_its_number(path: Path, change: dict[str, Any], told: str) -> None:
    def spoil(lines: list[Any]) -> None:
        lines[1].update(change)

    with pytest.raises(TraceError):
        edited(path, spoil)
    assert "line 2: " in refused(path)
    assert told in refused(path)


def test_a_field_that_an_older_version_did_not_write_is_taken_as_untold(path: Path) -> None:
    trace = edited(path, lambda lines: lines[1].update({"event": "SpeechStopped", "item_id": "u1"}))
    [stopped] = [event for event, _, line in trace.steps() if line is trace.lines[0]]
    assert isinstance(stopped, ev.SpeechStopped)
    assert (stopped.item_id, stopped.spoken_ms) == ("u1", 0.0)


@pytest.mark.parametrize("part", ["moves", "effects", "at_ms"])
def test_a_step_without_one_of_its_parts_is_refused(path: Path, part: str) -> None:
    def drop(lines: list[Any]) -> None:
        del lines[3][part]

    with pytest.raises(TraceError, match=f"line 4: .* lacks {part}"):
        edited(path, drop)


@pytest.mark.parametrize(
    "head",
    [{"policy": {"bark": 1}}, {"policy": {"voice": "dog"}}, {"policy": {"closing_ms": "soon"}}, {"policy": None}, {"policy": []}],
)
def test_a_policy_of_another_version_is_refused(path: Path, head: dict[str, Any]) -> None:
    def change(lines: list[Any]) -> None:
        lines[0].update(head)

    with pytest.raises(TraceError, match="line 1"):
        edited(path, change)


def test_a_missing_file_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.trace")
    assert "directory" in refused(tmp_path)


def test_a_trace_is_written_for_every_step_of_an_ordinary_answer(tmp_path: Path) -> None:
    onlooker = recorded(tmp_path / "call.trace", (*ANSWER, at(2000, ev.CallerHungUp)))
    assert [line["event"] for line in read_trace(tmp_path / "call.trace").lines] == onlooker.events()


@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_trace_that_was_cut_in_its_first_line_is_told_as_cut(kept: int, tmp_path: Path) -> None:
    """R107: the disk was full from the beginning; the version has nothing to do with it."""
    path = tmp_path / "call.trace"
    path.write_bytes(Path("tests/bench/recorded.trace").read_bytes()[:kept])
    with pytest.raises(TraceError, match=r"call.trace: it ends before its first line does"):
        read_trace(path)
