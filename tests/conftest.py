"""What a test that is a coroutine runs on; and what needs something that is not there is skipped, with the one command that brings it."""

import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from trio.testing import MockClock

from tests.shared.needs import NEEDS, bringing, lack_of
from tests.shared.shell import PATIENCE_S, at_most

LACKS = "Skipped: there is no "

# How long an example takes is the machine's affair, in every test.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


# What runs in the background, or by `nohup`, is told to ignore these two, and would tell it to every process that a test begins.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual_time: a coroutine runs on trio's clock that jumps; real time on asyncio, where it names it")
    config.addinivalue_line("markers", f"needs(*names): skipped where one of these is missing: {', '.join(NEEDS)}")


@pytest.fixture
def anyio_backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """What anyio's plugin runs a test on that is a coroutine: asyncio, or what `each_backend` says; what hangs fails.

    In virtual time trio's clock jumps to whatever is waited for.
    """
    virtual = request.node.get_closest_marker("virtual_time") is not None
    backend = getattr(request, "param", "trio" if virtual else "asyncio")
    with at_most(2 * PATIENCE_S):
        yield ("trio", {"clock": MockClock(autojump_threshold=0)}) if virtual and backend == "trio" else backend


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    names = dict.fromkeys(name for mark in item.iter_markers("needs") for name in mark.args)
    if lack := lack_of(*names):
        pytest.skip(lack)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    yield
    reasons = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    lacks = Counter(reason for reason in reasons if reason.startswith(LACKS))
    for lack, count in lacks.most_common():
        terminalreporter.write_line(lack.replace("Skipped:", f"{count} skipped:"))
    if lacks:
        terminalreporter.write_line(f"what they need: {bringing(' '.join(lacks))}")
