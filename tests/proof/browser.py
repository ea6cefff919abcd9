"""A headless Chromium driven by its DevTools protocol, as far as the pages' tests need it."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import websocket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PATIENCE = 60.0
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--remote-debugging-port=0", "--remote-allow-origins=*",
)  # fmt: skip


@dataclass
class Browser:
    """One page. https://chromedevtools.github.io/devtools-protocol/ names the methods."""

    socket: websocket.WebSocket
    number: int = 0

    def ask(self, method: str, **params: object) -> dict[str, Any]:
        """Call a method; its result."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            said = json.loads(self.socket.recv())
            if said.get("id") == self.number:
                assert "error" not in said, said
                result: dict[str, Any] = said["result"]
                return result

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is."""
        result = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        deadline = time.monotonic() + PATIENCE
        while not self.value(expression):
            assert time.monotonic() < deadline, f"waited for {expression}"
            time.sleep(0.05)

    def open(self, page: Path, width: int = 1200, height: int = 900) -> None:
        """Open a page and wait until its figures are drawn."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.ask("Emulation.setDeviceMetricsOverride", **size)
        self.ask("Page.navigate", url=f"file://{page}")
        self.until("document.body && document.body.dataset.drawn === 'yes'")

    def click(self, selector: str) -> None:
        """Click the middle of the first element that fits, with the mouse."""
        box = self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            where = {"x": box[0], "y": box[1], "button": "left", "clickCount": 1}
            self.ask("Input.dispatchMouseEvent", type=kind, **where)

    def screenshot(self) -> bytes:
        """A PNG of what is visible."""
        return base64.b64decode(self.ask("Page.captureScreenshot", format="png")["data"])


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser of its own."""
    assert CHROMIUM, "no Chromium on this machine"
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield Browser(websocket.create_connection(_page(process), timeout=PATIENCE))
        finally:
            process.terminate()


def _page(process: subprocess.Popen[str]) -> str:
    """The DevTools address of the first page."""
    assert process.stderr is not None
    for line in process.stderr:
        if "DevTools listening on" in line:
            address = line.split()[-1]
            break
    else:
        raise AssertionError("Chromium ended before it listened")
    whole = Browser(websocket.create_connection(address, timeout=PATIENCE))
    targets = whole.ask("Target.getTargets")["targetInfos"]
    target = next(item["targetId"] for item in targets if item["type"] == "page")
    host = address.split("/devtools/")[0]
    return f"{host}/devtools/page/{target}"
