"""The distributions built and checked, then installed with each extra, where each command must work or say what it lacks.

make dist
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent
DIST = ROOT / "dist"
EXTRAS = ("", "call", "serve", "sound", "stand-in", "tables", "all")
BRINGS = {"serve": ("call",), "sound": ("call",), "stand-in": ("call", "sound"), "all": EXTRAS}
"""What an extra brings of others; of stand-in's packages pocketsphinx needs sounddevice, which is the sound."""
COMMAND_S = 300
LACKS = "pip install 'callfsm["
NO_SOUND = "apt install libportaudio2"
"""What a machine lacks that has no PortAudio: not the package's to bring."""


@attrs.frozen
class Tried:
    """A command, what it says where it has all that it needs, and the extras that bring that."""

    arguments: tuple[str, ...]
    says: str
    extras: frozenset[str] = frozenset()


def tried(*arguments: str, says: str, extras: str = "") -> Tried:
    """A command whose extras stand in one string."""
    return Tried(arguments, says, frozenset(extras.split()))


COMMANDS = (
    tried("rules", "R30", says="row "),
    tried("replay", str(ROOT / "README.md"), says="no trace"),
    tried("case", str(ROOT / "tests/cases/goodbye_said_twice.jsonl"), says="0 checks failed"),
    tried("verify", "--plan", "idle", "--set", "voice=realtime", "--jobs", "1", says="deadlines alone bring", extras="tables"),
    tried("diagrams", "drawn", says="phase.svg", extras="tables"),
    tried("sim", "--calls", "20", "--jobs", "1", says="rows ", extras="call"),
    tried("report", "none", says="none", extras="call"),
    tried("devices", says="", extras="sound"),
    tried("stand-in", "realtime", "--faults", "help", says="half_open", extras="stand-in"),
    tried("call", "--set", "call_warning_ms=1000", "--set", "call_ms=10000", "--out", "held", says="call.wav", extras="stand-in"),
    tried("call", "--realtime", "ws://127.0.0.1:1", "--voice", "realtime", "--caller", "no.wav", says="no.wav", extras="call"),
    tried("serve", "--realtime", "ws://127.0.0.1:1", says="could not connect", extras="serve"),
    tried("serve", "--realtime", "ws://127.0.0.1:1", "--voice", "chatterbox", says="", extras="serve stand-in"),
    tried("page", "--realtime", "ws://127.0.0.1:1", says="could not connect", extras="serve"),
    tried("dial", "http://127.0.0.1:1/voice", says="did not answer", extras="stand-in"),
)


def main() -> int:
    """Build, check, install and try; gives 1 where a command did otherwise than it should."""
    shutil.rmtree(DIST, ignore_errors=True)
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        tools = environment(Path(folder) / "tools", "build", "twine")
        run(tools / "bin/python", "-m", "build", "--outdir", DIST, ROOT)
        run(tools / "bin/python", "-m", "twine", "check", "--strict", *DIST.iterdir())
        [wheel] = DIST.glob("*.whl")
        print(*(path.name for path in DIST.iterdir()), "are sound", flush=True)
        for extra in EXTRAS:
            home = environment(Path(folder) / (extra or "core"), f"{wheel}[{extra}]" if extra else str(wheel))
            names = packages(home)
            print(f"callfsm[{extra}]: {len(names)} packages", flush=True)
            if not extra and names != {"attrs", "callfsm"}:
                print(f"  WRONG: {', '.join(sorted(names))}")
                wrong += 1
            has = {extra, *BRINGS.get(extra, ())}
            wrong += sum(not good(home, one, has) for one in COMMANDS)
            shutil.rmtree(home)
    print("all commands work or say what they lack" if not wrong else f"{wrong} did not")
    return min(wrong, 1)


def good(home: Path, one: Tried, has: set[str]) -> bool:
    """Try one command; True where it did its work, or said in one line which extra it lacks."""
    lacks = one.extras - has
    done = subprocess.run(
        [home / "bin/callfsm", *one.arguments], cwd=home, capture_output=True, text=True, timeout=COMMAND_S, stdin=subprocess.DEVNULL
    )
    said = done.stdout + done.stderr
    if lacks:
        right = done.returncode == 2 and not done.stdout and len(done.stderr.splitlines()) == 1
        right = right and any(f"{LACKS}{extra}" in said or f",{extra}" in said for extra in lacks)
    else:
        right = (LACKS not in said and "Traceback" not in said and one.says in said) or (has >= one.extras and NO_SOUND in said)
    print(
        f"  {'good ' if right else 'WRONG'} {' '.join(one.arguments)[:60]}: {said.strip().splitlines()[-1][:150] if said.strip() else ''}",
        flush=True,
    )
    return right


def packages(home: Path) -> set[str]:
    """The names of what is installed, but for what every environment has."""
    listed = run(home / "bin/python", "-m", "pip", "list", "--format", "freeze", "--disable-pip-version-check")
    return {line.split("==")[0].lower() for line in listed.splitlines()} - {"pip", "setuptools"}


def environment(home: Path, *wanted: str) -> Path:
    """A new environment with these packages."""
    run(sys.executable, "-m", "venv", home)
    run(home / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted)
    return home


def run(*command: object) -> str:
    """Run a command that must succeed, and give what it printed."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=900)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
