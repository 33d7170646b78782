"""The console in a real browser: topics, one topic, publishing, administration; and what pages must not do."""

import json
import os
import re
import subprocess

import pytest

from access_file import AccessFile
from broker_process import free_port
from chromium import Chromium
from command_line import BROKERCTL, REPOSITORY
from deadlines import wait_until
from raw_websocket import ConnectionEnded
from test_browser import keep_screenshot

FILES = ["", "page.css", "page.js", "client.js"]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    browser = Chromium(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture
def console(broker, chromium):
    chromium.open(broker.url("/"))
    chromium.wait_for_text("subscribed to #")
    return chromium


def press(console, *keys):
    """Presses keys in the focused element."""
    for key in keys:
        console.evaluate(
            f"document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{ key: {json.dumps(key)}, bubbles: true, cancelable: true }})); 0")


def click(console, text):
    """Clicks a button."""
    there = f"[...document.querySelectorAll('button')].find(one => one.textContent === {json.dumps(text)})"
    wait_until(lambda: console.evaluate(f"{there} !== undefined"), f"the button {text}")
    console.evaluate(f"{there}.click(); 0")


def choose(console, *keys):
    """Moves through the tree, from its first row."""
    console.evaluate("document.getElementById('tree').focus(); 0")
    press(console, "Home", *keys)


def inspector(console):
    return console.evaluate("document.getElementById('inspector').innerText")


def test_a_selected_topic_shows_all_details(broker, console):
    broker.publish("sensors/a", '{"b":1e2,"a":[12345678901234567890]}', "retain&ttl=3600", {"Content-Type": "application/json"})
    broker.publish("sensors/b", bytes([0, 255]), headers={"Content-Type": "application/octet-stream"})
    console.wait_for_text("12345678901234567890", "00 ff")
    choose(console, "ArrowRight")
    console.wait_for_text('"b": 1e2', "12345678901234567890", "application/json", "retained", "expires")
    broker.publish("sensors/a", '{"b":2,"a":[]}', "retain", {"Content-Type": "application/json"})
    wait_until(lambda: '"b": 2' in inspector(console), "the new value")
    console.evaluate("[...document.querySelectorAll('#inspector button')].find(one => one.textContent === 'diff').click(); 0")
    wait_until(lambda: '-   "b": 1e2' in inspector(console) and '+   "b": 2' in inspector(console), "the difference")
    press(console, "ArrowDown")
    console.evaluate("[...document.querySelectorAll('#inspector button')].find(one => one.textContent === 'hex').click(); 0")
    wait_until(lambda: "0000  00 ff" in inspector(console), "the bytes")


def test_a_conflicting_edit_is_reported(broker, console):
    broker.publish("state", "first", "retain")
    console.wait_for_text("state", "first")
    choose(console)
    press(console, "e")
    console.wait_for_text("Edit state")
    broker.publish("state", "theirs", "retain")
    save = "document.querySelector('dialog textarea').value = 'mine'; document.querySelector('dialog [value=yes]').click(); 0"
    console.evaluate(save)
    console.wait_for_text("It was changed in the meantime", "- theirs", "+ mine")
    assert broker.retained("state").body == b"theirs"
    console.evaluate(save)
    wait_until(lambda: broker.retained("state").body == b"mine", "the value after a second save")


def test_json_numbers_are_published_unchanged(broker, console):
    session = broker.session()
    session.subscribe("#")
    console.evaluate(
        "Object.entries({ topic: 'a', data: '[1.0, 12345678901234567890]', format: 'JSON' }).forEach(([name, value]) => "
        "document.forms.publish[name].value = value); document.forms.publish.requestSubmit(); 0")
    _, payload = session.websocket.receive_message()
    assert b'"type":"application/json"' in payload and b'"data":[1.0, 12345678901234567890]' in payload


@pytest.mark.parametrize("payload, type_", [
    (b"@/etc/hostname", None), (b"-", None), (b"it's --retain\n", "text/x-note"), (b'{"a":"it\'s"}', "application/json"),
    (bytes([0, 255, 39, 10]), "application/octet-stream"), ("ä\u202e".encode(), None),
])
def test_a_copied_command_publishes_the_same_message(broker, console, payload, type_):
    """Whatever was published, it becomes neither an option nor the name of a file."""
    broker.publish("it's/here", payload, "retain", {"Content-Type": type_} if type_ else {})
    console.wait_for_text("it's", "here")
    choose(console, "End")
    for way in ["curl", "brokerctl", "JS"]:
        console.evaluate("navigator.clipboard.writeText = async text => { window.copied = text }; window.copied = ''; 0")
        click(console, f"Copy {way}")
        wait_until(lambda: console.evaluate("copied") != "", "the command")
        assert broker.http("DELETE", "/t/it's/here").status == 204
        command = console.evaluate("copied")
        if way == "JS":
            console.evaluate(f"import('./client.js').then(async ({{ connect }}) => {{ const broker = connect(); {command} broker.close() }}); 0")
        else:
            done = subprocess.run(
                ["bash", "-c", command], capture_output=True, text=True, timeout=60,
                env={**os.environ, "PATH": f"{os.path.dirname(BROKERCTL)}:{os.environ['PATH']}", "BROKER_SOCKET": str(broker.admin_socket)})
            assert done.returncode == 0, done
        wait_until(lambda: broker.http("GET", "/t/it's/here").status == 200, "the value")
        value = broker.retained("it's/here")
        assert (value.body, value.headers["Content-Type"]) == (payload, type_ or "text/plain; charset=utf-8"), way
        wait_until(lambda: "retained" in inspector(console), "the value in the page")


def test_payloads_are_shown_as_text_only(broker, console):
    """Markup is shown as text, invisible characters are escaped, and nothing runs."""
    markup = "<img src=x onerror=document.title='hacked'><script>document.title='hacked'</script>"
    broker.publish(f"evil/{markup.replace('/', '|')}", markup, "retain")
    broker.publish("evil/turned", "abc\u202edcba\u0007".encode(), "retain")
    console.wait_for_text("<img src=x", r"abc\u{202e}dcba\u{7}")
    choose(console, "ArrowRight")
    wait_until(lambda: "<script>" in inspector(console), "the payload")
    assert console.evaluate("document.querySelectorAll('img, #tree script, #inspector script').length") == 0
    assert console.evaluate("document.title") == "Broker"
    assert console.evaluate("try { document.body.innerHTML = '<b>x</b>'; 'taken' } catch (error) { error.name }") == "TypeError"


def test_no_file_parses_text_as_markup():
    for path in (REPOSITORY / "clients").rglob("*.js"):
        found = re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser", path.read_text())
        assert found == [], path


def test_the_console_is_small(broker):
    files = [broker.http("GET", f"/{name}", headers={"Accept-Encoding": "gzip"}).body for name in FILES]
    assert sum(map(len, files)) <= 20 * 1024


def test_ten_thousand_topics_render_few_rows(broker, console):
    for branch in range(100):
        values = [{"topic": f"many/{branch}/{leaf}", "data": leaf, "retain": True} for leaf in range(100)]
        assert broker.http("POST", "/t", body="\n".join(map(json.dumps, values))).status == 200
    console.open(broker.url("/"))
    count = "[...document.querySelectorAll('[role=treeitem]')].find(row => row.innerText.includes('many'))?.querySelector('.count').textContent"
    wait_until(lambda: (console.evaluate(count) or "").startswith("10000"), "all topics counted")
    assert console.evaluate("document.querySelectorAll('[role=treeitem]').length") < 60


# Administration


@pytest.fixture
def governed(start_broker, tmp_path):
    """A broker with an administrator, another user, and `/admin`."""
    directory = tmp_path / "governed"
    file = AccessFile(directory / "data" / "access.jsonl")
    file.user("ada", "correct horse", ["operator"])
    file.user("bob", "battery staple")
    file.token("bob", 3600, note="for the dashboard")
    file.write()
    port = free_port()
    return start_broker(
        f"listen: [{{ address: '127.0.0.1:{port}', admin: true }}]\n"
        "access:\n  anonymous: { publish: [], subscribe: [] }\n  rules:\n"
        "    - { role: operator, admin: [read, write, operate], publish: ['#'], subscribe: ['#', '$SYS/#'] }\n"
        "    - { user: bob, subscribe: ['news/#'], publish: ['news/#'] }\n",
        directory=directory, port=port, configured_listen=True)


ADA = {"Authorization": "Basic YWRhOmNvcnJlY3QgaG9yc2U="}


def ask_who(console, broker):
    """Opens the page and its dialog for credentials."""
    console.forget_cookies()
    console.open(broker.url("/"))
    console.wait_for_text("Log in")
    wait_until(lambda: console.evaluate("document.getElementById('who').onclick !== null"), "the button")
    click(console, "Log in")
    console.wait_for_text("Password", "or a token")


def log_in(console, broker, user, password):
    ask_who(console, broker)
    console.evaluate(
        f"document.querySelector('dialog [name=user]').value = {json.dumps(user)};"
        f"document.querySelector('dialog [name=password]').value = {json.dumps(password)};"
        "document.querySelector('dialog [value=yes]').click(); 0")
    console.wait_for_text(f"{user} · Log out")


def go(console, page, *words):
    console.evaluate(f"location.hash = '/{page}'; 0")
    return console.wait_for_text(*words)


def test_an_administrator_sees_and_acts(governed, chromium):
    log_in(chromium, governed, "ada", "correct horse")
    chromium.wait_for_text("subscribed to #")
    wanted = governed.session(headers={"Authorization": "Basic Ym9iOmJhdHRlcnkgc3RhcGxl"})
    wanted.subscribe("news/#")
    go(chromium, "clients", "sorted by age", wanted.welcome["client"])
    chromium.evaluate(f"[...document.querySelectorAll('td button')].find(one => one.textContent === {json.dumps(wanted.welcome['client'])}).click(); 0")
    chromium.wait_for_text("Filters: news/#")
    click(chromium, "Trace")
    publisher = governed.session(headers=ADA)
    wait_until(lambda: publisher.publish("news/today", "1") and "topic=news/today" in chromium.text(), "the decision")
    chromium.evaluate(
        f"[...document.querySelectorAll('tr')].find(row => row.innerText.includes({json.dumps(wanted.welcome['client'])}))"
        ".querySelector('td:last-child button').click(); 0")
    chromium.wait_for_text("Disconnect " + wanted.welcome["client"])
    chromium.evaluate("document.querySelector('dialog [name=reason]').value = 'enough'; document.querySelector('dialog [value=yes]').click(); 0")
    chromium.wait_for_text("disconnected 1")
    with pytest.raises(ConnectionEnded) as ended:
        while True:
            wanted.websocket.receive_message()
    assert ended.value.close_frame == (4410, "enough")
    go(chromium, "overview", "ready", "Messages in, a second", "subscriptions")
    go(chromium, "slow", "Slow readers", "kicked")
    go(chromium, "access", "What may a client do?", "ada", "for the dashboard")
    chromium.evaluate(
        "document.querySelector('#other form').user.value = 'bob'; document.querySelector('#other form').topic.value = 'secret';"
        "document.querySelector('#other form').requestSubmit(); 0")
    chromium.wait_for_text("denied: no rule allows all of it", "allow news/#")


def test_an_administrator_changes_the_policy_of_a_client(governed, chromium):
    log_in(chromium, governed, "ada", "correct horse")
    reader = governed.session(headers=ADA)
    reader.subscribe("news/#")
    go(chromium, "clients", "sorted by age", reader.welcome["client"])
    click(chromium, reader.welcome["client"])
    chromium.wait_for_text("Filters: news/#")
    chromium.evaluate("document.querySelector('[aria-label=\"policy if slow\"]').value = 'latest'; 0")
    click(chromium, "Change policy")
    chromium.wait_for_text("latest: 1 filters")
    assert governed.control_json("clients", "show", reader.welcome["client"])["policy"] == "latest"


# Use with the keyboard alone

CODES = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowDown": 40, "ArrowUp": 38, "ArrowRight": 39}


def strike(console, *keys):
    """Real key events: the browser moves the focus, and presses the focused element."""
    for key in keys:
        for type_ in ("keyDown", "keyUp"):
            text = {"Enter": "\r"}.get(key, "" if key in CODES else key)
            console.command(
                "Input.dispatchKeyEvent", type=type_, key=key, code=key, windowsVirtualKeyCode=CODES.get(key, ord(key[0].upper())),
                **({"text": text} if text and type_ == "keyDown" else {}))


def write(console, text):
    console.command("Input.insertText", text=text)


FOCUS = "(document.activeElement.ariaLabel || document.activeElement.textContent || document.activeElement.name || '').trim()"


def tab_to(console, name):
    """Moves the focus to the element with that name."""
    seen = []
    while (found := console.evaluate(FOCUS)) != name:
        seen.append(found)
        assert len(seen) < 120, f"{name} is not among {seen}"
        strike(console, "Tab")


def test_everything_works_by_keyboard(governed, chromium):
    """From logging in to disconnecting a client, no step needs a pointer."""
    chromium.forget_cookies()
    chromium.open(governed.url("/"))
    chromium.wait_for_text("Log in")
    wait_until(lambda: chromium.evaluate("document.getElementById('who').onclick !== null"), "the button")
    tab_to(chromium, "Log in")
    strike(chromium, "Enter")
    chromium.wait_for_text("Password", "or a token")
    tab_to(chromium, "user")
    write(chromium, "ada")
    strike(chromium, "Tab")
    write(chromium, "correct horse")
    strike(chromium, "Enter")
    chromium.wait_for_text("ada · Log out", "subscribed to #")
    tab_to(chromium, "message")
    write(chromium, "typed")
    tab_to(chromium, "retain")
    strike(chromium, " ")
    tab_to(chromium, "Publish")
    strike(chromium, "Enter")
    chromium.wait_for_text("published sensors/1/temp")
    chromium.evaluate("document.activeElement.blur(); 0")
    reader = governed.session(headers=ADA)
    reader.subscribe("news/#")
    strike(chromium, "g", "c")
    chromium.wait_for_text("sorted by age", reader.welcome["client"])
    tab_to(chromium, reader.welcome["client"])
    strike(chromium, "Enter")
    chromium.wait_for_text("Filters: news/#")
    tab_to(chromium, "Trace")
    # The list that has the focus stays as it is, and the focus with it.
    tab_to(chromium, reader.welcome["client"])
    tab_to(chromium, "Kick")
    strike(chromium, "Enter")
    chromium.wait_for_text("Disconnect ")
    strike(chromium, "Escape")
    assert chromium.evaluate(FOCUS) == "Kick"
    strike(chromium, "Enter")
    chromium.wait_for_text("Disconnect ")
    tab_to(chromium, "Disconnect")
    strike(chromium, "Enter")
    chromium.wait_for_text("disconnected 1")
    with pytest.raises(ConnectionEnded):
        while True:
            reader.websocket.receive_message()
    for key, words in [("s", "What happened"), ("o", "Log level for 10 min"), ("a", "Mint a token"), ("y", "Read it back"), ("t", "Subscribe")]:
        chromium.evaluate("document.activeElement.blur(); 0")
        strike(chromium, "g", key)
        chromium.wait_for_text(words)
    strike(chromium, "?")
    chromium.wait_for_text("go to a page")
    strike(chromium, "Escape")
    assert chromium.evaluate("document.getElementById('dialog').open") is False


@pytest.mark.parametrize("page, word", [
    ("topics", "Copy curl"), ("clients", "sorted by age"), ("slow", "What happened"), ("overview", "ready"),
    ("access", "for the dashboard"), ("try", "Read it back")])
def test_the_tab_key_reaches_every_control(governed, chromium, page, word):
    log_in(chromium, governed, "ada", "correct horse")
    governed.session(headers=ADA).publish("kitchen", 1, retain=True)
    chromium.wait_for_text("subscribed to #", "kitchen")
    choose(chromium)
    go(chromium, page, word)
    controls = (
        "[...document.querySelectorAll('a, button, input, select, textarea, [tabindex]')].filter(one => one.checkVisibility() && "
        "!one.disabled && one.tabIndex >= 0)")
    # By their names, because a page that updates its lists has new elements.
    chromium.evaluate(
        "window.called = (one) => [one.tagName, one.ariaLabel, one.tagName === 'DIV' ? one.className : one.textContent].join();"
        "document.activeElement.blur(); window.reached = new Set(); 0")
    count = chromium.evaluate(f"{controls}.length")
    for _ in range(2 * count + 5):
        strike(chromium, "Tab")
        chromium.evaluate("reached.add(called(document.activeElement)); 0")
    assert chromium.evaluate(f"{controls}.map(called).filter(one => !reached.has(one))") == []
    clickable = chromium.evaluate("[...document.querySelectorAll('*')].filter(one => one.onclick && !one.matches('a, button, input, select')).map(one => one.id)")
    assert set(clickable) <= {"tree", "rows"}


def test_an_administrator_deletes_a_whole_branch(governed, chromium):
    """The number of values is shown first."""
    log_in(chromium, governed, "ada", "correct horse")
    publisher = governed.session(headers=ADA)
    for topic in ["new", "old/a", "old/b/c"]:
        publisher.publish(topic, 1, retain=True)
    chromium.wait_for_text("subscribed to #", "old", "new")
    choose(chromium, "ArrowDown")
    click(chromium, "Delete all below")
    chromium.wait_for_text("Delete 2 retained values?", "old/#")
    chromium.evaluate("document.querySelector('dialog [value=yes]').click(); 0")
    chromium.wait_for_text("deleted 2 of old/#")
    left = governed.http("GET", "/s/%23?poll=1", headers=ADA).body.decode().splitlines()
    assert [json.loads(line)["topic"] for line in left] == ["new"]


def test_logs_in_by_token(governed, chromium):
    """The token is in no URL, and is forgotten at the logout."""
    token = governed.control("token", "mint", "--user", "bob").stdout.decode().strip()
    ask_who(chromium, governed)
    chromium.evaluate(
        f"document.querySelector('dialog [name=token]').value = {json.dumps(token)}; document.querySelector('dialog [value=yes]').click(); 0")
    chromium.wait_for_text("bob · Log out", "forbidden")
    chromium.evaluate(
        "document.forms.subscribe.filter.value = 'news/#'; document.forms.subscribe.requestSubmit();"
        "document.forms.publish.topic.value = 'news/today'; document.forms.publish.data.value = 'by token'; 0")
    chromium.wait_for_text("subscribed to news/#")
    chromium.evaluate("document.forms.publish.requestSubmit(); 0")
    chromium.wait_for_text("published news/today", "today")
    assert token not in chromium.evaluate("location.href + document.cookie + performance.getEntries().map(one => one.name).join()")
    click(chromium, "bob · Log out")
    chromium.wait_for_text("Log in", "unauthenticated")
    assert chromium.evaluate("sessionStorage.length") == 0


def test_a_page_without_rights_asks_to_log_in(start_broker, chromium):
    """And does not try to reconnect every ten seconds."""
    broker = start_broker("access: { anonymous: { publish: [], subscribe: [] }, authentication_timeout: 1s }\n")
    chromium.open(broker.url("/"))
    chromium.wait_for_text("Log in to see topics.")
    wait_until(lambda: broker.control_json("clients") == [], "the end")


def test_users_without_rights_see_what_is_not_available(governed, chromium):
    log_in(chromium, governed, "bob", "battery staple")
    chromium.wait_for_text("forbidden")
    for page in ["clients", "overview", "access"]:
        go(chromium, page, "Not available")
    go(chromium, "try", "Read it back")


@pytest.mark.parametrize("width, scheme", [(360, "light"), (360, "dark"), (1200, "light"), (1200, "dark")])
def test_every_page_fits_its_window(governed, chromium, tmp_path, width, scheme):
    chromium._scheme = scheme
    log_in(chromium, governed, "ada", "correct horse")
    chromium.resize(width)
    publisher = governed.session(headers=ADA)
    for number in range(30):
        publisher.publish("sensors/kitchen/temp", 20 + number % 7, retain=True)
    publisher.publish("long/" + "w" * 300, "x" * 3000)
    publisher.publish("config/a", {"name": "broker", "list": [1, 2, 3], "deep": {"a": None}}, retain=True)
    chromium.wait_for_text("subscribed to #", "kitchen")
    choose(chromium, "End", "ArrowUp")
    choose(chromium, "End")
    chromium.wait_for_text("Copy curl")
    for page, word in [("topics", "Copy curl"), ("clients", "sorted by age"), ("slow", "What happened"), ("overview", "ready"),
                       ("access", "for the dashboard"), ("try", "Read it back")]:
        go(chromium, page, word)
        assert chromium.evaluate("document.documentElement.scrollWidth") <= width, page
        keep_screenshot(chromium, tmp_path, f"console-{page}-{width}-{scheme}.png")
