"""A headless Chromium, driven by its own protocol over a WebSocket; no claim is here."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.shared.shell import PATIENCE_S

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
)
ENDS_WITHIN_S = 10.0
"""What a browser has to put its profile in order."""


class Tab:
    """A tab of the browser; every command waits for its answer."""

    def __init__(self, socket: ClientConnection, session: str, tabs: "dict[str | None, Tab]") -> None:
        """`tabs`: those of the browser by their sessions, as each reads what is said to all."""
        self._socket, self._session, self._tabs = socket, session, tabs
        tabs[session] = self
        self._number = 0
        self.complaints: list[str] = []
        """What the page has thrown, logged as an error, or been denied."""
        self.fetched: list[str] = []
        """What it has asked the network for."""

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol; gives its result. Raises AssertionError for one that failed."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters, "sessionId": self._session}))
        until_s = time.monotonic() + PATIENCE_S
        while True:
            assert time.monotonic() < until_s, f"no answer: {method} {parameters}"
            said = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if said.get("id") == self._number and said.get("sessionId") == self._session:
                assert "error" not in said, said["error"]
                result: dict[str, Any] = said["result"]
                return result
            if (tab := self._tabs.get(said.get("sessionId"))) is not None:
                tab._note(said)

    def _note(self, said: dict[str, Any]) -> None:
        given = said.get("params", {})
        match said.get("method"):
            case "Runtime.exceptionThrown":
                details = given["exceptionDetails"]
                self.complaints.append(details.get("exception", {}).get("description", details["text"]))
            case "Log.entryAdded" if given["entry"]["level"] == "error":
                self.complaints.append(given["entry"]["text"])
            case "Network.requestWillBeSent":
                self.fetched.append(given["request"]["url"])
            case _:
                pass

    def open(self, url: str, *, width: int = 1280, height: int = 860, dark: bool = False, phone: bool = False) -> None:
        """Open a page, and wait until it is loaded."""
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.command(f"{domain}.enable")
        self.look(width, height, dark=dark, phone=phone)
        self.command("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def look(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Be a window of this size, light or dark."""
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=2 if phone else 1, mobile=phone)
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def run(self, script: str) -> Any:
        """The value of an expression in the page, awaited."""
        done = self.command("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, script: str, within_s: float = PATIENCE_S) -> Any:
        """Wait until an expression is true; gives its value."""
        until_s = time.monotonic() + within_s
        while not (value := self.run(script)):
            assert time.monotonic() < until_s, f"never: {script}; the page complains: {self.complaints}"
            time.sleep(0.02)
        return value

    def press(self, key: str) -> None:
        """Press a key, as from a keyboard."""
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.command("Input.dispatchKeyEvent", type=kind, key=key, **(text if kind == "keyDown" else {}))

    def click(self, selector: str) -> None:
        """Click in the middle of an element with the mouse."""
        find = f"document.querySelector({json.dumps(selector)})"
        box = self.run(f"(e => (e.scrollIntoView({{block: 'nearest'}}), e.getBoundingClientRect().toJSON()))({find})")
        self.click_at(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def click_at(self, x: float, y: float) -> None:
        """Click at a point of the window."""
        for kind in ("mousePressed", "mouseReleased"):
            self.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drag(self, x: float, y: float, by: float) -> None:
        """Drag from a point of the window to the right, in steps."""
        self.command("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
        for part in (0.5, 1.0):
            self.command("Input.dispatchMouseEvent", type="mouseMoved", x=x + part * by, y=y, button="left", buttons=1)
        self.command("Input.dispatchMouseEvent", type="mouseReleased", x=x + by, y=y, button="left", clickCount=1)

    def settle(self) -> None:
        """Wait until what is to be drawn has been drawn: of the tab in front alone anything is."""
        self.command("Page.bringToFront")
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def picture(self, path: Path) -> None:
        """Save what is seen as a PNG."""
        self.settle()
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"]))


class Browser:
    """A browser that runs."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self._tabs: dict[str | None, Tab] = {}

    def tab(self) -> Tab:
        """A new tab."""
        target = self._command("Target.createTarget", url="about:blank")["targetId"]
        tab = Tab(self._socket, self._command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"], self._tabs)
        tab.command("Page.enable")
        return tab

    def _command(self, method: str, **parameters: Any) -> Any:
        self._number -= 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if said.get("id") == self._number:
                return said["result"]


@contextmanager
def chromium(folder: Path, *flags: str) -> Iterator[Browser]:
    """A Chromium with a profile of its own in `folder`, gone at the end."""
    program = shutil.which("chromium")
    assert program
    command = [program, *FLAGS, f"--user-data-dir={folder}", *flags, "about:blank"]
    with running(command, {}) as process:
        port = folder / "DevToolsActivePort"
        until_s = time.monotonic() + PATIENCE_S
        while not (port.exists() and len(lines := port.read_text().split()) == 2):
            assert process.poll() is None and time.monotonic() < until_s, "Chromium did not start"
            time.sleep(0.02)
        with connect(f"ws://127.0.0.1:{lines[0]}{lines[1]}", max_size=None, proxy=None) as socket:
            yield Browser(socket)


@contextmanager
def running(command: list[str], variables: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A browser's process while the body runs; one that does not end when it is told to is killed."""
    process = subprocess.Popen(command, env={**os.environ, **variables}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE_S)
