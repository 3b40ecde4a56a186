"""The rules that a call must keep, each with the rows that name it, the tests that claim it, and what went red when it was broken.

A row names a rule where its guard, its reason, one of its acts or one of its states does (`R36`); a test, in its docstring. So this list
cannot say more than the tables and the tests do; and what it says is proved was found by breaking what names the rule
(`python -m tests.mutants.proving`).
"""

import ast
import json
import re
from functools import cache
from pathlib import Path

import attrs

from fsm.call.machine import CALL
from fsm.engine.notation import Row

_ROOT = Path(__file__).parents[2]
TESTS = _ROOT / "tests" if (_ROOT / "pyproject.toml").exists() else None
"""The folder with the tests; an installed package has none."""

PROVED = Path(__file__).with_name("proved.json")
"""What the breaks of each rule's rows and functions were noticed by."""

RULES: tuple[str, ...] = (
    "a response is cancelled at most once",
    "an error to a cancel is harmless, and one side owns interruption",
    "an error is matched to the command that caused it, or touches nothing",
    "one place sends cancels",
    "a cancel that did not leave may be sent again",
    "what has ended is remembered, and never cancelled",
    "all memory belongs to the call and is bounded",
    "a response lives until its terminal event",
    "late sound of a cancelled response is dropped",
    "whatever comes back names its id and epoch",
    "at most one response is asked for or generated",
    "every create names its cause, one a turn",
    "one place sends creates",
    "a create has a deadline",
    "every terminal status has its own transition; failures are recovered, boundedly",
    "words without sound are cancelled and asked for again",
    "watchdogs are rows of the same tables",
    "a fatal failure ends the call at once",
    "no create while the caller speaks",
    "a transcript never interrupts",
    "a turn told twice is answered once",
    "speech and accepted text are separate facts",
    "no guard flushes what is heard",
    "a caller's turn closes, with or without text",
    "a stop command closes the turn without an answer",
    "the caller's sound always flows to the model",
    "speaking is what is heard, not what was sent",
    "nothing is interrupted when nothing is heard or on its way",
    "an interruption is verified: calibrated, lasting, no echo",
    "an interruption is one step, once a response",
    "only the interrupted response is flushed",
    "refusing a response cannot outlive it",
    "a newborn response is not cut by its own echo",
    "the model is told what was heard",
    "the greeting is locked only when it was accepted, and never for ever",
    "a protected greeting is protected at the server too, and retried once",
    "a greeting that comes too late is void",
    "an outbound call waits for its callee",
    "nothing is created before the session is confirmed",
    "no sound before the line is there",
    "a hang-up has a reason from a list",
    "a goodbye is followed by a hang-up in whatever order its facts come",
    "a goodbye is said once",
    "a hang-up waits for what is heard, and not for ever",
    "a caller who speaks withdraws the goodbye",
    "a goodbye is the final words of one response",
    "one hang-up a call",
    "no hang-up in the greeting",
    "a deadline of the past is nothing",
    "nothing is asked for after the end",
    "silence counts from the end of what is heard",
    "silence is not counted while something goes on",
    "what silence leads to is policy",
    "prompts to a silent caller are spaced and bounded",
    "one monotonic clock, put in from outside",
    "the audio path does nothing but audio",
    "sound that is dropped is counted",
    "unheard sound is bounded",
    "a dead receiver closes the call",
    "graceful closes and expiry are events",
    "one owner a call id",
    "only the line's end counts while closing",
    "a keypad entry is handed in once",
    "a sentence is tracked from its request to its sound",
    "an interruption stops the voice first, then the synthesis, then the queue",
    "a cancelled sentence is never played",
    "no guard of a synthesis outlives its turn",
    "speech between create and created interrupts too",
    "no delta of an interrupted response is heard",
    "a second speech_started changes nothing",
    "a truncate says what the device played",
    "another response's end ends nothing",
    "no create before the cancelled response has ended",
    "a held voice is resumed or interrupted, by a deadline",
    "generated, synthesised and heard are three facts",
    "a turn spoken during the greeting is not stranded",
    "a synthesis does not outlive its response",
    "every wait has an end",
    "speaking without progress ends",
    "a running tool is a state",
    "noise does not refill the silence",
    "a call has a maximum duration",
    "a hang-up is answered in every state",
    "a malformed or unknown event is set aside",
    "a lost session ends the call, and says why",
    "the application is told once that the call is over",
    "a bug closes its own call alone",
    "each item is corrected by what was heard of it, whoever flushed",
    "a tool call is run once, however it is told",
    "what the caller cut off is not carried out",
    "an answer is what was heard",
    "a wait that the server states is kept",
    "every wish is a debt, which nothing else may drop",
    "a short answer is an answer",
    "a commit that the server refuses is no turn",
    "live data is never redacted",
    "silence in the middle of an answer is bounded",
    "a webhook told twice changes nothing",
    "a goodbye is said, not mentioned",
    "a voice is given words",
    "a key may interrupt a prompt",
    "an absent field contradicts nothing",
    "the wire that is spoken is the server's",
    "one session a call",
    "foreign code and onlookers end nothing",
    "a silent connection costs nothing",
    "the record of a call that died is read up to its last whole line",
    "what one call writes to a log is bounded",
    "a policy that contradicts itself is refused",
    "a call outlives its process, and one process alone acts for it",
)
"""Each rule in a few words, R01 first."""


@attrs.frozen
class Kept:
    """A rule, the rows that name it, and the tests that claim it."""

    number: int
    title: str
    rows: tuple[Row, ...]
    tests: tuple[str, ...]
    breaks: int = 0
    """How many breaks of what names it were noticed."""
    noticed_by: tuple[tuple[str, int], ...] = ()
    """The tests that noticed most of them, and how many each: it went red before the others were asked."""

    @property
    def name(self) -> str:
        """`R07`."""
        return f"R{self.number:02d}"


def kept(tests: Path | None = TESTS) -> tuple[Kept, ...]:
    """Every rule; `tests` is the folder with the tests: without it no rule names one."""
    rows = [(row, numbers_in(words_of(row))) for region in CALL.regions for row in region.rows]
    claims = [(name, numbers_in(text)) for name, text in (_claims(tests) if tests else ())]
    return tuple(
        Kept(
            number,
            title,
            tuple(row for row, numbers in rows if number in numbers),
            tuple(name for name, numbers in claims if number in numbers),
            *_proved().get(f"R{number:02d}", ()),
        )
        for number, title in enumerate(RULES, start=1)
    )


@cache
def _proved() -> dict[str, tuple[int, tuple[tuple[str, int], ...]]]:
    found = json.loads(PROVED.read_text(encoding="utf-8"))
    return {name: (one["breaks"], tuple(one["noticed_by"].items())) for name, one in found.items()}


def words_of(row: Row) -> str:
    """What the row's parts say of themselves."""
    target = row.then.target.doc if row.then.target else ""
    parts = [row.guard, *row.then.acts]
    return " ".join([row.then.reason, row.state.doc, target, *(part.__doc__ or "" for part in parts)])


def _claims(tests: Path) -> list[tuple[str, str]]:
    """Each test's name and docstring, with that of its module for a module about one thing."""
    found: list[tuple[str, str]] = []
    for path in sorted(tests.rglob("test_*.py"), key=lambda path: path.stem):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                found.append((f"{path.stem}::{node.name}", ast.get_docstring(node) or ""))
    return found


def numbers_in(text: str) -> set[int]:
    """The rules that a text names: `R07`, and all of `R51 to R54`."""
    spans = {number for low, high in re.findall(r"R(\d{2,3}) to R(\d{2,3})", text) for number in range(int(low), int(high) + 1)}
    return spans | {int(number) for number in re.findall(r"\bR(\d{2,3})\b", text)}
