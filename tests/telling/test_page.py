"""Claims about a call's page: what it says is what the trace says, also of a cut one; and nothing private is in one that is redacted."""

import base64
import json
import re
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.telling import folder
from adapters.telling.page.document import REGIONS, Telling, document_of
from adapters.telling.page.html import page
from adapters.telling.page.plain import Plain
from adapters.telling.page.sound import sound_of
from adapters.telling.page.tables import tables
from adapters.telling.trace import Trace, TraceWriter, read_trace
from fsm import start, step
from fsm.call import events as ev
from fsm.call.effects import Reason
from fsm.call.machine import CALL
from fsm.call.snapshot import Call
from tests.shared.shell import BARGE_IN, ROOT, at, silent_policy, traced

RECORDED = ROOT / "tests/bench/recorded.trace"
TABLES = {region["name"]: region for region in tables()["regions"]}
FAMILIES = {name: event["families"] for name, event in tables()["events"].items()}


@pytest.fixture(scope="module")
def trace() -> Trace:
    return read_trace(RECORDED)


@pytest.fixture(scope="module")
def document(trace: Trace) -> dict[str, Any]:
    """The document as a page reads it."""
    return json.loads(json.dumps(document_of(trace)))


def snapshots(trace: Trace) -> Iterator[tuple[Call, ev.Event, Call]]:
    call = trace.call
    for event, answer, _ in trace.steps():
        yield call, event, answer.snapshot
        call = answer.snapshot


def test_the_rows_of_the_page_are_those_that_answered(trace: Trace, document: dict[str, Any]) -> None:
    assert len(document["steps"]) == len(trace.lines)
    for told, (event, answer, _) in zip(document["steps"], trace.steps(), strict=True):
        assert (told["at"], told["event"]) == (event.at_ms, type(event).__name__)
        assert len(told["rows"]) == 1 + len(told["signals"])
        fired = [(name, TABLES[name]["rows"][number]) for rows in told["rows"] for name, number in zip(REGIONS, rows, strict=True)]
        for (name, row), one in zip(fired, answer.rows, strict=True):
            assert name == one.region
            assert one.state.name in row["while"]
            assert (row["if"], row["reason"]) == (one.guard.__name__, one.then.reason)
            assert row["go"] == (one.then.target and one.then.target.name)
        assert [effect["effect"] for effect in told["effects"]] == [type(effect).__name__ for effect in answer.effects]


def test_the_records_of_the_page_are_those_of_the_call_at_every_step(trace: Trace, document: dict[str, Any]) -> None:
    records = document["call"]["start"]
    for told, (_, _, after) in zip(document["steps"], snapshots(trace), strict=True):
        for name, changed in told["moves"].items():
            records[name] |= changed
        assert records == json.loads(json.dumps({name: Plain().fields(getattr(after, name)) for name in REGIONS}))


def test_of_the_rows_above_the_one_that_fired_every_guard_is_false(trace: Trace, document: dict[str, Any]) -> None:
    """The page's why-not: rows above that name the state and the event, by the very rule of the page."""
    declared = {region.name: region.declared for region in CALL.regions}
    asked = 0
    for told, (before, event, _) in zip(document["steps"], snapshots(trace), strict=True):
        for name, number in zip(REGIONS, told["rows"][0], strict=True):
            state = getattr(before, name).state.name
            above = [
                one
                for one in range(number)
                if state in TABLES[name]["rows"][one]["while"] and set(TABLES[name]["rows"][one]["on"]) & set(FAMILIES[told["event"]])
            ]
            assert not [one for one in above if declared[name][one].guard(before, event)]
            assert declared[name][number].guard(before, event)
            asked += len(above)
    assert asked > 300


def test_every_row_names_the_line_on_which_it_is_written() -> None:
    missing = 0
    for region in TABLES.values():
        source = (ROOT / region["file"]).read_text().splitlines()
        for row in region["rows"]:
            missing += row["line"] is None
            assert row["line"] is None or ("row(" in source[row["line"] - 1] and row["if"] in source[row["line"] - 1])
    assert missing < 80, "only the rows that several tables share stand elsewhere"


def test_every_word_on_the_page_is_explained() -> None:
    told = tables()
    assert not [
        name
        for kind in ("events", "guards", "acts", "effects")
        for name, one in told[kind].items()
        if not (one["doc"] if kind == "events" else one)
    ]


def test_a_redacted_page_has_no_word_number_or_id_of_the_call(tmp_path: Path) -> None:
    shutil.copy(RECORDED, tmp_path / "call.trace")
    private = set(strings(read_trace(RECORDED).lines)) | {read_trace(RECORDED).call.call_id}
    private -= {reason.value for reason in Reason}
    private = {text for text in private if len(text) > 3 and not text.isidentifier()} | {
        text for text in private if re.search(r"\d{3}", text)
    }
    text = folder.tell_redacted(tmp_path).read_text()
    assert len(private) > 20
    assert not [one for one in private if one in text or json.dumps(one)[1:-1] in text]
    whole = document_of(read_trace(RECORDED))
    assert any(said["text"] in json.dumps(whole) for step in whole["steps"] for said in step.get("said", ()))


def strings(value: Any) -> Iterator[str]:
    """Every text in fields that are no names of ours."""
    if isinstance(value, dict):
        for name, one in value.items():
            if name not in ("event", "effect", "moves", "cause", "level", "code", "outcome"):
                yield from strings(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from strings(one)
    elif isinstance(value, str):
        yield value


def test_what_a_caller_says_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--document-->/*script*/<img src=x onerror=alert(2)>"
    writer, call = TraceWriter(tmp_path / "call.trace", start(silent_policy())), start(silent_policy())
    for event in (ev.LineOpened(0.0), ev.Transcribed(5.0, "item_1", hostile)):
        answer = step(call, event)
        writer(event, answer)
        call = answer.snapshot
    writer.close()
    folder.tell(tmp_path)
    text = (tmp_path / "call.html").read_text()
    assert text.count("</script>") == 2
    assert "onerror" in text
    assert "<img" not in text
    [inside] = re.findall(r'id="document">(.*?)</script>', text, re.DOTALL)
    assert json.loads(inside)["steps"][1]["fields"]["text"] == hostile


def test_a_cut_trace_has_a_page_that_says_so(tmp_path: Path) -> None:
    whole = RECORDED.read_bytes()
    (tmp_path / "call.trace").write_bytes(whole[: len(whole) // 2])
    folder.tell(tmp_path)
    text = (tmp_path / "call.html").read_text()
    assert '"whole":false' in text
    assert '"whole":true' in page(document_of(read_trace(RECORDED)))


def test_a_page_asks_nothing_of_anybody(document: dict[str, Any]) -> None:
    text = page(document)
    assert "default-src 'none'" in text
    assert not re.findall(r'(?:src|href)="(?!data:)[^"]', text)
    assert "import " not in text.rpartition("<script")[2]


def test_sound_comes_back_as_it_was(tmp_path: Path) -> None:
    t = np.arange(24_000) / 24_000
    tone = (8_000 * np.sin(2 * np.pi * 300 * t)).astype("<i2")
    told = sound_of(tone.tobytes(), bytes(tone.nbytes), 70.0)
    codes = np.frombuffer(zlib.decompress(base64.b64decode(told["pcm"])), np.int8).astype(float)
    back = np.sign(codes) * (256 ** (np.abs(codes) / 127) - 1) / 255
    caller, agent = back[:12_000], back[12_000:]
    assert not agent.any()
    assert np.abs(caller - tone[::2] / 32_768)[200:-200].max() < 0.01
    peaks = np.frombuffer(base64.b64decode(told["caller"]), np.uint8)
    assert len(peaks) == 100
    assert peaks.max() == pytest.approx(8_000 / 32_768 * 255, abs=1.5)
    assert sound_of(b"", b"", 0.0) is None


def test_a_call_is_told_alike_while_it_happens_and_afterwards(tmp_path: Path) -> None:
    """A page that looks on is given the very steps that the page of the trace has."""
    live, steps = Telling(start(silent_policy())), []
    script = (*BARGE_IN, at(9000, ev.CallerHungUp))
    later = document_of(traced(tmp_path / "call.trace", script, lambda event, answer: steps.append(live.step(event, answer))))
    assert (live.head(), steps, live.end()) == (
        {key: later[key] for key in ("callfsm_page", "tables", "call")},
        later["steps"],
        later["end"],
    )
