"""The score as tables, and the verdict: what survived, and which equivalents are none."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import attrs
from rich.table import Table

from .equivalents import EQUIVALENTS, Equivalent, pattern_of, patterns
from .judging import By, Finding

CAUGHT = (By.CHECK, By.CLAIM, By.CASE, By.PROOF)


@attrs.frozen
class Verdict:
    """What is wrong: mutants that nobody notices and no list names, listed ones that somebody does, and entries that list no mutant."""

    survivors: tuple[Finding, ...]
    told: tuple[Finding, ...]
    idle: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """A line for each."""
        yield from (f"SURVIVED  {one.name}" for one in self.survivors)
        yield from (f"NOTICED, though listed, by the {one.by} {one.word}  {one.name}" for one in self.told)
        yield from (f"NO SUCH MUTANT  {pattern}" for pattern in self.idle)


def verdict(findings: Iterable[Finding], listed: tuple[Equivalent, ...] = EQUIVALENTS, whole: bool = True) -> Verdict:
    """Judge the findings; if they are not of the `whole` set of mutants, an entry may list one that was not made."""
    findings = tuple(findings)
    used = {pattern_of(one.name, listed) for one in findings}
    return Verdict(
        tuple(one for one in findings if one.by is By.NOBODY and not pattern_of(one.name, listed)),
        tuple(one for one in findings if one.by is not By.NOBODY and pattern_of(one.name, listed)),
        tuple(pattern for pattern in patterns(listed) if whole and pattern not in used),
    )


def score_tables(findings: Iterable[Finding]) -> Iterator[Table]:
    """The score by table and by kind of change."""
    findings = tuple(findings)
    yield _score_table("table", findings, _table_of)
    yield _score_table("change", findings, _kind_of)


def percent(findings: Iterable[Finding]) -> float:
    """How many of the mutants that are no equivalents are caught, in percent; 100 if there are none."""
    counted = [one for one in findings if not _is_equivalent(one)]
    return 100 * sum(one.by in CAUGHT for one in counted) / len(counted) if counted else 100.0


def _table_of(finding: Finding) -> str:
    return finding.table


def _kind_of(finding: Finding) -> str:
    return finding.kind.value


def _is_equivalent(finding: Finding) -> bool:
    return finding.by is By.FORM or (finding.by is By.NOBODY and bool(pattern_of(finding.name)))


def _score_table(title: str, findings: tuple[Finding, ...], group_of: Callable[[Finding], str]) -> Table:
    table = Table(title, "made", *[by.value for by in CAUGHT], "equivalent", "survived", box=None, pad_edge=False)
    for column in table.columns[1:]:
        column.justify = "right"
    groups = list(dict.fromkeys(map(group_of, findings)))
    for group in groups:
        table.add_row(group, *_counts([one for one in findings if group_of(one) == group]))
    table.add_section()
    table.add_row("all", *_counts(findings), style="bold")
    return table


def _counts(findings: Iterable[Finding]) -> list[str]:
    findings = list(findings)
    by = Counter(one.by for one in findings)
    equivalent = sum(map(_is_equivalent, findings))
    survived = len(findings) - equivalent - sum(by[one] for one in CAUGHT)
    return [f"{count:,}" if count else "·" for count in (len(findings), *[by[one] for one in CAUGHT], equivalent, survived)]
