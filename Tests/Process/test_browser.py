"""Real browsers: a page subscribes with `new WebSocket`, curl publishes, the page shows it."""

import functools
import http.server
import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from chromium import Chromium
from deadlines import wait_until
from firefox import Firefox

PAGES = Path(__file__).with_name("pages")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def pages():
    """The pages' own web server: another port than the broker's, the same host."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(QuietHandler, directory=PAGES))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(params=[Chromium, Firefox])
def browser(request, tmp_path, scheme):
    browser = request.param(tmp_path, scheme=scheme)
    yield browser
    browser.close()


@pytest.fixture
def scheme():
    """The colour scheme that the browser's user prefers."""
    return "light"


def keep_screenshot(browser, tmp_path, name):
    """Into the folder BROKER_SCREENSHOTS names, to be looked at; else into the test's own."""
    folder = Path(os.environ.get("BROKER_SCREENSHOTS", tmp_path)) / type(browser).__name__
    folder.mkdir(parents=True, exist_ok=True)
    picture = browser.screenshot(folder / name)
    assert picture.startswith(b"\x89PNG") and len(picture) > 5000, "the picture is blank"


def curl(*arguments):
    assert shutil.which("curl"), "curl is not installed: run tools/install-dependencies.sh test"
    return subprocess.run(
        ["curl", "--silent", "--show-error", "--fail", *arguments], capture_output=True, timeout=60, check=True).stdout


def test_a_page_shows_what_curl_publishes(broker, pages, browser, tmp_path):
    curl(broker.url("/t/news?retain"), "-d", "retained news")
    browser.open(f"http://127.0.0.1:{pages}/subscriber.html?broker=127.0.0.1:{broker.port}")
    browser.wait_for_text("topic socket open", "session live", "text retained news")
    curl(broker.url("/t/news"), "-d", "grüße 🐘")
    curl(broker.url("/t/news"), "-H", "Content-Type: application/octet-stream", "--data-binary", "\x01\x02\x03")
    curl(broker.url("/t/sensors/kitchen/temp"), "-H", "Content-Type: application/json", "-d", "21.5")
    text = browser.wait_for_text(
        "text grüße 🐘", "bytes 1,2,3", "sensors/kitchen/temp = 21.5")
    assert text.index("retained news") < text.index("grüße") < text.index("bytes 1,2,3")
    keep_screenshot(browser, tmp_path, "subscriber.png")
    assert curl(broker.url("/t/news")) == b"retained news"


def test_a_page_of_another_name_for_this_machine_may_subscribe(broker, pages, browser):
    """A developer's page, with any name of this machine and from any port."""
    browser.open(f"http://localhost:{pages}/subscriber.html?broker=127.0.0.1:{broker.port}")
    browser.wait_for_text("topic socket open", "session live")


@pytest.fixture(params=[Chromium, Firefox])
def misled(request, tmp_path):
    """A browser whose DNS says that evil.test is this machine."""
    browser = (Chromium(tmp_path, "--host-resolver-rules=MAP evil.test 127.0.0.1") if request.param is Chromium
               else Firefox(tmp_path, {"network.dns.localDomains": "evil.test"}))
    yield browser
    browser.close()


def test_a_page_of_another_host_is_told_why_it_is_refused(broker, pages, misled):
    """For a refused handshake a browser reports only 1006, so the reason comes in a CLOSE."""
    misled.open(f"http://evil.test:{pages}/subscriber.html?broker=127.0.0.1:{broker.port}")
    why = f"4403 The origin http://evil.test:{pages} may not connect to 127.0.0.1:{broker.port}: add it to origins."
    misled.wait_for_text(f"topic socket closed {why}", f"session closed {why}")


def test_a_page_from_a_file_is_told_why_it_is_refused(broker, browser):
    browser.open(f"file://{PAGES}/subscriber.html?broker=127.0.0.1:{broker.port}")
    browser.wait_for_text("topic socket closed 4403 The origin", "session closed 4403 The origin", "add it to origins")


def test_dns_rebinding_is_refused(broker, misled):
    """DNS rebinding: for the browser, the page and the broker have the same origin by now."""
    broker.publish("secret", "hunter2", "retain")
    misled.open(f"http://evil.test:{broker.port}/t/secret")
    misled.wait_for_text("This broker does not answer to the name evil.test: add it to hosts.")
    misled.evaluate(
        "document.body.textContent = ''; const say = text => document.body.append(text + ';');"
        "fetch('/t/secret').then(answer => say('read ' + answer.status));"
        "fetch('/t/secret', { method: 'POST', body: 'mine' }).then(answer => say('published ' + answer.status));"
        "const socket = new WebSocket('ws://' + location.host + '/ws');"
        "socket.onopen = () => say('open'); socket.onclose = event => say('closed ' + event.code); 0")
    assert "open" not in misled.wait_for_text("read 421", "published 421", "closed 1006")
    assert broker.retained("secret").body == b"hunter2"


def test_a_page_may_publish_and_read_with_fetch(broker, pages, browser):
    browser.open(f"http://127.0.0.1:{pages}/subscriber.html?broker=127.0.0.1:{broker.port}")
    browser.wait_for_text("session live")
    browser.evaluate(
        f"fetch('{broker.url('/t/sensors/page/temp?retain')}', {{ method: 'PUT', body: '7',"
        " headers: { 'Content-Type': 'application/json' } })"
        ".then(answer => answer.json())"
        f".then(() => fetch('{broker.url('/t/sensors/page/temp')}'))"
        ".then(answer => answer.text()).then(text => show('topic', 'fetched ' + text), error => show('topic', error))")
    browser.wait_for_text("sensors/page/temp = 7", "fetched 7")


def test_a_page_reconnects_after_a_restart(broker, pages, browser):
    browser.open(f"http://127.0.0.1:{pages}/subscriber.html?broker=127.0.0.1:{broker.port}")
    browser.wait_for_text("topic socket open", "session live")
    broker.stop()
    browser.wait_for_text("topic socket closed 1012 retry=", "session closed 1012 retry=")


def test_the_front_page_subscribes(broker, browser, tmp_path):
    """The README's tour: open the front page, publish, see it arrive."""
    browser.open(broker.url("/"))
    wait_until(lambda: broker.control_json("subscriptions"), "the page's subscription", 60)
    curl(broker.url("/t/tour/hello"), "-d", "hello from curl")
    browser.wait_for_text("tour", "hello from curl")
    keep_screenshot(browser, tmp_path, "front-page.png")


# The front page


@pytest.fixture
def front_page(broker, browser):
    browser.open(broker.url("/"))
    browser.wait_for_text("subscribed to #")
    return browser


def fill_in(browser, form, **values):
    """Fills in the fields of the front page, and presses the form's button."""
    for name, value in values.items():
        browser.evaluate(f"document.forms.{form}.{name}.value = {json.dumps(value)}")
    browser.evaluate(f"document.forms.{form}.requestSubmit()")


def test_the_front_page_keeps_its_filter_when_another_is_refused(broker, front_page):
    fill_in(front_page, "subscribe", filter="a/#")
    front_page.wait_for_text("subscribed to a/#")
    assert [row["filter"] for row in broker.control_json("subscriptions")] == ["a/#"]
    fill_in(front_page, "subscribe", filter="a/#/b")
    front_page.wait_for_text("bad-filter", "still subscribed to a/#")
    assert [row["filter"] for row in broker.control_json("subscriptions")] == ["a/#"]
    broker.publish("a/1", "it goes on")
    front_page.wait_for_text("it goes on")


def test_the_front_page_queues_messages_while_disconnected(broker, front_page, tmp_path):
    broker.kill()
    front_page.wait_for_text("not connected (1006), trying again")
    for number in range(3):
        fill_in(front_page, "publish", topic=f"later/{number}", data=f"value {number}")
    front_page.wait_for_text("3 messages wait to be sent")
    keep_screenshot(front_page, tmp_path, "front-page-offline.png")
    broker.start()
    text = front_page.wait_for_text("value 0", "value 1", "value 2", "subscribed to #")
    assert "wait to be sent" not in text
    assert broker.control_json("status")["published"] == 3, "each of them once"


def test_the_front_page_shows_payloads_unchanged(broker, front_page, tmp_path):
    json_type = {"Content-Type": "application/json"}
    broker.publish("number", "12345678901234567890.10", headers=json_type)
    broker.publish("object", '{"b": 1e2, "a": ["]", "\\"}"], "data": {"data": 1.50}}', headers=json_type)
    broker.publish("bytes", bytes([0, 255, 10]), headers={"Content-Type": "application/octet-stream"})
    broker.publish("markup", "<b>bold</b>  two  spaces\n\tand a line")
    text = front_page.wait_for_text(
        "12345678901234567890.10", '{"b": 1e2, "a": ["]", "\\"}"], "data": {"data": 1.50}}', "00 ff 0a (3 bytes)",
        "<b>bold</b>  two  spaces\n\tand a line")
    assert "AP8K" not in text
    keep_screenshot(front_page, tmp_path, "front-page-payloads.png")


@pytest.mark.parametrize("width, scheme", [(320, "light"), (320, "dark"), (900, "dark"), (900, "light")])
def test_the_front_page_fits_its_window_in_both_colour_schemes(broker, front_page, tmp_path, width, scheme):
    front_page.resize(width)
    broker.publish("long/" + "w" * 300, "x" * 2000)
    broker.publish("sensors/kitchen/temp", "21.5", "retain")
    broker.publish("short", "hello from somewhere")
    front_page.wait_for_text("x" * 2000, "hello from somewhere")
    keep_screenshot(front_page, tmp_path, f"front-page-{width}-{scheme}.png")
    assert front_page.evaluate("document.documentElement.scrollWidth") <= width
    # The contrast of WCAG 2.2 §1.4.3, of all texts on the page's own background.
    assert front_page.evaluate("""(() => {
        const light = (color) => {
          const [r, g, b] = color.match(/[0-9.]+/g).slice(0, 3).map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
          return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        const ground = light(getComputedStyle(document.body).backgroundColor);
        const texts = [document.body, ...document.querySelectorAll("h1, p, td, th, label")];
        return Math.min(...texts.map((element) => {
          const [low, high] = [ground, light(getComputedStyle(element).color)].sort((a, b) => a - b);
          return (high + 0.05) / (low + 0.05);
        }));
      })()""") >= 4.5
