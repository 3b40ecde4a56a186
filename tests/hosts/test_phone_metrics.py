"""Claims about the figures of the phone server, its log, and the operators' page, which names every one of them."""

import io
import json
import logging
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import anyio
import pytest

from adapters.hosts.phone import log as phone_log
from adapters.hosts.phone.calls import Calls, Refused
from adapters.hosts.phone.metrics import MOST_CODES, SYNTHESIS_OUTCOMES, CallFigures, Metrics
from adapters.seam.driver import Driver
from adapters.twilio.watched import WatchedChannel
from adapters.twilio.wire import clear, mark, media
from fsm.call import effects as fx, events as ev
from fsm.call.machine import step
from fsm.call.policy import Policy
from fsm.call.snapshot import start
from fsm.engine.machine import Step
from tests.shared.shell import BARGE_IN, Puppet, at, drive

PHONE = Path(phone_log.__file__).parent
PAGE = (PHONE / "OPERATING.md").read_text(encoding="utf-8")


def metrics(**more: Any) -> Metrics:
    return Metrics(Calls(20), **more)


def value(of: Metrics, name: str, **labels: str) -> float:
    return of.registry.get_sample_value(f"callfsm_{name}", labels) or 0.0


# The operators' page.


def test_every_figure_is_on_the_operators_page() -> None:
    named = {family.name for family in metrics(rows=True, machine="m1").registry.collect() if family.name.startswith("callfsm_")}
    assert len(named) > 20
    assert {name for name in named if f"`{name}`" not in PAGE} == set()
    assert {name for name in re.findall(r"`(callfsm_\w+)`", PAGE) if name not in named} == set()


def test_every_reason_is_on_the_operators_page_with_its_words() -> None:
    for reason in fx.Reason:
        assert f"| `{reason.name.lower()}` | {reason.value} |" in PAGE


def test_every_refusal_is_on_the_operators_page() -> None:
    for why in Refused:
        assert f"| `{why.value}` |" in PAGE


def test_every_event_of_the_log_is_on_the_operators_page() -> None:
    sources = [path.read_text(encoding="utf-8") for path in Path(phone_log.__file__).parent.glob("*.py")]
    events = {name for source in sources for name in re.findall(r"tell(?:_bug)?\(\s*(?:[\w.\[\]]+,\s*)?\"(\w+)\"", source)}
    assert events >= {"call_began", "call_ended", "call_crashed", "refused", "drain_began"}
    assert {event for event in events if f"`{event}`" not in PAGE} == set()


# The dashboard, and the alert rules.

FIGURES = re.compile(r"\b((?:callfsm|process)_\w+)(\{[^{}]*\})?")


def expressions(name: str) -> list[str]:
    """What a file asks Prometheus for."""
    text = (PHONE / name).read_text(encoding="utf-8")
    if name.endswith(".json"):
        return [target["expr"] for panel in json.loads(text)["panels"] for target in panel["targets"]]
    found = re.findall(r"^ +expr: (?:>-\n((?: {10}.*\n)+)|(.*))", text, re.MULTILINE)
    return [" ".join((folded or line).split()) for folded, line in found]


@pytest.mark.parametrize("name", ["dashboard.json", "alerts.yaml"])
def test_the_dashboard_and_the_rules_ask_for_what_the_server_exports(name: str) -> None:
    kept = metrics()
    kept.cancels.labels("response", "cancelled")
    kept.count_error("boom")
    samples = [sample for family in kept.registry.collect() for sample in family.samples]
    labels: dict[str, set[str]] = {}
    for sample in samples:
        labels.setdefault(sample.name, set()).update(sample.labels)
    asked = expressions(name)
    assert len(asked) >= 10
    for expression in asked:
        for figure, chosen in FIGURES.findall(expression):
            assert figure in labels, expression
            for label, wanted in re.findall(r"(\w+)=~?\"([^\"]*)\"", chosen):
                assert label in labels[figure] | {"instance"}, expression
                if label != "instance":
                    assert set(wanted.split("|")) <= {sample.labels[label] for sample in samples if sample.name == figure}, expression
        by = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in re.split(r",\s*", group)}
        assert by <= {"instance"} | {label for figure, _ in FIGURES.findall(expression) for label in labels[figure]}, expression


def test_each_rule_says_what_is_wrong_and_how_soon_to_look() -> None:
    text = (PHONE / "alerts.yaml").read_text(encoding="utf-8")
    alerts = re.findall(r"- alert: (\w+)\n", text)
    assert len(set(alerts)) == len(alerts) == text.count("expr:") == text.count("summary:") == text.count("labels: {severity: ")


# What is counted.


@pytest.mark.virtual_time
async def test_an_interruption_and_its_cancel_are_counted_once() -> None:
    kept = metrics(rows=True)
    puppet = Puppet(script=BARGE_IN)
    policy = Policy(greeting=False, voice="realtime")
    figures = CallFigures(kept, start(policy))
    with anyio.move_on_after(4):
        await Driver(start(policy), [puppet], [figures]).run()
    figures.end(fx.TellEnded(fx.Reason.CALLER_HUNG_UP), Counter({"hang-ups timed out": 1, "set aside: not JSON": 3}))
    assert value(kept, "barge_ins_total") == 1
    assert value(kept, "cancels_total", what="response", outcome="cancelled") == 1
    assert value(kept, "false_alarms_total") == 0
    assert value(kept, "ended_total", reason="caller_hung_up") == 1
    assert value(kept, "hang_ups_failed_total") == 1
    assert value(kept, "messages_set_aside_total") == 3
    assert value(kept, "call_seconds_count") == 1
    assert value(kept, "rows_total", row="phase:AI_SPEAKING/BargedIn/still_generated") == 1


def test_an_answer_is_timed_once_it_is_heard_and_its_parts_make_it_up() -> None:
    kept, call = metrics(), start(Policy(greeting=False, voice="realtime"))
    figures = CallFigures(kept, call, _no_time)
    drive("trio", [Puppet((*BARGE_IN, at(9_000, ev.CallerHungUp)))], figures, policy=call.policy)
    assert value(kept, "answer_seconds_count", to="turn") == 1, "the second turn was not answered"
    assert value(kept, "answer_seconds_sum", to="turn") == pytest.approx(0.4)
    parts = {
        part: value(kept, "answer_part_seconds_sum", part=part) for part in ("end_of_turn", "asked", "created", "first_sound", "heard")
    }
    assert sum(parts.values()) == pytest.approx(0.4)
    assert parts["first_sound"] == pytest.approx(0.3)


def test_a_sound_that_did_not_last_is_a_false_alarm() -> None:
    kept = metrics()
    policy = Policy(greeting=False, voice="realtime")
    script = (*BARGE_IN[:12], at(1_500, ev.SpeechStarted, "u2"), at(1_600, ev.SpeechStopped, "u2"), at(1_700, ev.CallerHungUp))
    drive("trio", [Puppet(script=script)], CallFigures(kept, start(policy), _no_time), policy=policy)
    assert (value(kept, "false_alarms_total"), value(kept, "barge_ins_total")) == (1, 0)


def _no_time() -> float:
    return 0.0


def test_errors_are_counted_by_code_and_codes_are_bounded() -> None:
    kept = metrics()
    for code in ("rate_limited", "rate_limited", "the caller said hello", "", "x" * 100):
        kept.count_error(code)
    assert value(kept, "errors_total", code="rate_limited") == 2
    assert value(kept, "errors_total", code="other") == 3
    for number in range(2 * MOST_CODES):
        kept.count_error(f"code_{number}")
    [errors] = [family for family in kept.registry.collect() if family.name == "callfsm_errors"]
    assert len({sample.labels["code"] for sample in errors.samples}) == MOST_CODES + 1
    kept.count_error("rate_limited")
    assert value(kept, "errors_total", code="rate_limited") == 3, "a code that is known stays known"


def test_an_error_and_the_refusal_that_it_words_are_counted_once() -> None:
    kept, call = metrics(), start(Policy(greeting=False, voice="realtime"))
    figures = CallFigures(kept, call, _no_time)
    worded = (ev.ErrorReceived(10, "bad", "The model is away."), ev.CreateRefused(10, "bad"), ev.CreateRefused(20, "bad"))
    for event in (*worded, ev.ErrorReceived(30, "unknown_error", "No."), ev.ResponseFailed(30, "r1", "")):
        answer = step(call, event)
        figures(event, answer)
        call = answer.snapshot
    assert value(kept, "errors_total", code="bad") == 2
    assert value(kept, "errors_total", code="unknown_error") == 1
    assert value(kept, "errors_total", code="other") == 0


def test_every_outcome_of_a_synthesis_cancel_has_its_label() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in Path(phone_log.__file__).parents[2].glob("chatterbox/*.py"))
    for outcome in SYNTHESIS_OUTCOMES:
        assert f'"{outcome.replace("_", " ")}"' in source


def test_rows_are_not_counted_unless_asked_for() -> None:
    assert metrics().rows is None


class Sink:
    """A channel that takes everything."""

    async def receive(self) -> str:
        raise AssertionError("nobody speaks")

    async def send(self, text: str) -> None:
        """Take it."""

    async def close(self) -> None:
        """Nothing."""


class Seen:
    """An onlooker."""

    def __init__(self) -> None:
        self.frames: list[bool] = []
        self.clears = 0

    def note_clear(self) -> None:
        self.clears += 1

    def note_frame(self, late: bool) -> None:
        self.frames.append(late)


async def test_a_frame_is_late_when_the_line_has_run_dry_under_the_voice() -> None:
    """Five frames at once are 100 ms of sound: the sixth may come then, not 10 ms later; a clear or a long silence begins anew."""
    seen, now = Seen(), [0.0]
    channel = WatchedChannel(Sink(), lambda: now[0])
    channel.onlooker = seen
    for at_s, text in (
        *((0.0, media("MZ", b"\xff" * 160)) for _ in range(5)),
        (0.1, media("MZ", b"\xff" * 160)),
        (0.13, media("MZ", b"\xff" * 160)),
        (0.14, mark("MZ", "m")),
        (0.14, clear("MZ")),
        (0.2, media("MZ", b"\xff" * 160)),
        (2.0, media("MZ", b"\xff" * 160)),
    ):
        now[0] = at_s
        await channel.send(text)
    assert seen.frames == [False] * 6 + [True, False, False]
    assert seen.clears == 1


def test_silence_is_timed_from_the_callers_sound_to_the_clear() -> None:
    kept, now = metrics(), [10.0]
    call = start(Policy(greeting=False, voice="realtime"))
    figures = CallFigures(kept, call, lambda: now[0])
    figures.note_clear()
    figures(ev.SpeechStarted(0.0, "u"), Step(call, (fx.Hold(),), ()))
    now[0] = 10.004
    figures.note_clear()
    figures.note_clear()
    assert value(kept, "silence_seconds_count") == 1
    assert value(kept, "silence_seconds_sum") == pytest.approx(0.004)
    figures(ev.SpeechStarted(0.0, "u"), Step(call, (fx.Hold(),), ()))
    now[0] = 20.0
    figures.note_clear()
    assert value(kept, "silence_seconds_count") == 1, "nothing was there to be cleared then"


# The log.


def logged(write: Any) -> list[dict[str, Any]]:
    stream = io.StringIO()
    with phone_log.logging_to(stream):
        write()
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_of_the_log_is_json() -> None:
    def write() -> None:
        phone_log.tell(logging.WARNING, "refused", "CA1-1", why="busy", number=3)

    [line] = logged(write)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("at"))
    assert line == {"level": "warning", "event": "refused", "call": "CA1-1", "why": "busy", "number": 3}


def test_an_exception_is_logged_without_its_text() -> None:
    def write() -> None:
        try:
            try:
                raise KeyError("my number is 030 1234567")
            except KeyError as bug:
                raise ExceptionGroup("the caller said", [bug]) from None
        except ExceptionGroup as bug:
            phone_log.tell_bug("call_crashed", bug, "CA1-1")
            logging.getLogger("callfsm.tools").exception("the tool failed")

    lines = logged(write)
    assert [line["type"] for line in lines] == ["KeyError", "KeyError"]
    assert "write" in lines[0]["where"][-1]
    assert "030" not in json.dumps(lines)
    assert "the caller said" not in json.dumps(lines)


def test_libraries_are_quiet_and_masked() -> None:
    def write() -> None:
        logging.getLogger("httpx").info("POST https://api.twilio.com")
        logging.getLogger("websockets.server").warning("from +15005550006\nand more")

    [line] = logged(write)
    assert line["words"] == "from … and more"


def test_words_from_outside_are_short_and_hold_no_number() -> None:
    for number in ("+15005550006", "030 123 45 67", "(500) 555-0006", "15005550006"):
        assert not re.search(r"\d{3}", phone_log.masked(f"call {number} back"))
    assert len(phone_log.masked("word " * 1_000)) == phone_log.MAX_CHARS
    assert phone_log.masked("closed with 1011, error 31920") == "closed with 1011, error 31920"
    assert phone_log.last_digits("+15005550006") == "…06"
    assert phone_log.last_digits("06") == "…"


def test_the_log_leaves_logging_as_it_was() -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    with phone_log.logging_to(sys.stderr):
        pass
    assert (root.handlers[:], root.level) == before
