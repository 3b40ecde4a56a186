"""The fault script of the stand-in servers: what is read, what is refused in one line, and when a fault strikes."""

import signal
from pathlib import Path

import pytest

from adapters.standin.faults import Fault, Kind, Param, Repertoire, Schedule, ScriptError, parse, read
from adapters.standin.orders import Orders
from adapters.standin.realtime.faults import REALTIME

SCRIPTS = Path(__file__).parents[1] / "faults"
REALTIME_SCRIPTS = ("bad_day", "half_open", "lost_line", "no_money", "short_sessions")
TOY = Repertoire(
    server="toy",
    kinds={
        "bang": Kind("it bangs", {"loud": Param(3, low=1, high=9), "how": Param("once", choices=("once", "twice"))}),
        "wait": Kind("it waits", {"ms": Param(10.0)}, occasion="a meal"),
        "eat": Kind("it eats the event", strikes=frozenset({"apple"})),
    },
    events=frozenset({"apple", "pear"}),
    settings={"limit_s": Param(60.0, "how long", 1, 100)},
)
WHOLE = Repertoire(server="whole", kinds=dict(TOY.kinds), events=TOY.events, has_connections=False)


class Clock:
    """A clock that is set by hand, in seconds."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def schedule(text: str, *, connection: int = 1, clock: Clock | None = None) -> Schedule:
    """What strikes by a script of the toy."""
    return Schedule(parse(text, TOY), clock or Clock(), connection)


def names(faults: list[Fault]) -> list[str]:
    """The names of faults."""
    return [fault.name for fault in faults]


def test_a_script_is_read_with_its_settings_faults_and_defaults(tmp_path: Path) -> None:
    file = tmp_path / "day.toml"
    file.write_text(
        'limit_s = 5\n[[fault]]\nname = "bang"\nloud = 7\non = "pear"\nnth = 2\nconnection = "every"\n[[fault]]\nname = "wait"\n'
    )
    script = read(file, TOY)
    bang, wait = script.faults
    assert script.settings == {"limit_s": 5}
    assert (bang["loud"], bang["how"], bang.on, bang.nth, bang.connection) == (7, "once", "pear", 2, None)
    assert (wait["ms"], wait.at_s, wait.on, wait.nth, wait.connection) == (10.0, None, None, 1, 1)
    assert bang.told() == {"name": "bang", "loud": 7, "how": "once"}
    assert script.holds("wait") and not script.holds("eat")
    assert parse("", TOY).settings == {"limit_s": 60.0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[fault]", "day.toml: Expected ']]'"),
        ("limit = 5", "day.toml: limit is no setting; there is [[fault]], limit_s"),
        ("limit_s = 500", "day.toml: limit_s = 500: it takes a number from 1 to 100"),
        ("limit_s = nan", "it takes a number from 1 to 100"),
        ('fault = "bang"', "day.toml: write each fault under a line [[fault]]"),
        ("[[fault]]", "day.toml: fault 1: it has no name; there is bang, wait, eat"),
        (
            '[[fault]]\nname = "wait"\n[[fault]]\nname = "bng"',
            'day.toml: fault 2: name = "bng": no fault of the toy stand-in; there is bang,',
        ),
        ('[[fault]]\nname = "bang"', "day.toml: fault 1 (bang): it needs at_s, a time in seconds, or on, an event"),
        ('[[fault]]\nname = "bang"\nat_s = 1\nloud = "x"', 'fault 1 (bang): loud = "x": it takes a whole number from 1 to 9'),
        ('[[fault]]\nname = "bang"\nat_s = 1\nloud = true', "loud = true: it takes a whole number"),
        ('[[fault]]\nname = "bang"\nat_s = 1\nloud = 10', "loud = 10: it takes a whole number from 1 to 9"),
        ('[[fault]]\nname = "bang"\nat_s = 1\nhow = "no"', 'how = "no": it takes one of "once", "twice"'),
        ('[[fault]]\nname = "bang"\nat_s = 1\nms = 3', "it does not take ms; it takes loud, how, at_s, on, nth, connection"),
        ('[[fault]]\nname = "bang"\nat_s = -1', "at_s = -1: it takes a number from 0"),
        ('[[fault]]\nname = "bang"\nat_s = 1\nnth = 2', "at_s stands alone"),
        ('[[fault]]\nname = "bang"\nat_s = 1\non = "pear"', "at_s stands alone"),
        ('[[fault]]\nname = "bang"\non = "plum"', 'on = "plum": no event of the toy wire'),
        ('[[fault]]\nname = "bang"\non = ["pear"]', "no event of the toy wire"),
        ('[[fault]]\nname = "bang"\non = "pear"\nnth = 0', 'nth = 0: it takes a whole number from 1, or "every"'),
        ('[[fault]]\nname = "bang"\non = "pear"\nconnection = "all"', 'connection = "all": it takes a whole number from 1, or "every"'),
        ('[[fault]]\nname = "eat"\non = "pear"', "it is done to an event that the server sends"),
        ('[[fault]]\nname = "eat"\nat_s = 1', "on is missing"),
    ],
)
def test_a_script_that_asks_for_what_is_not_there_is_refused_in_one_line_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "day.toml"
    file.write_text(text)
    with pytest.raises(ScriptError) as refused:
        read(file, TOY)
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for file, says in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory"), (tmp_path / "binary", "UTF-8")):
        with pytest.raises(ScriptError, match=says):
            read(file, TOY)


def test_a_server_without_connections_takes_no_connection() -> None:
    with pytest.raises(ScriptError, match=r"it does not take connection; it takes loud, how, at_s, on, nth$"):
        parse('[[fault]]\nname = "bang"\nat_s = 1\nconnection = 1', WHOLE)
    assert parse('[[fault]]\nname = "bang"\nat_s = 1', WHOLE).faults[0].connection is None


def test_a_fault_on_an_event_strikes_at_the_one_that_it_names() -> None:
    its = schedule('[[fault]]\nname = "bang"\non = "pear"\nnth = 2\n[[fault]]\nname = "eat"\non = "apple"\nnth = "every"')
    told = [names(its.happened(event)) for event in ("pear", "apple", "pear", "apple", "pear", "plum")]
    assert told == [[], ["eat"], ["bang"], ["eat"], [], []]


def test_a_fault_at_a_time_is_told_with_the_seconds_that_are_left_soonest_first() -> None:
    clock = Clock()
    its = schedule('[[fault]]\nname = "bang"\nat_s = 5\n[[fault]]\nname = "bang"\nat_s = 2.5\nloud = 9', clock=clock)
    clock.now_s += 1
    assert [(left, fault["loud"]) for left, fault in its.timed()] == [(1.5, 9), (4.0, 3)]


def test_a_fault_that_needs_an_occasion_waits_for_the_one_that_it_counts() -> None:
    its = schedule('[[fault]]\nname = "wait"\nnth = 2')
    assert [its.occasion("wait") is not None for _ in range(4)] == [False, True, False, False]
    always = schedule('[[fault]]\nname = "wait"\nnth = "every"')
    assert all(always.occasion("wait") for _ in range(3)) and not always.armed("wait")


def test_after_its_event_it_waits_for_the_next_occasion_or_the_one_that_goes_on() -> None:
    text = '[[fault]]\nname = "wait"\non = "pear"'
    its, going_on = schedule(text), schedule(text)
    assert its.occasion("wait") is None
    assert its.happened("pear") == [] == its.timed()
    assert its.occasion("wait") and not its.occasion("wait")
    going_on.happened("pear")
    assert going_on.armed("wait") and not going_on.armed("wait")


def test_after_its_time_it_strikes_once() -> None:
    clock = Clock()
    its = schedule('[[fault]]\nname = "wait"\nat_s = 3', clock=clock)
    struck = []
    for _ in range(5):
        struck.append(its.occasion("wait") is not None)
        clock.now_s += 1
    assert struck == [False, False, False, True, False]


def test_a_fault_strikes_in_its_connection_alone_or_in_every_one() -> None:
    text = '[[fault]]\nname = "bang"\non = "pear"\nconnection = 2\n[[fault]]\nname = "eat"\non = "apple"\nconnection = "every"'
    struck = [[names(one.happened("pear")), names(one.happened("apple"))] for one in (schedule(text, connection=n) for n in (1, 2, 3))]
    assert struck == [[[], ["eat"]], [["bang"], ["eat"]], [[], ["eat"]]]


def test_the_list_names_every_fault_with_its_parameters() -> None:
    how, listed = TOY.listed().split("\n\n")[0], TOY.listed().split("\n\n")[1].splitlines()
    assert "connection" in how and "connection" not in WHOLE.listed()
    assert listed[1] == 'bang (loud = 3, how = "once"): it bangs; at once'
    assert [line.split(" ")[0].rstrip(":") for line in listed] == ["limit_s", "bang", "wait", "eat"]


@pytest.mark.parametrize("name", REALTIME_SCRIPTS)
def test_the_scripts_that_come_with_the_tests_can_be_used(name: str) -> None:
    script = read(SCRIPTS / f"{name}.toml", REALTIME)
    assert script.faults or script.settings["session_limit_s"] < 3_600


def test_a_fault_that_is_ordered_counts_from_then_on() -> None:
    clock = Clock()
    live = schedule("", clock=clock)
    clock.now_s += 50
    assert names(live.happened("pear")) == []
    [bang, timed, wait] = parse(
        'fault = [{name = "bang", on = "pear"}, {name = "bang", at_s = 0}, {name = "wait", at_s = 2, connection = 7}]', TOY
    ).faults
    assert [live.add(one) for one in (bang, timed, wait)] == [False, True, False]
    assert names(live.happened("pear")) == ["bang"]
    assert names(live.happened("pear")) == []
    assert live.occasion("wait") is None
    clock.now_s += 2
    assert live.occasion("wait") is not None
    assert live.occasion("wait") is None


def test_a_line_of_the_parent_is_a_script_and_what_cannot_be_read_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    orders = Orders(TOY)
    orders.take = lambda fault: told.append(fault.name)
    pieces = iter([b'fault = [{name = "bang", at', b"_s = 0}]\n\xff\nnonsense\n", b'fault = [{name = "wait"}]\n' + b"x" * 200_000, b""])
    ended: list[int] = []
    monkeypatch.setattr("os.read", lambda *_: next(pieces))
    monkeypatch.setattr("os.kill", lambda _, number: ended.append(number))
    orders.read()
    assert told == ["bang", "wait"]
    assert ended == [signal.SIGTERM]
