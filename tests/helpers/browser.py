"""Headless Chromium, driven over two pipes by its DevTools protocol.

Messages are JSON that ends in a zero byte: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# Nothing of its own is asked for or written down: what is requested is the page's doing.
OPTIONS = (
    "--headless", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-extensions", "--disable-dev-shm-usage", "--mute-audio",
    "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND", "--force-color-profile=srgb",
    "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
SECONDS = 60.0


def program() -> str:
    """The path of Chromium; the test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("Chromium is not installed (Debian: apt-get install chromium)")
    return found


class Page:
    """One page: what it asked for, and what went wrong in it."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session
        self.requests: list[str] = []
        self.complaints: list[str] = []
        for domain in ("Page", "Network", "Runtime", "Log", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command of the protocol."""
        return self._browser.call(method, self._session, **parameters)

    def open(self, path: Path, scripts: bool = True) -> None:
        """Load a file, with all that it names."""
        self.call("Emulation.setScriptExecutionDisabled", value=not scripts)
        self._browser.loaded.discard(self._session)
        self.call("Page.navigate", url=path.resolve().as_uri())
        self._browser.wait(lambda: self._session in self._browser.loaded)
        if scripts:
            self.settle()

    def count(self, selector: str) -> int:
        """Elements, also where scripts are off."""
        root = self.call("DOM.getDocument", depth=0)["root"]["nodeId"]
        return len(self.call("DOM.querySelectorAll", nodeId=root, selector=selector)["nodeIds"])

    def settle(self) -> None:
        """Wait until scripts and drawings that have begun are done."""
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")

    def run(self, script: str) -> Any:
        """The value of an expression; promises are waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True,
            userGesture=True,
        )  # fmt: skip
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def show(self, scheme: str = "light", media: str = "", width: int = 1200) -> None:
        """The colour scheme, screen or print, and the width in pixels."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media=media, features=features)
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                  deviceScaleFactor=1, mobile=False)  # fmt: skip
        self.settle()

    def picture(self, selector: str = "body") -> bytes:
        """PNG of an element, whole."""
        box = self.run(
            f"(() => {{ const b = document.querySelector({json.dumps(selector)})"
            ".getBoundingClientRect(); "
            "return [b.x + scrollX, b.y + scrollY, b.width, b.height] })()"
        )
        clip = dict(zip(("x", "y", "width", "height"), box), scale=1)
        found = self.call("Page.captureScreenshot", format="png", clip=clip,
                          captureBeyondViewport=True)  # fmt: skip
        return base64.b64decode(found["data"])

    def press(self, key: str) -> None:
        """Press and release a key, such as Tab or Enter."""
        more = {"text": "\r"} if key == "Enter" else {}
        codes = {"Tab": 9, "Enter": 13}
        for kind in ("keyDown", "keyUp"):
            text = more if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                      windowsVirtualKeyCode=codes.get(key, 0), **text)  # fmt: skip


class Browser:
    """A running Chromium."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._rest = b""
        self._count = 0
        self._answers: dict[int, dict[str, Any]] = {}
        self._pages: dict[str, Page] = {}
        self.loaded: set[str] = set()

    def page(self) -> Page:
        """A new, empty page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        self._pages[session] = page
        return page

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        self._count += 1
        number = self._count
        message = {"id": number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        self.wait(lambda: number in self._answers)
        answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        result: dict[str, Any] = answer["result"]
        return result

    def wait(self, done: Any) -> None:
        """Read messages until done() holds."""
        end = time.monotonic() + SECONDS
        while not done():
            ready, _, _ = select.select([self._from], [], [], max(end - time.monotonic(), 0))
            assert ready, "Chromium did not answer"
            read = os.read(self._from, 1 << 16)
            assert read, "Chromium has ended"
            *messages, self._rest = (self._rest + read).split(b"\0")
            for message in messages:
                self._take(json.loads(message))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._answers[message["id"]] = message
            return
        method, found = message["method"], message.get("params", {})
        session = message.get("sessionId", "")
        page = self._pages.get(session)
        if method == "Page.loadEventFired":
            self.loaded.add(session)
        elif page is not None and method == "Network.requestWillBeSent":
            page.requests.append(found["request"]["url"])
        elif page is not None and method == "Runtime.exceptionThrown":
            page.complaints.append(json.dumps(found["exceptionDetails"]))
        elif page is not None and method == "Log.entryAdded":
            page.complaints.append(found["entry"]["text"])
        elif page is not None and method == "Runtime.consoleAPICalled":
            page.complaints.append(json.dumps(found["args"]))


@contextmanager
def browser() -> Iterator[Browser]:
    """A Chromium of its own, ended with all its processes."""
    command = program()
    folder = tempfile.mkdtemp(prefix="avaffect-chromium-")
    theirs_in, to_browser = os.pipe()
    from_browser, theirs_out = os.pipe()
    # It reads from descriptor 3 and writes to descriptor 4.
    line = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        ["bash", "-c", line, command, *OPTIONS, *root, f"--user-data-dir={folder}", "about:blank"],
        pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(to_browser, from_browser)
    finally:
        os.close(to_browser)
        os.close(from_browser)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=SECONDS)
        shutil.rmtree(folder, ignore_errors=True)
