"""A headless Chromium, spoken to over a pipe in its DevTools protocol."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip


class Page:
    """One page of a browser."""

    def __init__(self, told: int, says: int) -> None:
        self._told = os.fdopen(told, "wb", buffering=0)
        self._says = os.fdopen(says, "rb")
        self._count = 0
        self._session: dict[str, str] = {}
        target = self("Target.createTarget", url="about:blank")["targetId"]
        attached = self("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        self("Page.enable")

    def __call__(self, method: str, **parameters: object) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters, **self._session}
        self._told.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, url: str, *, width: int, dark: bool = False, scripts: bool = True) -> None:
        """Show a page at a width; wait until it is loaded."""
        self("Emulation.setScriptExecutionDisabled", value=not scripts)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", features=[scheme])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self("Emulation.setDeviceMetricsOverride", **size)
        self("Page.navigate", url=url)
        while self._read().get("method") != "Page.loadEventFired":
            pass

    def evaluate(self, expression: str) -> Any:
        """Return what JavaScript of ours says in the page."""
        said = self("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def close(self) -> None:
        self._session = {}
        self("Browser.close")
        self._told.close()
        self._says.close()

    def _read(self) -> dict[str, Any]:
        text = bytearray()
        while (letter := self._says.read(1)) != b"\0":
            assert letter, "the browser ended"
            text += letter
        message: dict[str, Any] = json.loads(text)
        return message


@contextmanager
def chromium() -> Iterator[Page]:
    """Start a browser with a profile of its own; nothing of it stays."""
    told_read, told = os.pipe()
    says, says_write = os.pipe()
    profile = tempfile.mkdtemp(prefix="vz-browser-")
    script = f'exec chromium "$@" 3<&{told_read} 4>&{says_write}'
    words = ["bash", "-c", script, "bash", *_FLAGS, f"--user-data-dir={profile}"]
    with subprocess.Popen(
        words, pass_fds=(told_read, says_write), stderr=subprocess.DEVNULL, start_new_session=True
    ) as browser:
        os.close(told_read)
        os.close(says_write)
        try:
            page = Page(told, says)
            yield page
            page.close()
            browser.wait(timeout=30)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(browser.pid, signal.SIGKILL)  # its helpers too
            browser.wait()
    shutil.rmtree(profile, ignore_errors=True)
