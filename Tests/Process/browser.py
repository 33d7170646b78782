"""The interface of a browser for the tests."""

import os
import signal

from deadlines import wait_until


class Browser:
    """A headless browser with one open page; a subclass implements its protocol."""

    process = None
    log = None

    def open(self, url):
        """Opens the page, to which all further calls refer."""
        raise NotImplementedError

    def evaluate(self, expression):
        """The value of a JavaScript expression, evaluated in the page."""
        raise NotImplementedError

    def forget_cookies(self):
        """Removes the cookies of all sites."""
        raise NotImplementedError

    def screenshot(self, file):
        """Writes a PNG picture of the page; returns its bytes."""
        raise NotImplementedError

    def resize(self, width):
        """Sets the width of the window, in pixels."""
        raise NotImplementedError

    def text(self):
        """The visible text of the page."""
        return self.evaluate("document.body ? document.body.innerText : ''")

    def wait_for_text(self, *words, deadline=60):
        """Polls until the page shows all the words; returns its text."""
        seen = [""]

        def shown():
            seen[0] = self.text()
            return all(word in seen[0] for word in words)

        try:
            wait_until(shown, "", deadline)
        except AssertionError:
            raise AssertionError(f"the page does not show {words}, but: {seen[0]!r}") from None
        return seen[0]

    def close(self):
        """Ends the browser and all its processes."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()
