"""Debian's Chromium without a window, driven over its DevTools pipe.

No library: this is all that the tests need of one, and the lock's packages are installed by everybody who starts a lab;
playwright is 45 MB of them, selenium ten. Belongs here: the browser. Never: what a page should be.
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 30
"""How long an answer may take; a page of 1,484 calls opens in a tenth of it."""
_KEYS = {
    "Enter": (13, "\r"),
    " ": (32, " "),
    "Escape": (27, ""),
    "Tab": (9, ""),
    "ArrowRight": (39, ""),
    "ArrowDown": (40, ""),
    "Home": (36, ""),
    "End": (35, ""),
}
"""Virtual key codes, and the text that a key enters."""


class Browser:
    """One page. `errors`: everything that it said was wrong; `loaded`: every address that it asked for."""

    def __init__(self, asks: int, answers: int) -> None:
        self.errors: list[str] = []
        self.loaded: list[str] = []
        self._asks, self._answers, self._buffer = asks, answers, b""
        self._number, self._session = 0, ""
        self._whole: set[str] = set()
        target = self.order("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.order("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.order(f"{domain}.enable")
        self.order("Page.setLifecycleEventsEnabled", enabled=True)

    def order(self, method: str, **words: Any) -> dict[str, Any]:
        """One order, and its answer."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": words}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._asks, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return dict(answer["result"])

    def open(self, file: Path, fragment: str = "") -> None:
        """Go to a file, and return when all of it has been loaded."""
        self._go("about:blank")  # from itself with another fragment it would not be loaded anew
        self.errors.clear()
        self.loaded.clear()
        self._go(file.resolve().as_uri() + fragment)

    def _go(self, url: str) -> None:
        loader = self.order("Page.navigate", url=url)["loaderId"]
        while loader not in self._whole:
            self._next()

    def ask(self, script: str) -> Any:
        """The value of an expression in the page; of a promise, what it comes to."""
        said = self.order("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def until(self, condition: str) -> None:
        """Return at the first frame in which this holds."""
        look = f"const look = () => ({condition}) ? done() : requestAnimationFrame(look)"
        self.ask(f"new Promise(done => {{ {look}; look(); }})")

    def press(self, key: str) -> None:
        code, text = _KEYS[key]
        about = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.order("Input.dispatchKeyEvent", type="keyDown", **about, **({"text": text} if text else {}))
        self.order("Input.dispatchKeyEvent", type="keyUp", **about)

    def click(self, selector: str) -> None:
        """With the mouse, in the middle of it, once it is in view."""
        where = f"document.querySelector({json.dumps(selector)})"
        self.ask(f"{where}.scrollIntoView({{block: 'center', inline: 'center'}})")
        x, y = self.ask(f"(r => [r.x + r.width / 2, r.y + r.height / 2])({where}.getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.order("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def look(self, width: int, height: int, scheme: str = "light") -> None:
        """The size of the window, and whether its user likes it dark."""
        phone = width < 600
        self.order("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        self.order("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, file: Path) -> None:
        """What the window shows, as PNG."""
        file.write_bytes(base64.b64decode(self.order("Page.captureScreenshot", format="png")["data"]))

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + SECONDS
        while b"\0" not in self._buffer:
            assert select.select([self._answers], [], [], max(0.0, until - time.monotonic()))[0], (
                "no answer of Chromium"
            )
            more = os.read(self._answers, 1 << 16)
            assert more, "Chromium has ended"
            self._buffer += more
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, event: str, about: dict[str, Any]) -> None:
        if event == "Page.lifecycleEvent" and about["name"] == "load":
            self._whole.add(about["loaderId"])
        elif event == "Runtime.exceptionThrown":
            self.errors.append(str(about["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.errors.append(str(about["args"]))
        elif event == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.errors.append(str(about["entry"]))
        elif event == "Network.requestWillBeSent":
            self.loaded.append(about["request"]["url"])


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A Chromium with a profile of its own. It reads orders from file 3, and answers on 4 (--remote-debugging-pipe)."""
    asked, asks = os.pipe()
    answers, answered = os.pipe()
    ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (asked, answered)]  # 3 and 4 may be others' here
    words = [
        "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run", "--disable-gpu",
        "--disable-dev-shm-usage", "--disable-background-networking", "--hide-scrollbars", "--mute-audio",
        *(["--no-sandbox"] if os.getuid() == 0 else []),
    ]  # fmt: skip
    line = ["bash", "-c", f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}', "bash", str(PROGRAM), *words]
    program = subprocess.Popen(line, pass_fds=ends, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for end in (asked, answered, *ends):
        os.close(end)
    try:
        yield Browser(asks, answers)
    finally:
        program.terminate()
        program.wait(10)
        os.close(asks)
        os.close(answers)
