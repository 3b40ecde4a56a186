"""The committed diagrams say what the tables say."""

import re
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import attrs
import pytest

from adapters.telling.diagrams import page as pages
from adapters.telling.diagrams.curves import Curve, badges, confusions, curves
from adapters.telling.diagrams.dot import ways
from adapters.telling.diagrams.drawing import FOLDER, files, stale, starts, write
from adapters.telling.diagrams.page import DiagramError, laid_out
from adapters.telling.diagrams.parts import drawing
from adapters.telling.diagrams.sequence import TO, UNDRAWN, barge_in, mermaid_sequence
from fsm import CALL, Call
from fsm.call import effects as fx, events as ev
from fsm.call.states import AI_SPEAKING, CANCELLING, CLOSING, GREETING_LOCK, LISTENING
from fsm.engine.machine import Machine
from fsm.engine.notation import Declared, Region, Row, State, always, go, ignore, region, row
from tests.shared.shell import python

MADE = files()
A4_PT = (595, 842)
"""The sheet, upright."""


def changed(name: str, change: Callable[[Declared], Declared], states: tuple[State, ...] | None = None) -> Machine[Call]:
    """The call with `change` made to each declared row of the region `name`."""

    def altered(part: Region) -> Region:
        if part.name != name:
            return part
        rows = [change(declared) for declared in part.declared]
        return region(name, *rows, doc=part.doc, record=part.record, states=states or part.states, expired=part.expired)

    return Machine(Call, [altered(part) for part in CALL.regions], CALL.events, CALL.signals)


def section(part: Region, state: State) -> list[list[str]]:
    """The cells of the lines of a state's table in transitions.md."""
    for block in MADE["transitions.md"].split(f"\n### {part.name}: ")[1:]:
        head, _, rest = block.partition("\n")
        if state.name in head.split(", "):
            lines = [line for line in re.split(r"\n#", rest)[0].splitlines() if line.startswith("| ")][2:]
            return [[cell.strip() for cell in line.strip("|").split(" |")] for line in lines]
    raise AssertionError(f"{part.name}: {state.name} has no table")


def test_the_committed_diagrams_are_not_stale() -> None:
    assert stale(FOLDER) == [], "remake them: python -m adapters.telling.diagrams.drawing"


def test_the_same_table_draws_the_same_bytes_in_another_process() -> None:
    code = (
        "import sys; from adapters.telling.diagrams import drawing; sys.stdout.buffer.write(repr(sorted(drawing.files().items())).encode())"
    )
    assert python("-c", code, text=False, PYTHONHASHSEED="7").stdout == repr(sorted(MADE.items())).encode()


@pytest.mark.parametrize("part", CALL.regions, ids=lambda part: part.name)
def test_every_row_that_enters_a_state_is_an_edge(part: Region) -> None:
    drawn = drawing(part, {part.starts: ""})
    told = {
        (source, edge.target, event.removeprefix("other "), line.guard)
        for edge in (*drawn.edges, *drawn.restarts, *drawn.endings)
        for source in edge.sources
        for line in edge.lines
        for event in line.events
    }
    for entering in (each for each in part.rows if each.then.target):
        guards = ("", "else") if entering.unconditional else (entering.guard.__name__,)
        assert any((entering.state, entering.then.target, entering.on.__name__, guard) in told for guard in guards), entering.name


@pytest.mark.parametrize("part", CALL.regions, ids=lambda part: part.name)
def test_every_event_guard_state_and_deadline_of_an_edge_can_be_read_in_both_pictures(part: Region) -> None:
    svg = " ".join(
        "".join(text.itertext()) for text in ElementTree.fromstring(MADE[f"{part.name}.svg"]).iter() if text.tag.endswith("}text")
    )
    for picture in (svg, MADE[f"{part.name}.mmd"]):
        words = set(re.findall(r"\w+", picture))
        for entering in (each for each in part.rows if each.then.target):
            assert entering.on.__name__ in words, entering.name
            assert entering.unconditional or entering.guard.__name__ in words, entering.name
        for state in part.states:
            assert state.name in words
            assert state.at_most is None or set(re.findall(r"[a-z]\w+", state.at_most.__name__.lstrip("_").replace("_once", ""))) <= words


@pytest.mark.parametrize("part", CALL.regions, ids=lambda part: part.name)
def test_every_row_is_in_the_transition_table(part: Region) -> None:
    for written in part.rows:
        if not any(reaches(part, written, event) for event in CALL.alphabet):
            continue
        told = [cells for cells in section(part, written.state) if f"`{written.on.__name__}`" in cells[0]]
        assert any(says(cells, written) for cells in told), written.name


def reaches(part: Region, written: Row, event: type) -> bool:
    """Does no unconditional row above `written` answer `event` for it?"""
    above = part.rows[: part.rows.index(written)]
    shadowed = any(other.state is written.state and other.unconditional and issubclass(event, other.on) for other in above)
    return issubclass(event, written.on) and not shadowed


def says(cells: list[str], written: Row) -> bool:
    """Does a line of the table say what the row says?"""
    _, guard, then, because = cells
    asks = guard == ("" if written.unconditional else f"`{written.guard.__name__}`")
    if written.ignores:
        return asks and then == "ignored" and because == written.then.reason
    where = f"go **{written.then.target.name}**" if written.then.target else "stay"
    return (
        asks
        and then.startswith(where)
        and re.findall(r"`(\w+)`", then) == [act.__name__.removeprefix("raises_") for act in written.then.acts]
    )


@pytest.mark.parametrize("part", CALL.regions, ids=lambda part: part.name)
def test_every_pair_of_state_and_event_is_answered_in_the_transition_table(part: Region) -> None:
    for state in part.states:
        unconditional = [cells[0] for cells in section(part, state) if not cells[1]]
        named = {name for cell in unconditional for name in re.findall(r"`(\w+)`", cell)}
        for event in CALL.alphabet:
            assert named & {kind.__name__ for kind in event.__mro__}, (state.name, event.__name__)


def test_the_glossary_explains_every_word() -> None:
    text = MADE["transitions.md"]
    glossary = text[text.index("\n## Events") :]
    words = [event.__name__ for event in CALL.alphabet]
    words += [act.__name__.removeprefix("raises_") for part in CALL.regions for row in part.rows for act in row.then.acts]
    words += [row.guard.__name__ for part in CALL.regions for row in part.rows if not row.unconditional]
    for word in words:
        assert re.search(rf"`{word}`(: | \| )\S", glossary), word
    assert not re.search(r"\| +\| ", text[text.index("\n## Effects") :]), "a word without a docstring"


def test_every_deadline_is_listed_with_its_default() -> None:
    text = MADE["transitions.md"]
    deadlines = text[text.index("\n## Deadlines") : text.index("\n## Events")]
    assert "| response | **cancel_in_flight** | `cancel_ack_ms` | 600 ms | `ResponseExpired` |" in deadlines
    assert deadlines.count("\n| ") - 2 == sum(state.at_most is not None for part in CALL.regions for state in part.states)


def other_reason(declared: Declared) -> Declared:
    if declared.then.reason == "the call is over":
        return attrs.evolve(declared, then=ignore("nobody is there"))
    return declared


def no_way_back(declared: Declared) -> Declared:
    leads_back = declared.states == (CANCELLING,) and declared.events == (ev.CancelUnsent,)
    return row(CANCELLING, ev.CancelUnsent, declared.guard, go(CLOSING)) if leads_back else declared


@pytest.mark.parametrize(
    ("change", "wrong"),
    [(other_reason, ["transitions.md"]), (no_way_back, ["phase.mmd", "phase.svg", "transitions.md"])],
)
def test_a_changed_row_makes_what_shows_it_stale(change: Callable[[Declared], Declared], wrong: list[str], tmp_path: Path) -> None:
    write(tmp_path)
    assert stale(tmp_path, changed("phase", change)) == wrong


def test_a_changed_answer_to_an_interruption_makes_the_sequence_stale(tmp_path: Path) -> None:
    def forgets_nothing(declared: Declared) -> Declared:
        answers_flush = declared.events == (ev.PlayoutStopped,) and declared.then.target
        return attrs.evolve(declared, then=attrs.evolve(declared.then, acts=())) if answers_flush else declared

    write(tmp_path)
    assert "barge_in.mmd" in stale(tmp_path, changed("truncation", forgets_nothing))


def test_writing_makes_what_is_missing_and_removes_what_is_left_over(tmp_path: Path) -> None:
    folder = tmp_path / "diagrams"
    assert {path.name for path in write(folder)} == set(MADE)
    assert write(folder) == []
    (folder / "phase.svg").write_text("old")
    (folder / "mood.svg").write_text("of a region that is gone")
    (folder / "notes.txt").write_text("no diagram")
    assert stale(folder) == ["mood.svg", "phase.svg"]
    assert [path.name for path in write(folder)] == ["mood.svg", "phase.svg"]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*MADE, "notes.txt"])
    assert stale(folder) == []


def test_a_missing_folder_is_stale_and_not_an_error(tmp_path: Path) -> None:
    assert stale(tmp_path / "none") == sorted(MADE)


def test_a_missing_program_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PROGRAM", "no-such-graphviz")
    with pytest.raises(DiagramError, match="not installed: pip install 'callfsm"):
        files()


@pytest.mark.parametrize("part", CALL.regions, ids=lambda part: part.name)
def test_a_diagram_fits_a_sheet_of_a4_in_type_that_can_be_read(part: Region) -> None:
    svg = MADE[f"{part.name}.svg"]
    size = re.match(r'<svg width="(\d+)pt" height="(\d+)pt"', svg)
    short, long = sorted(map(int, size.groups()))
    assert (short <= A4_PT[0], long <= A4_PT[1]) == (True, True), (short, long)
    assert min(float(points) for points in re.findall(r'font-size="([\d.]+)"', svg)) >= 10
    assert "scale(" not in svg.replace("scale(1 1)", "")


@pytest.mark.parametrize("part", CALL.regions, ids=lambda part: part.name)
def test_no_two_arrows_of_a_diagram_can_be_taken_for_one_another(part: Region) -> None:
    page = laid_out(drawing(part, starts(part)))
    arrows = curves(page.graph.text)
    assert arrows
    assert [(one.ends, other.ends) for one, other in confusions(arrows)] == []


@pytest.mark.parametrize("part", CALL.regions, ids=lambda part: part.name)
def test_every_way_has_its_words_on_it_or_a_number_with_words_in_the_key(part: Region) -> None:
    drawn = drawing(part, starts(part))
    page = laid_out(drawn)
    numbered = {arrow.number for arrow in curves(page.graph.text)} - {""}
    assert numbered == ({str(number) for number in range(1, len(ways(drawn)) + 1)} if page.key else set())
    assert {badge.number for badge in badges(page.graph.text)} == numbered
    keyed = "".join(column.text for _, _, column in page.key)
    assert numbered <= set(re.findall(r">(\d+)</text>", keyed))


def arrow(ends: tuple[str, str], *points: tuple[float, float]) -> Curve:
    return Curve(ends, "", points, ((0, 0), (200, 200)))


def test_arrows_that_run_side_by_side_can_be_confused_unless_they_part_at_a_state_that_they_share() -> None:
    def straight(ends: tuple[str, str], y: float) -> Curve:
        return arrow(ends, *((x, y) for x in range(0, 200, 5)))

    assert confusions((straight(("a", "b"), 0), straight(("c", "d"), 4))) != []
    assert confusions((straight(("a", "b"), 0), straight(("c", "d"), 9))) == []
    assert confusions((straight(("a", "b"), 0), straight(("c", "b"), 4))) == []


def test_several_starts_say_which_call_begins_at_each() -> None:
    several = [part for part in CALL.regions if len(starts(part)) > 1]
    assert several
    for part in CALL.regions:
        for state, words in starts(part).items():
            assert bool(words) == (part in several)
            assert words in MADE[f"{part.name}.svg"]
            assert f"[*] --> {state.name}{' : ' if words else ''}{words}\n" in MADE[f"{part.name}.mmd"]


def test_what_ends_every_state_is_drawn_once_from_the_frame_around_them() -> None:
    drawn = drawing(next(part for part in CALL.regions if part.name == "phase"), {LISTENING: ""})
    assert drawn.living == (LISTENING, GREETING_LOCK, AI_SPEAKING, CANCELLING)
    assert all(edge.sources == drawn.living for edge in drawn.endings)
    assert "live --> closing" in MADE["phase.mmd"]


def test_mermaid_has_only_lines_that_its_grammar_has() -> None:
    state_line = re.compile(
        r"stateDiagram-v2|    direction TB|    state live \{|    \}| +\w+ : [^:;#{}]+"
        r"| +\[\*\] --> \w+( : [^:;#{}]+)?| +\w+ --> (\w+ : [^:;#{}]+|\[\*\])"
    )
    for part in CALL.regions:
        for line in MADE[f"{part.name}.mmd"].splitlines():
            assert state_line.fullmatch(line), line
    arrow = re.compile(r"sequenceDiagram| +autonumber| +(participant|actor) \w+ as .+| +\w+-?->>\w+: [^;#]+| +Note over \w+: [^;#]+")
    for line in MADE["barge_in.mmd"].splitlines():
        assert arrow.fullmatch(line), line


def test_the_barge_in_is_silent_first_and_tells_the_network_next() -> None:
    asked = [type(effect) for moment in barge_in(CALL) for effect in moment.effects if not isinstance(effect, fx.Log)]
    assert asked == [
        fx.Hold,
        fx.Flush,
        fx.Resume,
        fx.CancelSynthesis,
        fx.CancelResponse,
        fx.RewriteItem,
        fx.CreateResponse,
        fx.Admit,
    ]
    told = mermaid_sequence(CALL)
    assert all(f": {kind.__name__}" in told for kind in asked)


def test_every_effect_has_a_place_in_a_sequence() -> None:
    effects = {thing for thing in vars(fx).values() if isinstance(thing, type) and issubclass(thing, fx.Effect)} - {fx.Effect}
    assert effects == {*TO, *UNDRAWN}


def test_an_unconditional_row_under_a_guarded_one_reads_else() -> None:
    part = next(part for part in CALL.regions if part.name == "phase")
    lines = {line.text for edge in drawing(part, {LISTENING: ""}).edges if edge.target is LISTENING for line in edge.lines}
    assert "BargedIn or PlayoutOver [else]" in lines
    assert always.__name__ not in MADE["phase.mmd"]


@pytest.mark.parametrize("part", CALL.regions, ids=lambda part: part.name)
def test_mermaid_draws_or_names_every_source_of_every_edge(part: Region) -> None:
    drawn = drawing(part, {part.starts: ""})
    edges = {
        (source.name, edge.target.name, line.text)
        for edge in (*drawn.edges, *drawn.restarts)
        for source in edge.sources
        for line in edge.lines
    }
    read = set()
    for source, target, label in re.findall(r"^ +(?!live)(\w+) --> (\w+) : (.+)$", MADE[f"{part.name}.mmd"], re.MULTILINE):
        lines, _, named = label.partition("<br/>also from ")
        sources = [source, *named.replace("<br/>", " ").split(", ")] if named else [source]
        read |= {(each, target, line) for each in sources for line in lines.split("<br/>")}
    assert read == edges
