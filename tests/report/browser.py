"""A real browser, spoken to over the pipe of its debugging protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Json = dict[str, Any]

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
#: The browser reads commands from file 3 and answers on file 4.
_PIPED = 'exec "$@" 3<&"$COMMANDS" 4>&"$ANSWERS"'
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
    "--hide-scrollbars", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


def program() -> str | None:
    """Return where a browser is installed, if one is."""
    return os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)


class Tab:
    """One page in a browser; ``events`` are what it told so far."""

    def __init__(self, commands: IO[bytes], answers: IO[bytes]) -> None:
        self._commands, self._answers = commands, answers
        self._session: str | None = None
        self._number, self._read = 0, b""
        self.events: list[Json] = []
        page = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Json:
        self._number += 1
        message: Json = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._commands.write(json.dumps(message).encode() + b"\0")
        self._commands.flush()
        while (answer := self._next()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: Json = answer["result"]
        return result

    def open(self, url: str, *, width: int = 1280, dark: bool = False) -> None:
        """Go to a page and wait until it is there."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        self.events.clear()
        self.call("Page.navigate", url=url)
        while not self.told("Page.loadEventFired"):
            self.events.append(self._next())

    def told(self, method: str) -> list[Json]:
        return [event["params"] for event in self.events if event.get("method") == method]

    def value(self, script: str) -> Any:
        """Return what a script comes to, promises awaited."""
        done = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            text = {"text": "\r"} if key == "Enter" and kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=key,
                windowsVirtualKeyCode=code, **text,
            )  # fmt: skip

    def picture(self, path: Path) -> None:
        """Save what the whole page looks like."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def _next(self) -> Json:
        while b"\0" not in self._read:
            part = os.read(self._answers.fileno(), 1_000_000)
            assert part, "the browser has gone"
            self._read += part
        text, _, self._read = self._read.partition(b"\0")
        message: Json = json.loads(text)
        return message


@contextmanager
def tab(browser: str, profile: Path) -> Iterator[Tab]:
    """Start a browser for one page; it leaves its state in ``profile``."""
    command_end, commands = os.pipe()
    answers, answer_end = os.pipe()
    running = subprocess.Popen(
        ["bash", "-c", _PIPED, "bash", browser, *_FLAGS, f"--user-data-dir={profile}"],
        env={**os.environ, "COMMANDS": str(command_end), "ANSWERS": str(answer_end)},
        pass_fds=(command_end, answer_end),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_end)
    os.close(answer_end)
    with os.fdopen(commands, "wb") as speaking, os.fdopen(answers, "rb") as listening:
        try:
            yield Tab(speaking, listening)
        finally:
            running.kill()
            running.wait()
