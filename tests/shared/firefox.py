"""A headless Firefox, driven by WebDriver BiDi over a WebSocket; no claim is here."""

import base64
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.shared.browser import Tab, running
from tests.shared.shell import PATIENCE_S

PREFS = {
    "app.update.disabledForTesting": True,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.autoplay.default": 0,
    "media.navigator.permission.disabled": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    "services.settings.server": "data:,",
}


def program() -> str | None:
    """Where Firefox is, if it is there."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class FirefoxTab(Tab):
    """A tab of Firefox: what a `Tab` can do but keys, dragging and another look."""

    def __init__(self, socket: ClientConnection) -> None:
        """The only tab that anybody asks for; its session is the socket's."""
        super().__init__(socket, "", {})
        self.command("session.new", capabilities={})
        self.command("session.subscribe", events=["log.entryAdded"])
        self._context = self.command("browsingContext.create", type="tab")["context"]

    def command(self, method: str, **parameters: Any) -> dict[str, Any]:
        """See Tab."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            said = json.loads(self._socket.recv(timeout=PATIENCE_S))
            if said.get("id") == self._number:
                assert said["type"] == "success", said
                result: dict[str, Any] = said["result"]
                return result
            if said.get("method") == "log.entryAdded" and said["params"]["level"] == "error":
                self.complaints.append(said["params"]["text"])

    def open(self, url: str, **_: Any) -> None:
        """See Tab."""
        self.command("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def run(self, script: str) -> Any:
        """See Tab; what is no JSON value is told as true."""
        told = "value => { try { return JSON.stringify(value) ?? 'null'; } catch { return 'true'; } }"
        text = f"Promise.resolve({script}).then({told})"
        done = self.command("script.evaluate", expression=text, target={"context": self._context}, awaitPromise=True, userActivation=True)
        assert done["type"] == "success", done["exceptionDetails"]
        return json.loads(done["result"]["value"])

    def click_at(self, x: float, y: float) -> None:
        """See Tab."""
        move = {"type": "pointerMove", "x": round(x), "y": round(y)}
        press = [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        mouse = {"type": "pointer", "id": "mouse", "actions": [move, *press]}
        self.command("input.performActions", context=self._context, actions=[mouse])

    def picture(self, path: Path) -> None:
        """See Tab."""
        path.write_bytes(base64.b64decode(self.command("browsingContext.captureScreenshot", context=self._context)["data"]))


@contextmanager
def firefox(folder: Path, **variables: str) -> Iterator[FirefoxTab]:
    """A tab of a Firefox with a profile of its own in `folder`, gone at the end."""
    found = program()
    assert found
    (folder / "user.js").write_text("".join(f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFS.items()))
    command = [found, "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port=0"]
    with running(command, {"HOME": str(folder), **variables}) as process:
        place = folder / "WebDriverBiDiServer.json"
        until_s = time.monotonic() + PATIENCE_S
        while not (place.exists() and (text := place.read_text())):
            assert process.poll() is None and time.monotonic() < until_s, "Firefox did not start"
            time.sleep(0.02)
        port = json.loads(text)["ws_port"]
        with connect(f"ws://127.0.0.1:{port}/session", max_size=None, proxy=None) as socket:
            yield FirefoxTab(socket)
