"""The set-ups of docs/access.md, word for word: the commands before, the settings, and the commands while it runs."""

import os
import re
import subprocess

import pytest

from access_harness import bearer
from broker_process import free_port
from certificates import Authority
from command_line import BROKERCTL, REPOSITORY
from deadlines import wait_until

TEXT = (REPOSITORY / "docs/access.md").read_text().partition("\n## Set-ups\n")[2].partition("\n## ")[0]
SETUPS = {
    title: re.findall(r"^```(sh|yaml)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    for title, text in re.findall(r"^### (.*?)\n(.*?)(?=^### |\Z)", TEXT, re.MULTILINE | re.DOTALL)}


class Reader:
    """Follows one set-up in an empty folder, on another port than in the page."""

    def __init__(self, start_broker, tmp_path, title):
        self.directory = tmp_path / "reader"
        authority = Authority(tmp_path / "authority")
        self.directory.mkdir()
        server = authority.sign("server")
        for source, name in [(server.certificate, "server.pem"), (server.key, "server.key"), (authority.file, "ca.pem")]:
            (self.directory / name).write_bytes(source.read_bytes())
            (self.directory / name).chmod(0o600)
        self.port = free_port()
        blocks = SETUPS[title]
        [place] = [place for place, (kind, _) in enumerate(blocks) if kind == "yaml"]
        for _, text in blocks[:place]:
            self.run(text)
        settings = self.ported(blocks[place][1])
        self.broker = start_broker(
            settings, directory=self.directory, port=self.port, configured_listen="listen:" in settings)
        for _, text in blocks[place + 1:]:
            self.run(text)

    def ported(self, text):
        return re.sub(r"\b(8443|8080)\b", str(self.port), text)

    def run(self, text):
        """Runs the block's commands, none of which may fail; returns their output."""
        path = os.path.dirname(BROKERCTL) + ":" + os.environ["PATH"]
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", self.ported(text)], cwd=self.directory, env=os.environ | {"PATH": path},
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        assert done.returncode == 0, (text, done.stdout, done.stderr)
        return done.stdout.decode()

    def token(self, name):
        return bearer((self.directory / f"{name}.token").read_text().strip())

    def curl(self, *arguments):
        """The status that a curl command like that of the page gets."""
        done = subprocess.run(
            ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", "ca.pem", *arguments],
            cwd=self.directory, capture_output=True, timeout=60)
        return int(done.stdout)


@pytest.fixture
def follow(start_broker, tmp_path):
    return lambda title: Reader(start_broker, tmp_path, title)


def test_the_page_has_five_setups():
    assert list(SETUPS) == [
        "A site's login server", "Devices by token", "Devices by certificate", "A team with passwords",
        "Public read, private write"]


def test_a_sites_login_server(follow):
    reader = follow("A site's login server")
    post = lambda topic: reader.broker.http("POST", f"/t/{topic}", "x", reader.token("alice")).status
    assert [post("chat/alice"), post("chat/bob")] == [200, 403]
    assert reader.broker.http("GET", "/t/chat/alice").status == 401
    reader.run("brokerctl users disable alice")
    wait_until(lambda: post("chat/alice") == 401, "alice to be locked out")


def test_devices_by_token(follow):
    reader = follow("Devices by token")
    field = f"Authorization: {reader.token('device7')['Authorization']}"
    post = lambda topic: reader.curl("-H", field, "-d", "1", f"https://localhost:{reader.port}/t/{topic}")
    assert [post("sensors/device7/a"), post("sensors/device8/a"), post("config/device7/a")] == [200, 403, 403]
    reader.run("brokerctl users remove device7")
    wait_until(lambda: post("sensors/device7/a") == 401, "the device to be locked out")


def test_devices_by_certificate(follow):
    reader = follow("Devices by certificate")
    url = f"https://localhost:{reader.port}/t/sensors"
    known = ["--cert", "device7.pem", "--key", "device7.key", "-d", "1"]
    assert [reader.curl(*known, f"{url}/device7/a"), reader.curl(*known, f"{url}/device8/a")] == [200, 403]
    reader.run("brokerctl users disable device7")
    wait_until(lambda: reader.curl(*known, f"{url}/device7/a") == 401, "the device to be locked out")


def test_a_team_with_passwords(follow):
    reader = follow("A team with passwords")
    url = f"https://localhost:{reader.port}"
    person = ["-u", "alice:correct horse battery staple"]
    post = lambda name: reader.curl(*person, "-d", "x", f"{url}/t/notes/{name}/a")
    assert [post("alice"), post("bob")] == [200, 403]
    reader.run("brokerctl users role alice +chief")
    wait_until(lambda: post("bob") == 200, "alice to be chief")
    login = ["-H", f"Origin: {url}", "-d", '{"user":"alice","password":"correct horse battery staple"}', f"{url}/session"]
    assert reader.curl("-c", "cookies", *login) == 200
    assert reader.curl("-b", "cookies", "-H", f"Origin: {url}", "-d", "x", f"{url}/t/notes/alice/a") == 200
    assert reader.curl("-b", "cookies", "-d", "x", f"{url}/t/notes/alice/a") == 401


def test_public_read_private_write(follow):
    reader = follow("Public read, private write")
    assert reader.broker.retained("public/notice").body == b"Closed on Monday"
    assert reader.broker.http("POST", "/t/public/notice", "x").status == 401
    assert reader.broker.retained("private").status == 401
    reader.broker.session().subscribe("public/#")
