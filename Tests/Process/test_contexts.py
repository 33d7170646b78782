"""brokerctl over the network: --url, its errors, and contexts."""

import json
import os
import pty
import stat
import subprocess

import pytest

from access_harness import wrong
from admin_harness import AdminHarness
from command_line import BROKERCTL, run_control
from deadlines import ANSWER_DEADLINE, can_read
from broker_process import free_port


@pytest.fixture
def harness(start_broker, tmp_path):
    return AdminHarness(start_broker, tmp_path)


class Person:
    """A person with a home directory."""

    def __init__(self, home):
        self.home = home
        home.mkdir()
        self.environment = {"HOME": str(home), "XDG_CONFIG_HOME": ""}

    @property
    def file(self):
        return self.home / ".config" / "broker" / "contexts.json"

    def run(self, *arguments, status=0, input=None, **variables):
        done = run_control(*arguments, input=input, cwd=self.home, environment=self.environment | variables)
        assert done.returncode == status, done
        return (done.stdout if status == 0 else done.stderr).decode()


@pytest.fixture
def person(tmp_path):
    return Person(tmp_path / "home")


def token(harness, role):
    return (harness.tokens[role] + "\n").encode()


# --url


def test_every_kind_of_verb_works_over_the_network(harness, person):
    tls = ["--url", harness.tls_url, "--ca-file", str(harness.authority.file)]
    chief = {"BROKER_TOKEN": harness.tokens["chief"]}
    assert "ready" in person.run(*tls, "status", **chief)
    person.run(*tls, "retained", "set", "kept", "1", **chief)
    assert person.run(*tls, "retained", "get", "kept", **chief) == "1"
    exported = person.run(*tls, "retained", "export", **chief)
    assert "imported: 1" in person.run(*tls, "retained", "import", "-", input=exported.encode(), **chief)
    for verb in (["clients"], ["topics"], ["subscriptions"], ["retained", "list"], ["reload"]):
        person.run(*tls, *verb, **chief)
    person.run(*tls, "retained", "delete", "kept", "--yes", **chief)
    person.run(*tls, "drain", "--yes", **chief)
    assert harness.broker.wait_for_exit() == 0


def test_failures_are_explained(harness, person, tmp_path):
    url = ["--url", harness.url]
    assert "no credentials were presented" in person.run(*url, "status", status=1)
    assert "(unauthenticated)" in person.run(*url, "--token", wrong(harness.tokens["chief"]), "status", status=1)
    told = person.run(*url, "--token", harness.tokens["guest"], "status", status=1)
    assert "read, write or operate" in told and "(forbidden)" in told
    told = person.run(*url, "--token", harness.tokens["reader"], "reload", status=1)
    assert 'reload: needs the right "operate"' in told
    closed = ["--url", f"http://127.0.0.1:{harness.closed_port}", "--token", harness.tokens["chief"]]
    assert "admin: true" in person.run(*closed, "status", status=1)
    person.run("--url", f"http://127.0.0.1:{free_port()}", "--token", "x", "status", status=2)
    open_file = tmp_path / "token"
    open_file.write_text(harness.tokens["chief"])
    open_file.chmod(0o644)
    assert "others may read" in person.run(*url, "--token-file", str(open_file), "status", status=64)


# Contexts


def test_a_login_is_verified_and_stored_privately(harness, person):
    tls = [harness.tls_url, "--ca-file", str(harness.authority.file), "--name", "main"]
    for failed in (wrong(harness.tokens["chief"]).encode(), b"no-token", b"", b"two words"):
        person.run("login", *tls, input=failed, status=64 if failed in (b"", b"two words") else 1)
        assert not person.file.exists()
    shown = person.run("login", *tls, input=token(harness, "chief"))
    assert shown == f"logged in to main, token {harness.tokens['chief'].split('_')[1]}\n"
    assert stat.S_IMODE(person.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(person.file.parent.stat().st_mode) == 0o700
    assert "ready" in person.run("status")
    person.run("pub", "a", "1")
    listed = person.run("contexts") + person.run("contexts", "--json")
    assert "main" in listed and harness.tokens["chief"] not in listed
    # Its authorities are found from another directory.
    assert "ready" in run_control("status", cwd="/", environment=person.environment).stdout.decode()


def test_a_file_readable_by_others_is_refused(harness, person):
    person.run("login", harness.url, input=token(harness, "chief"))
    person.file.chmod(0o640 if os.getuid() else 0o644)
    assert "others may read" in person.run("status", status=1)


def test_logs_in_by_password(harness, person):
    shown = person.run("login", harness.url, "--user", "chief", input=b"the chief himself\n")
    assert "user chief" in shown and "himself" not in shown
    assert "ready" in person.run("status")
    person.run("login", harness.url, "--user", "chief", input=b"wrong\n", status=1)


def test_a_token_without_admin_rights_is_stored_with_a_warning(harness, person):
    shown = person.run("login", harness.url, input=token(harness, "guest"))
    assert "no right to administer" in shown and "read, write or operate" in shown


def test_options_and_variables_override_the_context_in_use(harness, person):
    person.run("login", harness.url, "--name", "chief", input=token(harness, "chief"))
    person.run("login", harness.url, "--name", "reader", input=token(harness, "reader"))
    assert person.run("reload", status=1).count("operate") == 1
    assert person.run("--context", "chief", "reload") == "reloaded\n"
    assert person.run("reload", BROKER_CONTEXT="chief") == "reloaded\n"
    assert person.run("context", "use", "chief") == "in use: chief\n"
    assert person.run("reload") == "reloaded\n"
    assert "cannot reach a broker at /none" in person.run("--socket", "/none", "status", status=2)
    assert "cannot reach a broker at /none" in person.run("status", status=2, BROKER_SOCKET="/none")
    # A secret is sent to its own broker only.
    assert "no credentials were presented" in person.run("--url", harness.url, "status", status=1)
    assert person.run("reload", BROKER_TOKEN=harness.tokens["reader"]) == "reloaded\n"
    assert "operate" in person.run("reload", "--token", harness.tokens["reader"], status=1)
    assert "there is no context" in person.run("--context", "none", "status", status=64)


def test_logout_forgets_a_context(harness, person):
    person.run("login", harness.url, "--name", "one", input=token(harness, "chief"))
    person.run("login", harness.url, "--name", "two", input=token(harness, "chief"))
    assert person.run("logout") == "forgotten: two\n"
    assert "no context is in use" in person.run("logout", status=1)
    assert "cannot reach a broker" in person.run("status", status=2)
    person.run("logout", "one")
    assert json.loads(person.run("contexts", "--json")) == []
    assert harness.tokens["chief"] not in person.file.read_text()


def test_the_configuration_directory_follows_xdg(harness, person, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    person.run("login", harness.url, input=token(harness, "chief"), XDG_CONFIG_HOME=str(elsewhere))
    assert stat.S_IMODE((elsewhere / "broker" / "contexts.json").stat().st_mode) == 0o600
    assert not person.file.exists()
    # A relative path is ignored, as its specification says.
    person.run("login", harness.url, input=token(harness, "chief"), XDG_CONFIG_HOME="relative")
    assert person.file.exists()


@pytest.mark.parametrize("arguments, words", [
    (["http://broker.example.com"], "use https://"), (["ftp://x"], "expected http"),
    (["http://localhost:1", "--insecure"], "--insecure"), (["http://localhost:1", "--name", "a b"], "--name"),
    (["http://localhost:1", "--socket", "x"], "only the broker's address")])
def test_login_rejects_invalid_addresses(person, arguments, words):
    assert words in person.run("login", *arguments, input=b"token\n", status=64)


def test_a_typed_token_is_not_echoed(harness, person):
    own, other = pty.openpty()
    child = subprocess.Popen(
        [BROKERCTL, "login", harness.url], stdin=other, stdout=other, stderr=other, cwd=person.home,
        env=os.environ | person.environment)
    os.close(other)
    shown = b""

    def read(until):
        nonlocal shown
        while until not in shown:
            assert can_read(own), shown
            shown += os.read(own, 4096)

    try:
        read(b"(leave empty for a token): ")
        os.write(own, b"chief\n")
        read(b"Password: ")
        os.write(own, b"the chief himself\n")
        read(b"logged in to")
        assert child.wait(ANSWER_DEADLINE) == 0
    finally:
        child.kill()
        child.wait()
        os.close(own)
    assert b"himself" not in shown
