"""Headless Chromium, controlled over its DevTools pipe: open a page, evaluate an expression, take a picture."""

import base64
import json
import os
import select
import shutil
import subprocess
import time

from browser import Browser

CHROMIUM = os.environ.get("CHROMIUM", "chromium")


class Chromium(Browser):
    def __init__(self, directory, *options, scheme="light", wrapper=()):
        """`wrapper`: a prefix of the command."""
        assert shutil.which(CHROMIUM), f"{CHROMIUM} is not installed: run tools/install-dependencies.sh test"
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        # The browser reads commands on descriptor 3 and answers on 4.
        self.log = open(directory / "chromium.log", "wb")
        self.process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{commands} 4>&{answers}', "bash", *wrapper, CHROMIUM, "--headless=new", "--no-sandbox",
             "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
             "--no-proxy-server", "--window-size=900,700", "--remote-debugging-pipe", *options,
             f"--user-data-dir={directory / 'chromium'}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, pass_fds=(commands, answers),
            start_new_session=True)
        os.close(commands)
        os.close(answers)
        self._received = b""
        self._last = 0
        self._session = None
        self._scheme = scheme

    def _receive(self, deadline):
        while b"\0" not in self._received:
            # Not select, which cannot handle descriptors from 1,024 on.
            poll = select.poll()
            poll.register(self._answers, select.POLLIN)
            assert poll.poll(max(deadline - time.monotonic(), 0) * 1000), "chromium did not answer in time"
            more = os.read(self._answers, 1 << 20)
            assert more, "chromium ended"
            self._received += more
        message, _, self._received = self._received.partition(b"\0")
        return json.loads(message)

    def command(self, method, timeout=60, **parameters):
        self._last += 1
        request = {"id": self._last, "method": method, "params": parameters}
        if self._session:
            request["sessionId"] = self._session
        os.write(self._commands, json.dumps(request).encode() + b"\0")
        deadline = time.monotonic() + timeout
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self._last:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, url):
        """Opens the page in a new tab, to which all further calls refer."""
        self._session = None
        target = self.command("Target.createTarget", url=url)["targetId"]
        self._session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": self._scheme}])

    def evaluate(self, expression):
        result = self.command("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def freeze(self, is_frozen):
        """Freezes the page, as the browser does with hidden tabs, or resumes it."""
        self.command("Page.setWebLifecycleState", state="frozen" if is_frozen else "active")

    def forget_cookies(self):
        self._session = None
        self.command("Storage.clearCookies")

    def resize(self, width):
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=700, deviceScaleFactor=1, mobile=False)

    def screenshot(self, file):
        picture = base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"])
        file.write_bytes(picture)
        return picture

    def close(self):
        super().close()
        os.close(self._commands)
        os.close(self._answers)
