"""The manual page and the completions: made from the verbs themselves, with names from the broker."""

import json
import re
import subprocess

import pytest

from command_line import BROKERCTL, run_control
from deadlines import ANSWER_DEADLINE
from test_install import make_install


def page():
    done = run_control("manual")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_is_valid_roff():
    done = subprocess.run(["groff", "-man", "-ww", "-z"], input=page(), capture_output=True, timeout=ANSWER_DEADLINE)
    assert done.returncode == 0 and done.stderr == b""


def test_the_page_has_every_verb_and_option():
    shown = subprocess.run(["groff", "-man", "-Tascii", "-P-cbou"], input=page(), capture_output=True, timeout=ANSWER_DEADLINE).stdout.decode()
    help_ = json.loads(run_control("--experimental-dump-help").stdout)["command"]

    def verbs(command, path):
        yield path, command
        for below in command.get("subcommands", []):
            if below["commandName"] != "help":
                yield from verbs(below, [*path, below["commandName"]])

    known = [(path, command) for path, command in verbs(help_, [])][1:]
    assert len(known) > 50
    for path, command in known:
        if command.get("shouldDisplay", True):
            assert re.search(rf"^BROKERCTL {' '.join(path).upper()}$", shown, re.MULTILINE), path
    for option in ("--dry-run", "--where", "--speed", "--no-reconnect", "--token-file", "--json"):
        assert option in shown
    assert "brokerctl clients kick --user bob --ban 10m" in shown


def test_completions_come_from_the_broker(broker):
    session = broker.session()
    session.subscribe("sensors/1/temp")
    broker.publish("kept/a-b_c.d:e@f", "x", "retain")
    assert broker.control("complete", "topics").stdout.decode().splitlines() == ["kept/a-b_c.d:e@f", "sensors/1/temp"]
    assert broker.control("complete", "clients").stdout.decode().splitlines() == [session.welcome["client"]]
    assert b"brokerctl complete topics" in run_control("completions", "bash").stdout
    verbs = re.findall(rb"^  ([a-z-]+)  ", run_control("--help").stdout, re.MULTILINE)
    assert b"completions" in verbs and b"complete" not in verbs


@pytest.mark.parametrize("evil", ["$(id)", "`id`", "a b", "a;b", "a'b", 'a"b', "a\\b", "-rf", "a|b", "a&b", "a>b", "~root", "a*b", "é", "a{b,c}"])
def test_names_that_a_shell_would_expand_are_omitted(broker, evil):
    """Otherwise a publisher could run commands on the machine of an operator that presses Tab."""
    broker.publish(evil, "x", "retain")
    broker.publish("plain", "x", "retain")
    assert broker.control("complete", "topics").stdout == b"plain\n"


def test_bash_completes_a_topic(broker, tmp_path):
    broker.publish("kept/one", "x", "retain")
    (tmp_path / "complete").write_bytes(run_control("completions", "bash").stdout)
    (tmp_path / "brokerctl").symlink_to(BROKERCTL)
    script = f"""
        source {tmp_path}/complete
        COMP_WORDS=(brokerctl retained get kep); COMP_CWORD=3; COMP_LINE="brokerctl retained get kep"; COMP_POINT=${{#COMP_LINE}}
        _brokerctl brokerctl kep get
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, timeout=ANSWER_DEADLINE,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "BROKER_SOCKET": str(broker.admin_socket)})
    assert done.stdout.split() == [b"kept/one"], done.stderr


def test_manual_and_completions_are_installed(tmp_path):
    assert make_install(tmp_path).returncode == 0
    share = tmp_path / "usr/local/share"
    assert (share / "man/man1/brokerctl.1").read_bytes() == page()
    assert b"_brokerctl" in (share / "bash-completion/completions/brokerctl").read_bytes()
    assert (share / "zsh/site-functions/_brokerctl").read_bytes().startswith(b"#compdef brokerctl")
    assert b"complete -c" in (share / "fish/vendor_completions.d/brokerctl.fish").read_bytes()
