"""The README's tour, command by command, and the words that the documents name."""

import json
import os
import re
import signal
import subprocess

import pytest

from command_line import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
MAKEFILE = (REPOSITORY / "Makefile").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]


@pytest.fixture
def reader(broker, tmp_path):
    """Runs a line as in the reader's shell, in the folder that contains `.build` and the broker's `data`."""
    (broker.directory / ".build").symlink_to(REPOSITORY / ".build")

    def run(line, until=None):
        """The output of a line; a line that does not end is interrupted when it has printed `until`."""
        line = line.replace("127.0.0.1:8080", f"127.0.0.1:{broker.port}").replace("/tmp/", f"{tmp_path}/")
        shell = subprocess.Popen(
            ["bash", "-c", line], cwd=broker.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, start_new_session=True,
            # A shell ignores SIGINT in what it runs in the background, and so the line would, too.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        printed = b""
        try:
            if until is not None:
                while until.encode() not in printed:
                    more = os.read(shell.stdout.fileno(), 65536)
                    assert more, (line, printed, shell.stderr.read())
                    printed += more
                os.killpg(shell.pid, signal.SIGINT)
            rest, errors = shell.communicate(timeout=60)
        finally:
            if shell.poll() is None:
                os.killpg(shell.pid, signal.SIGKILL)
                shell.communicate()
        assert shell.returncode == 0 or until is not None, (line, shell.returncode, errors)
        return (printed + rest).decode()

    return run


def test_the_two_commands_come_first():
    assert [command.split("#")[0].strip() for command in COMMANDS[:2]] == ["make run", "make test"]


# A part of a line of the tour, and its expected output.
SEEN = [
    ("curl -d 'hello'", '{"seq":1,"stored":false}'), ("curl -X PUT", '"stored":true}'), ("curl -i", "\r\n\r\n21.5"),
    ("curl -N", '"data":21.5'), ("brokerctl sub", "tour/hello hello"), ("brokerctl pub", ""),
    ("retained list", "sensors/kitchen/temp"), ("brokerctl clients", "PROTOCOL"), ("brokerctl backup", "checked"),
    ("echo 'history", ""), ("make run ARGS", ""), ("curl -d 'one'", '{"seq":'), ("curl -d 'two'", '{"seq":'),
    ("since=0", '"data":"two"'), ("bench fanout", "1000000"),
]


def test_the_tour_works_as_written(broker, reader):
    """In the README's order: later lines read what earlier ones have published."""
    tour = [line for line in COMMANDS[2:] if line.startswith(("curl", ".build/release/brokerctl", "echo", "make run"))]
    assert [part in line for line, (part, _) in zip(tour, SEEN, strict=True)] == [True] * len(SEEN)
    for line, (part, seen) in zip(tour, SEEN):
        if part == "make run ARGS":
            broker.stop()
            broker.arguments += re.search(r'ARGS="([^"]*)"', line)[1].split()
            broker.start()
            continue
        if part == "brokerctl sub":
            # Its output comes with the next line of the tour.
            broker.publish("tour/hello", "hello again", "retain")
        goes_on = part in ("curl -N", "brokerctl sub")
        printed = reader(line, until=seen if goes_on else None)
        assert seen in printed, (line, printed)
        if part == "since=0":
            gap, one, two = [json.loads(line) for line in printed.splitlines()]
            assert (gap["op"], one["data"], two["data"]) == ("gap", "one", "two")


def test_the_readme_is_short():
    assert len(README.split()) <= 900


def test_the_configuration_commands_work(reader, broker):
    (broker.directory / "my.yaml").write_text((REPOSITORY / "Config/broker.yaml").read_text())
    (check,) = [line for line in COMMANDS if "--check" in line]
    assert reader(check) == "my.yaml: ok\n"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", ".ci/run"])
def test_every_named_make_target_exists(name):
    words = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    named = re.findall(r"(?:^|`)make ((?:[a-z-]+ ?)+)", (REPOSITORY / name).read_text(), re.MULTILINE)
    assert named
    for word in " ".join(named).split():
        assert word in words, word


def test_every_linked_file_exists():
    pages = [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md"), REPOSITORY / "Benchmarks/README.md"]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
