"""The reference that `make docs` makes: every module that we have is in it, and its first page leads to each."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
INSIDE = ("openai_agents", "pipecat", "livekit", "livekit_context")
"""The modules that need a framework: they cannot be imported without, and are not in the reference."""


def test_every_module_is_reached_from_the_first_page(tmp_path: Path) -> None:
    packages = ("fsm", "fsm.call", "adapters.seam", "adapters.hosts", "adapters.realtime", "adapters.tools")
    but = f"!adapters.hosts.frameworks.({'|'.join(INSIDE)})"
    command = [sys.executable, "-m", "pdoc", "--output-directory", str(tmp_path), *packages, but]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    first = (tmp_path / "index.html").read_text(encoding="utf-8")
    modules = [path for package in packages for path in sorted((ROOT / package.replace(".", "/")).rglob("*.py"))]
    pages = {str(path.relative_to(ROOT).with_suffix("")).removesuffix("/__init__") + ".html" for path in modules}
    # What of the engine is public, `fsm.engine` itself names.
    pages = {page for page in pages if not page.startswith("fsm/engine/")} - {f"adapters/hosts/frameworks/{name}.html" for name in INSIDE}
    assert len(pages) > 60
    assert sorted(page for page in pages if not (tmp_path / page).exists() or f'href="{page}"' not in first) == []


def test_a_public_name_is_told_of_with_its_docstring(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pdoc", "--output-directory", str(tmp_path), "fsm", "fsm.call"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    assert "Answer one event" in (tmp_path / "fsm.html").read_text(encoding="utf-8")
    assert "The voice is held at the caller" in (tmp_path / "fsm/call/policy.html").read_text(encoding="utf-8")
