"""Headless Firefox, controlled over WebDriver BiDi: open a page, evaluate an expression, take a picture."""

import base64
import json
import os
import shutil
import subprocess

import websocket

from browser import Browser
from deadlines import wait_until

FIREFOX = os.environ.get("FIREFOX", "firefox-esr")


class Firefox(Browser):
    def __init__(self, directory, preferences=None, scheme="light"):
        """Starts the browser with `preferences` of about:config."""
        assert shutil.which(FIREFOX), f"{FIREFOX} is not installed: run tools/install-dependencies.sh test"
        profile = directory / "firefox"
        profile.mkdir()
        chosen = {
            # Nothing but the pages of the tests.
            "app.update.enabled": False, "datareporting.policy.dataSubmissionEnabled": False,
            "network.captive-portal-service.enabled": False, "network.connectivity-service.enabled": False,
            # Show JSON like any other text: Firefox's viewer is a page with other rules.
            "devtools.jsonview.enabled": False,
            "network.proxy.type": 0, "layout.css.prefers-color-scheme.content-override": 0 if scheme == "dark" else 1,
            **(preferences or {}),
        }
        (profile / "user.js").write_text(
            "".join(f"user_pref({json.dumps(key)}, {json.dumps(value)});\n" for key, value in chosen.items()))
        self.log = open(directory / "firefox.log", "w+b")
        self.process = subprocess.Popen(
            [FIREFOX, "--headless", "--no-remote", "--profile", str(profile), "--remote-debugging-port", "0",
             "--window-size", "900,700", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, start_new_session=True,
            env={**os.environ, "HOME": str(directory), "MOZ_HEADLESS_WIDTH": "900", "MOZ_HEADLESS_HEIGHT": "700"})
        self._last = 0
        self._socket = websocket.create_connection(self._address() + "/session", timeout=60, suppress_origin=True)
        self.command("session.new", capabilities={})
        self._tab = self.command("browsingContext.getTree")["contexts"][0]["context"]

    def _address(self):
        """The address that it reports."""
        word = b"WebDriver BiDi listening on "
        path = self.log.name

        def said():
            with open(path, "rb") as log:
                lines = log.read().split(b"\n")[:-1]
            return [line[len(word):].decode() for line in lines if line.startswith(word)]

        wait_until(said, "firefox listening", 60)
        return said()[0]

    def command(self, method, **parameters):
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._last:
                assert answer["type"] == "success", answer
                return answer["result"]

    def open(self, url):
        """Opens the page, to which all further calls refer."""
        self.command("browsingContext.navigate", context=self._tab, url=url, wait="interactive")

    def evaluate(self, expression):
        answer = self.command(
            "script.evaluate", expression=expression, target={"context": self._tab}, awaitPromise=False)
        assert answer["type"] == "success", answer
        return value_of(answer["result"])

    def forget_cookies(self):
        self.command("storage.deleteCookies")

    def resize(self, width):
        self.command("browsingContext.setViewport", context=self._tab, viewport={"width": width, "height": 700})

    def screenshot(self, file):
        picture = base64.b64decode(self.command("browsingContext.captureScreenshot", context=self._tab)["data"])
        file.write_bytes(picture)
        return picture

    def close(self):
        self._socket.close()
        super().close()


def value_of(remote):
    """The value that WebDriver BiDi describes; `None` for values that are not JSON."""
    if remote["type"] == "array":
        return [value_of(item) for item in remote["value"]]
    if remote["type"] == "object":
        return {key: value_of(item) for key, item in remote["value"]}
    return remote.get("value")
