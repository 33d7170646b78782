"""The README's tour, command by command, and the words that the documents name."""

import re
import shlex
import subprocess

import pytest

from command_line import BROKERCTL, REPOSITORY

README = (REPOSITORY / "README.md").read_text()
MAKEFILE = (REPOSITORY / "Makefile").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines()]


def run(command, broker, folder):
    """What the command prints, or writes into a file of `folder`, which stands for /tmp and for where one is."""
    command = command.replace("127.0.0.1:8080", f"127.0.0.1:{broker.port}").replace("/tmp/", f"{folder}/")
    words = shlex.split(command, comments=True)
    output = None
    if ">" in words:
        output = folder / words.pop()
        words.remove(">")
    if words[0] == "curl":
        words += ["--silent", "--show-error", "--fail", "--max-time", "2"]
    else:
        words[0] = BROKERCTL
        words += ["--socket", str(broker.admin_socket)]
    if "sub" in words:
        words += ["--count", "1"]
    done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
    # A command that follows goes on until it is stopped: 28 is curl's time-out.
    assert done.returncode == 0 or "-N" in words and done.returncode == 28, (command, done)
    if output:
        output.write_bytes(done.stdout)
    return done.stdout.decode()


def test_the_two_commands_come_first():
    assert [command.split("#")[0].strip() for command in COMMANDS[:2]] == ["make run", "make test"]


def test_the_tour_works_as_it_is_written(broker, tmp_path):
    """In the README's order; what one command publishes the next ones read."""
    tour = [command for command in COMMANDS if command.startswith(("curl", ".build/release/brokerctl"))]
    assert len(tour) >= 8
    broker.publish("tour/kept", "for `sub` to find", "retain")
    printed = {command: run(command, broker, tmp_path) for command in tour}
    published = [text for command, text in printed.items() if command.startswith("curl") and "-d" in command]
    assert '"stored":false' in published[0] and '"stored":true' in published[1]
    (read,) = [text for command, text in printed.items() if command.startswith("curl -i")]
    assert "application/json" in read and read.rstrip().endswith("21.5")
    (followed,) = [text for command, text in printed.items() if "-N" in command]
    assert '"data":21.5' in followed


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", ".ci/run"])
def test_every_make_word_that_is_named_exists(name):
    words = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    named = re.findall(r"(?:^|`)make ((?:[a-z-]+ ?)+)", (REPOSITORY / name).read_text(), re.MULTILINE)
    assert named
    for word in " ".join(named).split():
        assert word in words, word


def test_every_linked_file_exists():
    pages = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *(REPOSITORY / "docs").rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
