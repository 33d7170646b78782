"""`brokerctl explain`: one table of codes, which agrees with the documentation and the contract's lists."""

import json
import re
from pathlib import Path

import pytest

from command_line import run_control

DOCS = Path(__file__).resolve().parents[2] / "docs"


def explained(*arguments):
    done = run_control("explain", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rows(page, title):
    """The cells of the table whose head begins with `title`."""
    lines = iter((DOCS / page).read_text().splitlines())
    for line in lines:
        if line.startswith(title):
            break
    next(lines)
    found = []
    for line in lines:
        if not line.startswith("|"):
            return found
        found.append([cell.strip() for cell in line.strip("|").split("|")])
    return found


def test_the_manual_agrees():
    codes = explained()

    def of(kind, *members):
        return [[str(code.get(member, "")) for member in members] for code in codes if code["kind"] == kind]

    def bare(table):
        return [[cell.strip("`") if index < 2 else cell for index, cell in enumerate(row)] for row in table]

    errors = bare(rows("protocol.md", "| code | HTTP status | meaning"))
    assert of("error", "code", "status", "meaning", "again") == errors
    assert of("status", "code", "error", "meaning") == bare(rows("protocol.md", "| HTTP status | code |"))
    assert of("close", "code", "meaning", "again") == rows("protocol.md", "| code | meaning | come back?")
    events = [[name, meaning] for names, meaning in rows("security.md", "| event | meaning")
              for name in re.findall("`([^`]+)`", names)]
    assert of("audit", "code", "meaning") == events


def test_every_code_of_the_specifications_is_explained():
    codes = {code["code"] for code in explained() if code["kind"] == "error"}
    for page in ("http.yaml", "ws.yaml"):
        listed = re.search(r"- bad-request\n(?: +- [a-z-]+\n)+", (DOCS / page).read_text())[0]
        assert set(re.findall("- ([a-z-]+)", listed)) == codes, page


@pytest.mark.parametrize("code, kinds", [
    ("rate-limited", ["error"]), ("4410", ["close"]), ("429", ["error", "error"]), ("421", ["status"]),
    ("publish.denied", ["audit"]), ("admin.kick", ["audit"]), ("limits.pending", ["setting"]),
    ("listen[2].address", ["setting"])])
def test_codes_of_each_kind_are_explained(code, kinds):
    assert [found["kind"] for found in explained(code)] == kinds
    shown = run_control("explain", code).stdout.decode()
    assert all(found["meaning"].replace("`", "") in shown for found in explained(code))


def test_a_code_is_explained_with_advice():
    shown = run_control("explain", "4410").stdout.decode()
    assert shown == (
        "4410: close code\n  disconnected by an administrator, or banned\n  come back: no\n"
        "  brokerctl bans lists bans; brokerctl audit says which administrator it was.\n")
    setting = run_control("explain", "store.views").stdout.decode()
    assert "a change needs a restart" in setting and "default: " in setting


@pytest.mark.parametrize("code, advice", [
    ("rate-limit", 'did you mean "rate-limited"?'), ("limits.mesage", 'did you mean "limits.message"?'),
    ("9999", "brokerctl explain lists the codes"), ("\x1b[2J", "\\u{1b}[2J")])
def test_an_unknown_code_is_a_usage_error(code, advice):
    done = run_control("explain", code)
    assert done.returncode == 64 and advice in done.stderr.decode() and not done.stdout
