"""Access in real browsers: logins, tokens and what pages of other sites cannot do. One browser of each kind serves all tests."""

import http.server
import json
import re
import threading
import time

import jwt
import pytest

# The fixture is found by its name.
from access_harness import bearer, harness, wrong  # noqa: F401
from chromium import Chromium
from deadlines import wait_until
from firefox import Firefox

# Pages call this with a result.
SAY = "document.body.textContent = ''; window.say = (...words) => document.body.append(words.join(' ') + ';\\n'); "


@pytest.fixture(scope="module", params=[Chromium, Firefox])
def open_browser(request, tmp_path_factory):
    """A browser whose DNS says that evil.test is this machine."""
    directory = tmp_path_factory.mktemp("browser")
    browser = (Chromium(directory, "--host-resolver-rules=MAP evil.test 127.0.0.1") if request.param is Chromium
               else Firefox(directory, {"network.dns.localDomains": "evil.test"}))
    yield browser
    browser.close()


@pytest.fixture
def browser(open_browser):
    open_browser.forget_cookies()
    return open_browser


@pytest.fixture(scope="module")
def elsewhere():
    """The port of another web server of this machine."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Another site</title><body></body>")

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def visit(browser, url):
    browser.open(url)
    # A new tab begins with an empty document, which is complete at once.
    is_there = "location.href !== 'about:blank' && document.readyState !== 'loading' && document.body !== null"
    wait_until(lambda: browser.evaluate(is_there), "the page", 60)
    browser.evaluate(SAY + "0")


def run(browser, script, *words):
    """Runs a script in the page; returns its text when it shows all the words."""
    browser.evaluate(f"(async () => {{ {script} }})().catch(error => say('error', error)); 0")
    return browser.wait_for_text(*words)


def log_in(browser, harness, host):
    visit(browser, f"http://{host}:{harness.broker.port}/health/live")
    person = json.dumps({"user": "alice", "password": "correct horse"})
    run(browser, f"const answer = await fetch('/session', {{ method: 'POST', body: JSON.stringify({person}) }});"
        "say('login', answer.status);", "login 200")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_person_logs_in_and_out(harness, browser, host):
    """Over plain HTTP on this machine: the cookie is for TLS only, and is accepted nevertheless."""
    harness.broker.publish("news/a", '"x"', headers=bearer(harness.editor))
    log_in(browser, harness, host)
    text = run(
        browser,
        "say('cookie', '[' + document.cookie + ']');"
        "say('who', await (await fetch('/session')).text());"
        "say('read', (await fetch('/t/news/a')).status);"
        "say('wrote', (await fetch('/t/news/a', { method: 'POST', body: 'x' })).status);"
        "const socket = new WebSocket(`ws://${location.host}/s/news/%23`);"
        "socket.onopen = () => say('open');"
        "socket.onmessage = event => say(event.data);"
        "socket.onclose = event => say('closed', event.code, event.reason);", "wrote", "open", "live")
    assert "cookie []" in text and '"kind":"session","user":"alice"' in text
    assert "read 404" in text and "wrote 403" in text
    harness.broker.publish("news/a", '"to those who are in"', headers=bearer(harness.editor))
    browser.wait_for_text("to those who are in")
    text = run(
        browser, "say('out', (await fetch('/session', { method: 'DELETE' })).status);"
        "say('then', await (await fetch('/session')).text());", "closed 4401 revoked", "then")
    assert "out 204" in text and 'then {"kind":"anonymous"}' in text


def test_an_ended_login_clears_its_cookie(harness, browser):
    log_in(browser, harness, "localhost")
    next(entry for entry in harness.file.entries if entry.get("user") == "alice")["disabled"] = True
    harness.rewrite()
    text = run(
        browser,
        "const socket = new WebSocket(`ws://${location.host}/s/news/%23`);"
        "socket.onclose = async event => { say('closed', event.code, event.reason);"
        "  say('then', await (await fetch('/session')).text()) };", "then")
    assert "closed 4401 The session has ended" in text and 'then {"kind":"anonymous"}' in text


# Other sites


def test_another_site_cannot_use_the_login(harness, browser, elsewhere):
    """Hijacking of WebSockets, and forged requests, from a page that the logged-in person has open."""
    log_in(browser, harness, "127.0.0.1")
    alice_may_publish(harness)
    visit(browser, f"http://evil.test:{elsewhere}/")
    here = f"127.0.0.1:{harness.broker.port}"
    text = run(
        browser,
        f"const socket = new WebSocket('ws://{here}/ws', 'broker.v1.json');"
        "socket.onmessage = event => say('message', event.data);"
        "await new Promise(done => socket.onclose = event => { say('closed', event.code); done() });"
        "const all = { credentials: 'include' };"
        f"for (const [what, path, options] of [['read', '/session', all],"
        "    ['write', '/t/news/a', { ...all, method: 'POST', body: 'forged' }],"
        "    ['blind', '/t/news/a', { ...all, method: 'POST', body: 'forged', mode: 'no-cors' }],"
        "    ['out', '/session', { ...all, method: 'DELETE' }]])"
        f"  await fetch('http://{here}' + path, options).then("
        "    answer => say(what, answer.type, answer.status), () => say(what, 'blocked'));", "out")
    assert "closed 4403" in text and "message" not in text
    assert "read blocked" in text and "write blocked" in text and "blind blocked" in text and "out blocked" in text
    assert forge(browser, f"http://evil.test:{elsewhere}/", here) == ["forbidden", "forbidden"]
    assert harness.broker.metrics()["broker_messages_published_total"] == 0
    visit(browser, f"http://{here}/health/live")
    run(browser, "say('who', await (await fetch('/session')).text());", '"user":"alice"')


def test_another_port_of_this_machine_cannot_use_the_login(harness, browser, elsewhere):
    """A browser treats all ports of a host as one site, so it sends the cookie; the broker ignores it."""
    log_in(browser, harness, "127.0.0.1")
    alice_may_publish(harness)
    visit(browser, f"http://127.0.0.1:{elsewhere}/")
    here = f"127.0.0.1:{harness.broker.port}"
    text = run(
        browser,
        f"const socket = new WebSocket('ws://{here}/s/news/%23');"
        "await new Promise(done => socket.onclose = event => { say('closed', event.code); done() });"
        "const all = { credentials: 'include' };"
        "for (const [what, path, options] of [['read', '/t/news/a', all],"
        "    ['blind', '/t/news/a', { ...all, method: 'POST', body: 'forged', mode: 'no-cors' }],"
        "    ['out', '/session', { ...all, method: 'DELETE' }]])"
        f"  await fetch('http://{here}' + path, options).then("
        "    answer => say(what, answer.type, answer.status), () => say(what, 'blocked'));", "out")
    assert "closed 4401" in text
    # It is sent, and is an anonymous client's; these may do nothing here.
    assert "read blocked" in text and "blind blocked" in text and "out blocked" in text
    assert forge(browser, f"http://127.0.0.1:{elsewhere}/", here) == ["unauthenticated", "forbidden"]
    assert harness.broker.metrics()["broker_messages_published_total"] == 0
    assert harness.broker.metrics()["broker_browser_sessions"] == 1


def alice_may_publish(harness):
    """Gives alice a right, so that a forged request would have an effect."""
    next(entry for entry in harness.file.entries if entry.get("user") == "alice")["roles"] = ["editor"]
    harness.rewrite()


def forge(browser, page, here):
    """Forms that a page submits by itself, to publish and to log in; returns the codes of the answers, which replace the page."""
    codes = []
    for path in ("/t/news/a", "/session"):
        visit(browser, page)
        browser.evaluate(
            f"(() => {{ const form = document.createElement('form'); form.method = 'POST'; form.enctype = 'text/plain';"
            f" form.action = 'http://{here}{path}'; const field = document.createElement('input');"
            " field.name = '{\"user\":\"alice\",\"password\":\"correct horse\",\"'; field.value = '\":0}'; form.append(field);"
            " document.body.append(form); form.submit(); })(); 0")
        codes.append(re.search('"code":"(.*?)"', browser.wait_for_text('"code":'))[1])
    return codes


# Tokens


def open_with(browser, path, offers):
    """Opens a WebSocket of the page's own origin; returns what the page learns about it."""
    text = run(
        browser, SAY + f"const socket = new WebSocket(`ws://${{location.host}}{path}`, {json.dumps(offers)});"
        "socket.onopen = () => say('open', '[' + socket.protocol + ']');"
        "socket.onmessage = () => socket.close();"
        "socket.onclose = event => say('closed', event.code, event.reason, 'done');", "done")
    return text


PLACES = [("/ws", "broker.v1.json"), ("/t/sensors/device7/t", "broker.topic.v1"),
          ("/s/sensors/device7/t", "broker.subscription.v1")]


def test_a_page_presents_its_token_by_a_subprotocol(harness, browser):
    assert harness.broker.http("PUT", "/t/sensors/device7/t?retain", body="1", headers=bearer(harness.device)).status == 200
    visit(browser, f"http://localhost:{harness.broker.port}/health/live")
    for path, subprotocol in PLACES:
        assert open_with(browser, path, [f"bearer.{harness.device}", subprotocol]).startswith(f"open [{subprotocol}]")
        assert "closed 4401 The credentials are not valid." in open_with(
            browser, path, [subprotocol, f"bearer.{wrong(harness.device)}"])


def test_a_page_that_offers_only_a_token_learns_why_if_the_browser_says(harness, browser):
    """Chromium does not open a WebSocket that answers none of the subprotocols offered; Firefox does, and shows the CLOSE."""
    visit(browser, f"http://localhost:{harness.broker.port}/health/live")
    for path, subprotocol in PLACES:
        told = {
            Chromium: "closed 1006",
            Firefox: f"open []; closed 4400 Offer the subprotocol {subprotocol} in addition to bearer.TOKEN, because the broker never selects a token.",
        }[type(browser)]
        assert open_with(browser, path, [f"bearer.{harness.device}"]).startswith(told)


JWT = """
access:
  anonymous: { publish: [], subscribe: [] }
  jwt: [{ issuer: login, audience: broker, secret: "file:%s", leeway: 0s, grants_claim: broker, may_grant: ["#"] }]
"""


def test_a_page_renews_its_token_with_a_login_server(start_broker, tmp_path, browser):
    """It logs in by a JWT, subscribes, shows the next one in time, loses nothing by it, is revoked and told so."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 32)
    secret.chmod(0o600)
    broker = start_broker(JWT % secret)

    def token(lifetime, **claims):
        now = int(time.time())
        rights = {"publish": ["news/#"], "subscribe": ["news/#"]}
        return jwt.encode(
            {"iss": "login", "aud": "broker", "sub": "alice", "iat": now, "exp": now + lifetime, "broker": rights, **claims},
            b"s" * 32, algorithm="HS256")

    first = token(15)
    end = jwt.decode(first, options={"verify_signature": False})["exp"]
    visit(browser, broker.url("/health/live"))
    run(browser,
        "window.seen = []; window.told = [];"
        "window.socket = new WebSocket(`ws://${location.host}/ws`, 'broker.v1.json');"
        f"socket.onopen = () => {{ socket.send(JSON.stringify({{ op: 'authenticate', id: 1, token: '{first}' }}));"
        "  socket.send(JSON.stringify({ op: 'subscribe', id: 2, filter: 'news/#' })) };"
        "socket.onclose = event => say('closed', event.code, event.reason);"
        "socket.onmessage = event => event.data.trim().split('\\n').map(line => JSON.parse(line)).forEach(one => {"
        "  if (one.op === 'message') seen.push(one.data); else { told.push(one); say(one.op, one.id ?? '', one.expires ?? '') } });",
        f"ok 1 {end * 1000}", "live")
    publisher = broker.session(subprotocols=["broker.v1.json", f"bearer.{token(600, sub='publisher')}"])
    sent = 0

    def publish(count):
        nonlocal sent
        for _ in range(count):
            publisher.publish("news/a", sent)
            sent += 1

    publish(20)
    second = token(600, jti="second")
    browser.evaluate(f"socket.send(JSON.stringify({{ op: 'authenticate', id: 3, token: '{second}' }})); 0")
    publish(20)
    browser.wait_for_text("ok 3")
    wait_until(lambda: publish(1) or time.time() > end + 1, "the end of the first token", 60)
    wait_until(lambda: browser.evaluate("seen.length") == sent, "all messages", 60)
    assert browser.evaluate("seen") == list(range(sent))
    assert broker.control("token", "revoke", "--jti", "second").returncode == 0
    browser.wait_for_text("closed 4401 revoked")
