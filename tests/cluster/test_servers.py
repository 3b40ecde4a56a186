"""Claims about a cluster of NATS servers with the very configuration of `kubernetes.yaml`: one that is lost loses no call."""

import os
import re
import socket
import textwrap
from contextlib import AsyncExitStack, suppress
from importlib import import_module
from pathlib import Path
from subprocess import DEVNULL

import anyio
import pytest
from anyio.abc import Process

from adapters.cluster import store as stores
from adapters.cluster.journal import Unreachable
from adapters.cluster.nats import program
from adapters.cluster.record import Owner, Record, event_line
from adapters.cluster.store import Grip, Store, opened
from adapters.hosts.phone.calls import Calls
from adapters.hosts.phone.metrics import Metrics
from fsm import Policy, events as ev, start, step
from tests.shared.shell import PATIENCE_S, ROOT, callfsm

MANIFEST = ROOT / "adapters" / "cluster" / "kubernetes.yaml"
PASSWORD = "only-for-a-test"


def configuration(port: int, data: Path) -> str:
    """`nats.conf` of the manifest, for a server on this machine."""
    found = re.search(r"  nats.conf: \|\n(.*?)\n---", MANIFEST.read_text(), re.DOTALL)
    assert found
    text = textwrap.dedent(found[1])
    assert "0.0.0.0:6222" in text
    assert "/data" in text
    return text.replace("0.0.0.0:6222", f"127.0.0.1:{port}").replace("/data", str(data))


def free_ports(count: int) -> list[int]:
    """Ports that nobody has."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


async def servers(stack: AsyncExitStack, folder: Path) -> tuple[list[Process], str]:
    """Three of them, and their URL."""
    ports, routes = free_ports(3), free_ports(3)
    names = {f"ROUTE_{number}": f"nats://route:{PASSWORD}@127.0.0.1:{port}" for number, port in enumerate(routes)}
    running: list[Process] = []
    for number, (port, route) in enumerate(zip(ports, routes, strict=True)):
        file = folder / f"{number}.conf"
        file.write_text(configuration(route, folder / str(number)))
        variables = {**os.environ, **names, "POD_NAME": f"nats-{number}", "NATS_PASSWORD": PASSWORD}
        command = [program(), "--config", str(file), "--addr", "127.0.0.1", "--port", str(port)]
        running.append(await anyio.open_process(command, env=variables, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL))
        stack.push_async_callback(_end, running[-1])
    return running, ",".join(f"nats://callfsm:{PASSWORD}@127.0.0.1:{port}" for port in ports)


async def _end(process: Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def _joined(stack: AsyncExitStack, url: str) -> Store:
    """The store, once the servers have found each other."""
    while True:
        try:
            return await stack.enter_async_context(opened(url, replicas=3))
        except OSError:
            await anyio.sleep(0.2)


async def _written(grip: Grip, text: str) -> None:
    while True:
        try:
            await grip.append(text)
            return
        except Unreachable:
            await anyio.sleep(0.1)


async def _read(store: Store, call_sid: str) -> Record:
    while True:
        with suppress(Unreachable):
            if (found := await store.record(call_sid)) is not None:
                return found[0]
        await anyio.sleep(0.1)


@pytest.mark.needs("kubernetes-validate")
def test_the_manifests_fit_the_schemas_of_kubernetes() -> None:
    validator, yaml = import_module("kubernetes_validate"), import_module("yaml")
    documents = list(yaml.safe_load_all(MANIFEST.read_text()))
    assert len(documents) == 8
    for document in documents:
        validator.validate(document, validator.latest_version(), strict=True)


def test_the_manifests_name_what_there_is() -> None:
    text, told = MANIFEST.read_text(), callfsm("serve", "--help")
    given = re.findall(r"- (--[a-z-]+)=", text)
    assert len(given) > 5
    assert [option for option in given if option not in told.stdout] == []
    named = {family.name for family in Metrics(Calls(1)).registry.collect()}
    assert set(re.findall(r"callfsm_\w+", text)) <= named


async def test_a_record_outlives_one_of_three_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "ANSWER_S", 1.0)
    async with AsyncExitStack() as stack:
        running, url = await servers(stack, tmp_path)
        with anyio.fail_after(PATIENCE_S):
            store = await _joined(stack, url)
            call = start(Policy(greeting=False), "call_1")
            record = Record(call=call, began_unix_ms=0.0, told={}, owner=Owner(name="w1", epoch=1))
            grip = await store.begin("CA1", "w1", record)
            running[0].kill()
            opened_line = ev.LineOpened(1.0)
            await _written(grip, event_line(opened_line, step(call, opened_line)))
            found = await _read(store, "CA1")
        assert found.events == [opened_line]
