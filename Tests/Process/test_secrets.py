"""access.md §13: nothing that the broker writes contains a secret, however it was presented and whether it was right."""

import base64
import json
import signal
import time

import jwt
import pytest

from access_file import AccessFile, password_hash
from access_harness import basic
from command_line import run_brokerd, run_control
from raw_websocket import RefusedHandshake

INLINE = "inline-secret-of-the-configuration-0123456789"
CONFIG = """
log: { audit: stdout, audit_authentications: all }
access:
  anonymous: { publish: [open], subscribe: [open] }
  query_tokens: any
  cookie: { name: site }
  jwt:
    - { issuer: inline, audience: broker, secret: "%s", grants_claim: broker, may_grant: ["#"] }
    - { issuer: file, audience: broker, secret: "file:%s" }
    - { issuer: environment, audience: broker, secret: "env:JWT_SECRET" }
  rules: [{ everyone: true, publish: ["a/#"], subscribe: ["a/#"] }]
"""


class Keeper:
    """Remembers all secrets, and all answers."""

    def __init__(self, start_broker, tmp_path):
        self.secrets = []
        self.written = []
        directory = tmp_path / "keeper"
        file_secret = tmp_path / "jwt.secret"
        file_secret.write_text(self.secret("secret-in-a-file-0123456789-0123456789"))
        file_secret.chmod(0o600)
        self.file = AccessFile(directory / "data" / "access.jsonl")
        entry = self.file.user("alice", self.secret("correct horse battery"))
        self.secret(entry["password"].rsplit("$", 1)[1])
        self.file.user("ci")
        self.token, entry = self.file.token("ci")
        self.secret(self.token.rpartition("_")[2])
        self.secret(entry["sha256"])
        self.file.write()
        self.broker = start_broker(
            CONFIG % (self.secret(INLINE), file_secret), directory=directory, arguments=["--log-level", "debug"],
            environment={"JWT_SECRET": self.secret("secret-of-the-environment-0123456789")})

    def secret(self, text):
        self.secrets.append(text)
        # As `Basic` and others would carry it.
        self.secrets.append(base64.b64encode(text.encode()).decode().rstrip("=")[:-1])
        return text

    def http(self, *arguments, **options):
        answer = self.broker.http(*arguments, **options)
        cookie = answer.headers.get("Set-Cookie", "")
        if answer.status == 200 and cookie:
            # The one place where this one belongs.
            value = self.secret(cookie.partition("=")[2].partition(";")[0])
            del answer.headers["Set-Cookie"]
            self.take(answer)
            return value
        self.take(answer)
        return answer

    def take(self, answer):
        self.written.append(f"{answer.status} {answer.headers} {answer.body.decode(errors='replace')}")

    def websocket(self, path, **options):
        """An open WebSocket, or its refusal; the answer is kept."""
        try:
            socket = self.broker.websocket(path, **options)
        except RefusedHandshake as refused:
            self.written.append(f"{refused} {refused.body!r}")
            return
        self.written.append(str(socket.headers))
        if "Origin" in options.get("headers", {}):
            self.written.append(f"{socket.receive_message()}")

    def raw(self, request):
        plain = self.broker.connect()
        plain.sendall(request.encode())
        taken = b""
        while more := plain.recv(65536):
            taken += more
        self.written.append(taken.decode(errors="replace"))

    def control(self, *arguments, **options):
        done = self.broker.control(*arguments, **options)
        self.written.append((done.stdout + done.stderr).decode())

    def found(self):
        """The secrets that were found."""
        everything = "\n".join(self.written + self.broker.lines)
        return [secret for secret in self.secrets if secret in everything]


@pytest.fixture
def keeper(start_broker, tmp_path):
    return Keeper(start_broker, tmp_path)


def signed(key, **claims):
    now = int(time.time())
    right = {"iss": "inline", "aud": "broker", "sub": "carol", "iat": now, "exp": now + 600}
    return jwt.encode({**right, **claims}, key, algorithm="HS256")


def test_no_endpoint_logs_presented_credentials(keeper):
    tokens = [keeper.token, keeper.token[:-1] + "!", "bk_abcdefgh_" + "Z" * 43, signed(INLINE), signed(INLINE, exp=1),
              signed(INLINE, iss="unknown"), signed("another-key-0123456789-0123456789-012345"), signed(INLINE) + "x"]
    for token in tokens:
        keeper.secrets.append(token.rpartition("_" if token.startswith("bk") else ".")[2])
    own = {"Origin": keeper.broker.url()}
    site = {"Sec-Fetch-Site": "same-origin"}
    for token in tokens:
        for path in ("/t/a/x", "/t/b", "/nothing", "/session"):
            keeper.http("GET", path, headers={"Authorization": f"Bearer {token}"})
            keeper.http("GET", f"{path}?token={token}")
            keeper.http("GET", f"{path}?tokn={token}")
            keeper.http("GET", path, headers=site | {"Cookie": f"site={token}"})
            keeper.http("GET", path, headers=site | {"Cookie": f"__Host-broker={token}"})
        keeper.http("PATCH", f"/t/a/x?token={token}")
        keeper.http("GET", "/t/a/x", headers={"Authorization": f"Digest {token}"})
        keeper.http("GET", f"/t/a/x?token={token}", headers={"Host": "evil.test"})
        keeper.http("GET", f"/t/a/x?token={token}", headers={"Origin": "https://evil.test"})
        for path in ("/ws", "/t/a/x", "/s/a/x"):
            for offers in ([f"bearer.{token}"], [f"bearer.{token}", "broker.v1.json", "broker.topic.v1", "broker.subscription.v1"]):
                keeper.websocket(path, subprotocols=offers)
                keeper.websocket(path + f"?token={token}")
        keeper.raw(f"GET /t/a/x?token={token} HTTP/9.9\r\nHost: localhost\r\n\r\n")
        keeper.raw(f"GET /t/a/x HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n broken: yes\r\n\r\n")
        session = keeper.broker.session()
        for members in ({"token": token}, {"token": token, "user": "x"}, {"user": "alice", "password": token}):
            keeper.written.append(json.dumps(session.request(op="authenticate", **members)))
        session.websocket.send_text('{"op": "authenticate", "token": "%s", broken' % token)
        keeper.written.append(json.dumps(session.receive()))
    for password in ("correct horse battery", keeper.secret("a wrong password")):
        for user in ("alice", "nobody"):
            keeper.http("GET", "/t/a/x", headers=basic(user, password))
            keeper.http("GET", "/t/b", headers=basic(user, password))
            body = json.dumps({"user": user, "password": password})
            cookie = keeper.http("POST", "/session", body=body, headers=own)
            keeper.http("POST", "/session", body=body)
            keeper.http("POST", "/session", body=body[:-1], headers=own)
            if isinstance(cookie, str):
                keeper.http("GET", "/session", headers=site | {"Cookie": f"__Host-broker={cookie}"})
                keeper.http("GET", "/t/b", headers=site | {"Cookie": f"__Host-broker={cookie}"})
                keeper.websocket("/s/a/x", headers=own | {"Cookie": f"__Host-broker={cookie}"})
    for arguments in (["clients"], ["clients", "--json"], ["subscriptions"], ["status", "--json"], ["topics"],
                      ["users", "list", "--json"], ["token", "list", "--json"], ["audit", "--json"]):
        keeper.control(*arguments)
    keeper.http("GET", "/metrics")
    keeper.broker.send_signal(signal.SIGHUP)
    keeper.broker.wait_for_line("settings reloaded")
    keeper.broker.stop()
    audited = {json.loads(line)["event"] for line in keeper.broker.lines if line.startswith("{")}
    assert audited >= {"auth.failed", "auth.ok", "subscribe.denied", "host.refused", "origin.refused"}, "the audit log is among it"
    assert keeper.found() == []


def test_config_show_hides_secrets(keeper):
    for arguments in (["config", "show"], ["config", "show", "--json"], ["config", "check"]):
        done = run_control(*arguments, str(keeper.broker.config_file), environment={"JWT_SECRET": "secret-of-the-environment-0123456789"})
        assert done.returncode == 0, done
        keeper.written.append((done.stdout + done.stderr).decode())
    assert "***" in keeper.written[0] and "env:JWT_SECRET" in keeper.written[0]
    assert keeper.found() == []


def test_errors_in_the_users_file_do_not_print_the_line(keeper):
    """The password, the hash or the token itself is written in the wrong place."""
    secret = keeper.secret("Zq4mistaken7secret2Zq4mistaken7secret2Zq4")
    made = password_hash(secret)
    keeper.secret(made.rsplit("$", 1)[1])
    mistakes = [
        '{"user":"bob","password":"%s"}' % secret, '{"user":"bob","password":["%s"]}' % secret, '{"user":"bob","password":"%s' % secret,
        '{"token":"abcdefgh","sha256":"%s","user":"ci"}' % secret, '{"token":"bk_abcdefgh_%s","user":"ci"}' % secret,
        '{"user":"bob","password":"%s!"}' % made, '{"user":"bob","password":"%s"}{' % made, secret]
    with open(keeper.file.path, "a") as file:
        file.write("\n".join(mistakes) + "\n")
    errors = keeper.broker.wait_for_line("keeping the previous users and tokens")
    assert [number for number in range(4, 4 + len(mistakes)) if f"access.jsonl:{number}: " not in errors] == []
    assert keeper.found() == []


@pytest.mark.parametrize("secret", ["short", "a-secret-that-is-there-twice-0123456789"])
def test_errors_in_a_secret_do_not_print_it(tmp_path, secret):
    path = tmp_path / "broker.yaml"
    entry = f'{{ issuer: a, audience: b, secret: "Zq{secret}7Zq" }}'
    path.write_text(f"access: {{ jwt: [{entry}, {entry if secret != 'short' else '{}'}] }}\n")
    done = run_brokerd("--config", str(path), "--data-dir", str(tmp_path / "data"), cwd=tmp_path)
    assert done.returncode != 0 and "access.jwt" in done.stdout and f"Zq{secret}" not in done.stdout
