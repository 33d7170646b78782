"""A broker that accepts the JSON Web Tokens of a login server."""

import http.server
import json
import re
import signal
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jwt
import pytest

from certificates import Authority
from command_line import run_control
from deadlines import wait_until
from json_web_tokens import keys


class LoginServer:
    """Serves a key set at 127.0.0.1, and can be told to serve another."""

    def __init__(self, keys):
        self.keys = keys
        self.count = 0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.count += 1
                body = json.dumps({"keys": server.keys}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.httpd.server_port}/keys"

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()


CONFIG = """
access:
  anonymous: { publish: [], subscribe: [] }
  jwt:
    - issuer: login
      audience: broker
      keys: "%s"
      roles_claim: realm_access.roles
      grants_claim: broker
      may_grant: ["t/#"]
  rules:
    - { role: sensor, publish: ["sensors/{user}/#"] }
    - { everyone: true, publish: ["tenants/{claim.tenant}/#"] }
log: { audit: stdout }
"""


@pytest.fixture
def login(keys, start_broker):
    server = LoginServer([key for key in keys.public_set() if key["kid"] == "P-256"])
    server.broker = start_broker(CONFIG % server.url, name="believer")
    yield server
    server.close()


def signed(keys, algorithm="ES256", kid="P-256", **claims):
    now = int(time.time())
    right = {"iss": "login", "aud": "broker", "sub": "alice", "iat": now, "exp": now + 600}
    return jwt.encode({**right, **claims}, keys.signing(algorithm), algorithm=algorithm, headers={"kid": kid})


def published(login, topic, token):
    return login.broker.http("POST", f"/t/{topic}", b"x", {"Authorization": f"Bearer {token}"}).status


def allows(login, topic, token):
    return published(login, topic, token) < 300


def test_tokens_of_a_login_server_are_accepted(keys, login):
    token = signed(keys, tenant="t1", realm_access={"roles": ["sensor"]}, broker={"publish": ["t/a/#", "u/#"]})
    assert allows(login, "sensors/alice/x", token)
    assert published(login, "sensors/bob/x", token) == 403
    assert allows(login, "tenants/t1/x", token) and published(login, "tenants/t2/x", token) == 403
    # The token's own rights, as far as its issuer may grant them.
    assert allows(login, "t/a/x", token) and published(login, "u/x", token) == 403
    assert published(login, "t/a/x", signed(keys, exp=int(time.time()) - 100)) == 401
    assert published(login, "t/a/x", token[:-2]) == 401
    session = login.broker.session(subprotocols=["broker.v1.json", f"bearer.{token}"])
    assert session.welcome["op"] == "welcome"
    written = "\n".join(login.broker.lines)
    assert token not in written and token.split(".")[2] not in written
    assert 'broker_jwks_age_seconds{issuer="login"}' in login.broker.http("GET", "/metrics").body.decode()


def test_a_name_unfit_for_placeholders_is_reported(keys, login):
    """A name like `a/+` authenticates, but rules with `{user}` do not apply."""
    rules = {"realm_access": {"roles": ["sensor"]}, "tenant": "t1"}
    for name in ("a/+", "a/+", "bob"):
        token = signed(keys, sub=name, **rules)
        assert published(login, "sensors/a/x", token) == 403
        assert published(login, "tenants/t1/x", token) == 200
    told = "a login server's user has an unusual name: rules with {user} do not apply to this name user=a/+"
    login.broker.wait_for_line(re.escape(told))
    denied = [json.loads(login.broker.wait_for_line(f'"publish.denied","user":"{name}"')) for name in (r"a/\+", "bob")]
    assert [one.get("result") for one in denied] == ["rules with {user} do not apply to this name", None]
    assert sum("unusual name" in line for line in login.broker.lines) == 1


def test_a_token_by_a_new_key_is_accepted_at_once(keys, login):
    # The keys that it fetches at the start.
    wait_until(lambda: allows(login, "t/x", signed(keys, broker={"publish": ["t/#"]})), "the keys to be there")
    login.keys = [key for key in keys.public_set() if key["kid"] == "Ed25519"]
    token = signed(keys, "EdDSA", "Ed25519", broker={"publish": ["t/#"]})
    assert allows(login, "t/x", token)
    asked = login.count
    # No client can make the broker fetch again and again.
    for number in range(20):
        assert published(login, "t/x", signed(keys, "ES256", f"none{number}")) == 401
    assert login.count == asked


def test_a_token_is_not_rejected_because_its_key_cannot_be_fetched(keys, login):
    known = signed(keys, broker={"publish": ["t/#"]})
    wait_until(lambda: allows(login, "t/x", known), "the keys to be there")
    login.keys = []
    assert published(login, "t/x", signed(keys, "EdDSA", "Ed25519")) == 503
    # Also while it does not fetch again; known tokens stay valid.
    assert published(login, "t/x", signed(keys, "EdDSA", "Ed25519", jti="2")) == 503
    assert published(login, "t/x", signed(keys, broker={"publish": ["t/#"]}, jti="3")) == 200


def test_a_reload_with_another_refresh_keeps_the_keys(keys, login):
    token = signed(keys, broker={"publish": ["t/#"]})
    wait_until(lambda: allows(login, "t/x", token), "the keys to be there")
    login.keys = []
    login.broker.config_file.write_text(login.broker.config_file.read_text().replace("roles_claim:", "refresh: 60s\n      roles_claim:"))
    since = len(login.broker.lines)
    login.broker.send_signal(signal.SIGHUP)
    login.broker.wait_for_line("settings reloaded", since=since)
    login.broker.wait_for_line("no new keys of an issuer", since=since)
    assert published(login, "t/x", token) == 200


def test_reloads_leave_no_threads(keys, start_broker):
    config = "access: { jwt: [{ issuer: login, audience: %s, secret: \"%s\" }], rules: [{ everyone: true, publish: [\"t/#\"] }] }\n"
    broker = start_broker(config % ("a0", "s" * 32))
    claims = {"iss": "login", "sub": "alice", "exp": int(time.time()) + 600}
    for number in range(8):
        broker.config_file.write_text(config % (f"a{number}", "s" * 32))
        since = len(broker.lines)
        broker.send_signal(signal.SIGHUP)
        broker.wait_for_line("settings reloaded", since=since)
        token = jwt.encode({**claims, "aud": f"a{number}"}, "s" * 32, algorithm="HS256")
        assert broker.http("POST", "/t/t/x", b"x", {"Authorization": f"Bearer {token}"}).status == 200
    names = [path.read_text().strip() for path in Path(f"/proc/{broker.process.pid}/task").glob("*/comm")]
    assert names.count("jwt") <= 2, names


def stacks(broker):
    """The number of thread stacks: with Debian's limits each has 8 MiB, with a guard page below it."""
    lines = Path(f"/proc/{broker.process.pid}/maps").read_text().splitlines()
    places = [[int(each, 16) for each in line.split()[0].split("-")] for line in lines]
    return sum(high - low == 8 << 20 for low, high in places)


def test_reloads_leave_no_stacks_of_fetching_threads(keys, login):
    config = login.broker.config_file.read_text()
    for number in range(16):
        login.broker.config_file.write_text(config.replace("roles_claim:", f"refresh: {60 + number}s\n      roles_claim:"))
        since = len(login.broker.lines)
        login.broker.send_signal(signal.SIGHUP)
        login.broker.wait_for_line("settings reloaded", since=since)
    threads = len(list(Path(f"/proc/{login.broker.process.pid}/task").iterdir()))
    # The C library keeps 40 MiB of ended stacks for new threads.
    assert stacks(login.broker) <= threads + 5


def test_the_audit_log_records_keys_and_refused_tokens(keys, login):
    assert published(login, "t/x", signed(keys, exp=int(time.time()) - 100)) == 401
    failed = json.loads(login.broker.wait_for_line('"auth.failed"'))
    assert (failed["kind"], failed["user"], failed["result"]) == ("jwt", "alice", "expired")
    refreshed = json.loads(login.broker.wait_for_line('"keys.refreshed"'))
    assert (refreshed["target"], refreshed["result"]) == ("login", "1 keys")


def test_token_check_explains_a_json_web_token(keys, login):
    def checked(token):
        return login.broker.control("token", "check", input=token.encode()).stdout.decode()

    shown = checked(signed(keys, jti="j1", realm_access={"roles": ["sensor"]}, broker={"publish": ["t/a"]}))
    assert shown.startswith("valid alice\n  kind     jwt\n  id       j1\n  roles    sensor\n  expires  in ")
    assert "  may      publish t/a\n" in shown and "  may      publish sensors/alice/#\n" in shown
    assert checked(signed(keys, exp=int(time.time()) - 100)) == "refused expired\n"
    assert checked(signed(keys, aud="another")) == "refused audience\n"


def test_changed_keys_are_fetched_once_for_many_clients(keys, login):
    """One fetch of the new keys admits all 1,000 clients, and those of the old key end."""
    old = login.broker.session(subprotocols=["broker.v1.json", f"bearer.{signed(keys)}"])
    asked = login.count
    login.keys = [key for key in keys.public_set() if key["kid"] == "Ed25519"]
    tokens = [signed(keys, "EdDSA", "Ed25519", jti=f"j{number}", broker={"publish": ["t/#"]}) for number in range(1000)]
    with ThreadPoolExecutor(32) as pool:
        assert set(pool.map(lambda token: published(login, "t/x", token), tokens)) == {200}
    assert login.count == asked + 1
    assert old.websocket.receive_close() == (4401, "revoked")


def test_keys_are_fetched_over_tls_with_their_own_authority(keys, start_broker, tmp_path):
    authority = Authority(tmp_path / "authority")
    server = LoginServer([key for key in keys.public_set() if key["kid"] == "P-256"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made = authority.sign("login")
    context.load_cert_chain(made.certificate, made.key)
    server.httpd.socket = context.wrap_socket(server.httpd.socket, server_side=True)
    url = server.url.replace("http://127.0.0.1", "https://localhost")
    token = signed(keys, broker={"publish": ["t/#"]})
    try:
        server.broker = start_broker(CONFIG % f'{url}"\n      ca: "{authority.file}', name="trusting")
        wait_until(lambda: allows(server, "t/x", token), "the keys to be there")
        server.broker = start_broker(CONFIG % url, name="doubting")
        server.broker.wait_for_line("no new keys of an issuer")
        assert published(server, "t/x", token) == 503
    finally:
        server.close()


def test_a_user_of_a_login_server_can_be_locked_out(keys, login):
    file = login.broker.directory / "data/access.jsonl"
    token = signed(keys, jti="j1", broker={"publish": ["t/#"]})
    assert allows(login, "t/x", token)
    for arguments, ends in [(("token", "revoke", "--jti", "j1"), token), (("users", "disable", "alice"), signed(keys))]:
        since = len(login.broker.lines)
        assert run_control(*arguments, "--file", str(file)).returncode == 0
        login.broker.wait_for_line("loaded the changed file", since=since)
        assert published(login, "t/x", ends) == 401
