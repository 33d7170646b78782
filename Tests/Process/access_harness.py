"""A broker with users and rules, for the tests of access; everything that it writes is searched for secrets at the end."""

import base64
import json

import pytest

from access_file import AccessFile

RULES = """
access:
  anonymous: { publish: [], subscribe: [] }
  %s
  rules:
    - { everyone: true, subscribe: ["news/#"] }
    - { role: sensor, publish: ["sensors/{user}/#"], subscribe: ["sensors/{user}/#", "config/#"] }
    - { role: dashboard, subscribe: ["sensors/#"], deny: ["sensors/secret/#"] }
    - { role: editor, publish: ["news/#"], retain: ["news/state/#"] }
"""


def basic(user, password):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


class Harness:
    """A broker with users; everything that it writes is searched for secrets at the end."""

    def __init__(self, start_broker, tmp_path, extra="", limits="", more=""):
        self.directory = tmp_path / "harness"
        self.file = AccessFile(self.directory / "data" / "access.jsonl")
        self.secrets = []
        self.file.user("alice", "correct horse", ["dashboard"])
        self.file.user("device7", roles=["sensor"])
        self.file.user("ed", roles=["editor"])
        self.device = self.token("device7")
        self.editor = self.token("ed")
        self.alice = self.token("alice")
        self.file.write()
        self.broker = start_broker(
            f"limits: {{ {limits} }}\n{more}\n" + RULES % extra, directory=self.directory, arguments=["--log-level", "debug"])
        self.secrets.append("correct horse")

    def token(self, user, lifetime=None, **members):
        token, _ = self.file.token(user, lifetime, **members)
        self.secrets.append(token.rsplit("_", 1)[1])
        return token

    def entry(self, token):
        return next(entry for entry in self.file.entries if entry.get("token") == token.split("_")[1])

    def rewrite(self):
        since = len(self.broker.lines)
        self.file.write()
        self.broker.wait_for_line("loaded the changed file", since=since)

    def written(self):
        metrics = self.broker.http("GET", "/metrics").body.decode()
        return "\n".join(self.broker.lines) + metrics


class Page:
    """A page in a browser, as the broker sees it: its requests say where they come from, and carry its cookie."""

    def __init__(self, harness):
        self.harness = harness
        self.own = {"Origin": harness.broker.url()}
        self.cookie = {}

    def log_in(self, user="alice", password="correct horse", headers=None, body=None):
        body = json.dumps({"user": user, "password": password}) if body is None else body
        answer = self.harness.broker.http("POST", "/session", body=body, headers=self.own | (headers or {}), timeout=60)
        if answer.status == 200:
            value = answer.headers["Set-Cookie"].partition("=")[2].partition(";")[0]
            self.harness.secrets.append(value)
            self.cookie = {"Cookie": f"a=b; __Host-broker={value}"}
        return answer

    def read(self, path, headers=None):
        """A `fetch` from its own origin."""
        fields = {"Sec-Fetch-Site": "same-origin"} | self.cookie | (headers or {})
        return self.harness.broker.http("GET", path, headers=fields)

    def send(self, method, path, body=None, headers=None):
        return self.harness.broker.http(method, path, body=body, headers=self.own | self.cookie | (headers or {}))

    def session(self):
        return self.harness.broker.session(headers=self.own | self.cookie)


@pytest.fixture
def harness(start_broker, tmp_path):
    harness = Harness(start_broker, tmp_path)
    yield harness
    written = harness.written()
    assert not [secret for secret in harness.secrets if secret in written]


def wrong(token):
    """The same token with another secret."""
    return token[:-1] + ("A" if token[-1] != "A" else "B")
