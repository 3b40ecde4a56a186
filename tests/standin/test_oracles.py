"""The oracles: what they declare, how they are judged, and that the `openai` package holds a whole call with the stand-in.

`make oracles` runs all of them. The package's environment is taken from `.oracles/`, or built there; without a package index the
tests that need it are skipped, and say so.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from adapters.commands.agent import add_agent, chosen
from tests.oracles.catalog import FOLDER, Misdeclared, Oracle, oracles
from tests.oracles.environment import NoEnvironment, python_of
from tests.oracles.running import Verdict, follow, judge
from tests.oracles.served import CHECKOUTS
from tests.shared.shell import PATIENCE_S

Json = dict[str, Any]
BUILD_S = 60.0
OPENAI = "openai_client"
BLOCK = """# /// script
# dependencies = ["openai==3.52.0"]
# [tool.uv]
# exclude-newer = "2026-11-21T00:00:00Z"
# [tool.callfsm]
# stand-ins = ["{stand_in}"]
# ///
"""


def known() -> dict[str, Oracle]:
    """The oracles by name."""
    return {oracle.name: oracle for oracle in oracles()}


@pytest.fixture(scope="module")
def openai_python() -> Path:
    """The interpreter of the environment that has `openai`."""
    try:
        return python_of(known()[OPENAI], build_s=BUILD_S)
    except NoEnvironment as lack:
        pytest.skip(f"NOT JUDGED by the openai package: {lack}")


# What they declare.


def test_four_realtime_clients_are_oracles() -> None:
    clients = {oracle.client for oracle in known().values()}
    assert {"openai", "openai-agents", "pipecat-ai", "livekit-plugins-openai"} <= clients


@pytest.mark.parametrize("name", sorted(known()))
def test_each_oracle_pins_its_client_and_dates_the_rest(name: str) -> None:
    oracle = known()[name]
    wanted = oracle.needs if oracle.server else oracle.needs[:1]
    assert all("==" in one for one in wanted), "the client whose word counts is of one version, and all that a server runs with"
    assert oracle.as_of.startswith("20"), oracle.as_of


def test_a_file_without_a_declaration_is_no_oracle(tmp_path: Path) -> None:
    (tmp_path / "plain.py").write_text("print()\n")
    (tmp_path / "one.py").write_text(BLOCK.format(stand_in="chatterbox --dialect openai"))
    assert [(oracle.name, oracle.stand_ins) for oracle in oracles(tmp_path)] == [("one", ("chatterbox --dialect openai",))]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (BLOCK.format(stand_in="telegraph"), "there is no stand-in telegraph"),
        ("# /// script\n# dependencies = []\n# ///\n", "cannot be read"),
        ("# /// script\n# dependencies = [\n# ///\n", "cannot be read"),
    ],
)
def test_a_declaration_that_cannot_be_followed_is_refused_by_name(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "odd.py").write_text(text)
    with pytest.raises(Misdeclared, match=f"odd.py: .*{complaint}"):
        oracles(tmp_path)


@pytest.mark.parametrize("name", sorted(name for name, oracle in known().items() if oracle.server))
@pytest.mark.parametrize("folder", [None, "nowhere"])
def test_a_server_without_a_checkout_is_not_judged_and_says_so(name: str, folder: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    oracle = known()[name]
    if folder is None:
        monkeypatch.delenv(CHECKOUTS, raising=False)
    else:
        monkeypatch.setenv(CHECKOUTS, folder)
    verdict = judge(oracle, lambda _: None)
    assert not verdict.agrees
    assert verdict.missing
    assert verdict.missing.startswith(f"no checkout of {oracle.server}: ")


@pytest.mark.parametrize("name", sorted(name for name, oracle in known().items() if oracle.server))
def test_each_call_with_a_server_is_one_that_the_command_line_can_hold(name: str) -> None:
    oracle = known()[name]
    parser = argparse.ArgumentParser()
    add_agent(parser, voice="chatterbox")
    for way in oracle.ways:
        flags = f"{oracle.call} {way}".format(port=1, realtime="ws://127.0.0.1:2", chatterbox="http://127.0.0.1:2")
        options = parser.parse_args(flags.split())
        assert options.realtime or options.chatterbox
        assert chosen(options)


def test_an_unknown_name_is_refused_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.oracles", "delphi"], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("oracles: there is no oracle delphi; there are ")
    assert done.stderr.count("\n") == 1


# How they are judged.


@pytest.mark.parametrize(
    ("script", "broken"),
    [
        ("print('ok    it works')", []),
        ("print('ok    it works'); print('FAIL  it rings: silence'); exit(1)", ["it rings: silence"]),
        ("print('ok    it works'); exit(3)", ["the script ended with exit code 3: see its last lines"]),
    ],
)
def test_a_script_is_believed_only_with_its_exit_code(script: str, broken: list[str]) -> None:
    told: list[str] = []
    assert follow([sys.executable, "-c", script], told.append) == (1, broken)
    assert told[0] == "ok    it works"


def test_only_an_oracle_that_checked_something_agrees() -> None:
    verdict = Verdict(oracle=known()[OPENAI])
    assert not verdict.agrees
    assert attrs.evolve(verdict, held=1).agrees
    assert not attrs.evolve(verdict, held=1, broken=("it rings",)).agrees
    assert not attrs.evolve(verdict, held=1, missing="no index").agrees


def test_an_environment_that_cannot_be_built_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NoEnvironment, match=r"openai_client: no environment: python\S* took longer than 0.001 s"):
        python_of(known()[OPENAI], folder=tmp_path / "environments", build_s=0.001)


def event(kind: str, **fields: Any) -> Json:
    """A server event."""
    return {"type": kind, **fields}


def response(status: str, **fields: Any) -> Json:
    """The response of an event."""
    return {"id": "resp_1", "object": "realtime.response", "status": status, "output": [], **fields}


OPENING = event("session.created", session={"type": "realtime", "output_modalities": ["text"]})
CREATED = event("response.created", response=response("in_progress"))
MESSAGE = {"id": "item_1", "type": "message", "role": "assistant", "status": "in_progress", "content": []}
ADDED = event("response.output_item.added", response_id="resp_1", output_index=0, item=MESSAGE)
PLACE = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
DELTA = event("response.output_text.delta", delta="Hello", **PLACE)
ENDED = event("response.output_item.done", response_id="resp_1", output_index=0, item={**MESSAGE, "status": "completed"})
DONE = event("response.done", response=response("completed", output=[MESSAGE]))
STORIES: dict[str, tuple[list[Json], str]] = {
    "a sound story": ([OPENING, CREATED, ADDED, DELTA, event("response.output_text.done", text="Hello", **PLACE), ENDED, DONE], ""),
    "an unknown event": ([OPENING, event("response.sung")], "response.sung: "),
    "an unknown field": ([OPENING, {**CREATED, "mood": "bright"}], "holds mood"),
    "a wrong type": ([OPENING, CREATED, ADDED, {**DELTA, "output_index": "first"}], "output_index"),
    "no opening": ([CREATED], "session.created comes first"),
    "two openings": ([OPENING, OPENING], "session.created comes first"),
    "an event id twice": ([OPENING, {**CREATED, "event_id": "event_0"}], "it must be new"),
    "a response twice": ([OPENING, CREATED, CREATED], "was in_progress before"),
    "an end without a beginning": ([OPENING, DONE], "was None before"),
    "a delta after the end": ([OPENING, CREATED, ADDED, ENDED, DONE, DELTA], "its response is completed"),
    "an item left open": ([OPENING, CREATED, ADDED, DONE], "are still open"),
    "a delta of no item": ([OPENING, CREATED, DELTA], "item_1 is not open"),
    "words that do not add up": ([OPENING, CREATED, ADDED, event("response.output_text.done", text="Bye", **PLACE)], "add up to"),
    "a gap": ([OPENING, event("conversation.item.added", previous_item_id="item_9", item=MESSAGE)], "was never told"),
    "an item done before it is added": ([OPENING, event("conversation.item.done", previous_item_id=None, item=MESSAGE)], "added once"),
}


@pytest.fixture(scope="module")
def faults(openai_python: Path) -> dict[str, list[str]]:
    """What the wire's judge finds in each story, in the environment of `openai`."""
    stories = {name: [{"event_id": f"event_{at}", **one} for at, one in enumerate(story)] for name, (story, _) in STORIES.items()}
    code = (
        "import json, sys; from wire import Wire\n"
        "def faults(story):\n"
        "    wire = Wire()\n"
        "    [wire.judge(event) for event in story]\n"
        "    return wire.faults\n"
        "print(json.dumps({name: faults(story) for name, story in json.load(sys.stdin).items()}))\n"
    )
    command = [openai_python, "-c", code]
    done = subprocess.run(command, input=json.dumps(stories), cwd=FOLDER, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", STORIES)
def test_a_story_that_does_not_hold_together_is_found_out(faults: dict[str, list[str]], name: str) -> None:
    wanted = STORIES[name][1]
    assert any(wanted in fault for fault in faults[name]) if wanted else not faults[name], faults[name]


# And the stand-in itself.


def test_the_openai_package_holds_a_whole_call_with_the_stand_in(openai_python: Path) -> None:
    told: list[str] = []
    verdict = judge(known()[OPENAI], told.append, build_s=BUILD_S)
    assert verdict.agrees, "\n".join(told)
    assert {"session.update", "response.cancel", "conversation.item.truncate", "conversation.item.retrieve"} <= set(verdict.events)
