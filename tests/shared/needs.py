"""What a test needs of the machine beside Python and its packages, and the one command that brings it; the plugin is in `conftest.py`.

A test marked `@pytest.mark.needs("aplay")` is skipped where that is missing; the run ends by telling how many were, and what to install.
"""

import shutil
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path

import attrs

from tests.chaos import guided
from tests.shared import firefox


def _program(*names: str) -> bool:
    return all(shutil.which(name) for name in names)


def _portaudio() -> bool:
    """Not by `find_library` alone: a library may be known that cannot be loaded."""
    from adapters.audio.library import NoSound, load

    try:
        load()
    except NoSound:
        return False
    return True


def _alsa_to_pulse() -> bool:
    return any(Path("/usr/lib").glob("**/alsa-lib/libasound_module_pcm_pulse.so"))


@attrs.frozen
class Need:
    """Something that may be missing."""

    is_there: Callable[[], bool]
    packages: tuple[str, ...] = ()
    """Debian's packages that bring it."""
    wheels: tuple[str, ...] = ()
    """Python's that do, for `pip`."""


NEEDS = {
    "PulseAudio": Need(partial(_program, "pulseaudio", "pactl", "pacat", "parec"), ("pulseaudio", "pulseaudio-utils")),
    "ALSA's way to PulseAudio": Need(_alsa_to_pulse, ("libasound2-plugins",)),
    "PortAudio": Need(_portaudio, ("libportaudio2",)),
    "aplay": Need(partial(_program, "aplay"), ("alsa-utils",)),
    "Chromium": Need(partial(_program, "chromium"), ("chromium",)),
    "Firefox": Need(lambda: firefox.program() is not None, ("firefox-esr",)),
    "openssl": Need(partial(_program, "openssl"), ("openssl",)),
    "kubernetes-validate": Need(lambda: find_spec("kubernetes_validate") is not None, wheels=("kubernetes-validate",)),
    "atheris": Need(guided.is_there, wheels=("atheris",)),
}
"""What may be missing, by its name."""

SOUND = ("PulseAudio", "ALSA's way to PulseAudio", "PortAudio")
"""What a sound system without a sound card is made of (`pulse.py`)."""


@cache
def is_there(name: str) -> bool:
    """Is it on this machine? KeyError for a name that is not in NEEDS."""
    return NEEDS[name].is_there()


def lack_of(*names: str) -> str:
    """What is missing of these, in words; empty when nothing is."""
    missing = [name for name in names if not is_there(name)]
    return f"there is no {', no '.join(missing)}" if missing else ""


def bringing(lack: str) -> str:
    """The one command that brings everything that is named in these words."""
    needed = [need for name, need in NEEDS.items() if f"no {name}" in lack]
    packages = dict.fromkeys(package for need in needed for package in need.packages)
    wheels = dict.fromkeys(wheel for need in needed for wheel in need.wheels)
    commands = (("apt-get install", packages), (".venv/bin/python -m pip install", wheels))
    return " && ".join(f"{command} {' '.join(names)}" for command, names in commands if names)
