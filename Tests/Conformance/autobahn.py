#!/usr/bin/env python3
"""Runs the Autobahn test suite against the product, in both roles, and judges its reports without forgiving anything.

    autobahn.py --wstest FILE [--server | --library | --client] [--cases PATTERN...] [--long-over-tls] [--reports DIR]

The server's role is brokerd's, and that of the example server, which is written against the library's public face; the client's
is that of the example client. Everything runs over ws, and over wss the base cases (without 9, 12 and 13) or, with --long-over-tls, everything. Exit 0 when every verdict is OK, or INFORMATIONAL
where the RFC leaves the outcome open; 1 when one is not; 64 when there is no suite.
"""

import argparse
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "Tests/Process"))

from broker_process import Broker, free_port  # noqa: E402
from certificates import Authority  # noqa: E402
from deadlines import wait_until  # noqa: E402

SERVER = os.environ.get("ECHO_SERVER", str(REPOSITORY / ".build/examples/release/echo-server"))
TESTEE = os.environ.get("ECHO_CLIENT", str(REPOSITORY / ".build/examples/release/echo-client"))
AGENT = "broker"
LONG = ["9.*", "12.*", "13.*"]
# The suite itself says that there is no right outcome here.
OPEN = {"7.1.6", "7.13.1", "7.13.2"}
# The suite gives the product one second to fail within a message, by its own clock: a busy machine may need longer, and
# the verdict is NON-STRICT then. Nothing else is ever played again.
BY_TIMING = {"6.4.1", "6.4.2", "6.4.3", "6.4.4"}
RETRIES = 2

MISSING = """There is no Autobahn test suite to run. It is a program in Python 2, so it usually comes as a container image:

    docker run -it --rm --network host -v "$PWD:$PWD" -w "$PWD" --entrypoint bash crossbario/autobahn-testsuite

A virtual environment of Python 2.7 with `pip install autobahntestsuite` has it as bin/wstest. Then:

    make conformance WSTEST=/path/to/wstest

`make test` plays the same cases by their numbers without it."""

CONFIGURATION = """
listen:
  - address: 127.0.0.1:{plain}
  - address: 127.0.0.1:{secure}
    tls: {{ certificate: {identity.certificate}, key: {identity.key} }}
limits: {{ message: 64MiB, pending: 64MiB }}
compression: {{ enabled: true, minimum: 0 }}
"""


def order(number):
    return [int(part) for part in number.split(".")]


def wrong(number, verdict):
    """What is wrong with a verdict, in words, or None."""
    for name in ("behavior", "behaviorClose"):
        if verdict[name] != "OK" and not (verdict[name] == "INFORMATIONAL" and number in OPEN):
            return f"{name} {verdict[name]}, closed with {verdict.get('remoteCloseCode')}"
    return None


class Suite:
    """wstest in a directory for its specifications, logs and reports."""

    def __init__(self, program, directory):
        self.program, self.directory = program, directory
        self.authority = Authority(directory / "authority")
        self.identity = self.authority.sign("localhost")

    def specification(self, name, cases, excluded, **members):
        reports = self.directory / name
        file = self.directory / f"{name}.json"
        file.write_text(json.dumps({
            "outdir": str(reports), "cases": cases, "exclude-cases": excluded, "exclude-agent-cases": {}, **members}))
        return file, reports

    def verdicts(self, reports):
        index = reports / "index.json"
        if not index.exists():
            raise SystemExit(f"conformance: the suite wrote no {index}; its log is beside it")
        return json.loads(index.read_text())[AGENT]

    def judge_server(self, name, url, cases, excluded=()):
        """What the suite as a client says of the server at `url`."""
        file, reports = self.specification(
            name, cases, list(excluded), options={"failByDrop": False}, servers=[{"agent": AGENT, "url": url}])
        with open(self.directory / f"{name}.log", "wb") as log:
            subprocess.run([self.program, "-m", "fuzzingclient", "-s", file], stdout=log, stderr=log, check=True)
        return self.verdicts(reports)

    def judge_client(self, name, cases, excluded=(), secure=False):
        """What the suite as a server says of the example client."""
        port = free_port()
        scheme = "wss" if secure else "ws"
        members = {"options": {"failByDrop": False}, "url": f"{scheme}://127.0.0.1:{port}"}
        if secure:
            # The suite has options for them, too, and does not look at those.
            members.update(cert=str(self.identity.certificate), key=str(self.identity.key))
        file, reports = self.specification(name, cases, list(excluded), **members)
        command = [self.program, "-m", "fuzzingserver", "-s", file, "-u", "0"]
        testee = [TESTEE, f"{scheme}://localhost:{port}", "--suite"]
        if secure:
            testee += ["--ca-file", self.authority.file]
        with open(self.directory / f"{name}.log", "wb") as log:
            server = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                wait_until(lambda: listens(port) or server.poll() is not None, "the suite listens", 60)
                subprocess.run(testee, stdout=log, stderr=log, check=True)
            finally:
                server.terminate()
                server.wait()
        return self.verdicts(reports)


def listens(port):
    """Whether the port has a listener, without connecting: the suite would count a connection."""
    wanted = f"{port:04X}"
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[1].rsplit(":", 1)[1] == wanted:
                return True
    return False


def judge(name, cases, excluded, play):
    """Plays the cases, and repeats those whose verdict depends on timing; prints the results, and returns the failures."""
    verdicts = play(name, cases, excluded)
    retried = 0
    for attempt in range(1, RETRIES + 1):
        again = sorted(
            (number for number, verdict in verdicts.items()
             if number in BY_TIMING and verdict["behavior"] == "NON-STRICT"), key=order)
        if not again:
            break
        retried += len(again)
        verdicts.update(play(f"{name}-again-{attempt}", again, []))
    counts = collections.Counter(verdict["behavior"] for verdict in verdicts.values())
    words = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    print(f"{name}: {len(verdicts)} cases: {words}" + (f" ({retried} played again)" if retried else ""), flush=True)
    failures = [(number, wrong(number, verdict)) for number, verdict in verdicts.items() if wrong(number, verdict)]
    for number, words in sorted(failures, key=lambda failure: order(failure[0])):
        print(f"  {number}: {words}")
    return len(failures) + (0 if verdicts else 1)


def judge_broker(suite, patterns, schemes):
    ports = {"ws": free_port(), "wss": free_port()}
    configuration = CONFIGURATION.format(plain=ports["ws"], secure=ports["wss"], identity=suite.identity)
    broker = Broker(suite.directory / "brokerd", configuration, port=ports["ws"], configured_listen=True).start()
    try:
        failures = 0
        for scheme, excluded in schemes:
            url = f"{scheme}://127.0.0.1:{ports[scheme]}/t/conformance"
            failures += judge(
                f"brokerd-{scheme}", patterns, excluded,
                lambda name, cases, excluded: suite.judge_server(name, url, cases, excluded))
        broker.finish()
        return failures
    finally:
        if broker.is_alive:
            broker.kill()


def judge_library(suite, patterns, schemes):
    """The example server, which is written against the library's public face."""
    failures = 0
    for scheme, excluded in schemes:
        port = free_port()
        command = [SERVER, str(port)]
        if scheme == "wss":
            command += [str(suite.identity.certificate), str(suite.identity.key)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            wait_until(lambda: listens(port) or server.poll() is not None, "the example server listens", 60)
            failures += judge(
                f"library-{scheme}", patterns, excluded,
                lambda name, cases, excluded: suite.judge_server(name, f"{scheme}://127.0.0.1:{port}", cases, excluded))
        finally:
            server.terminate()
            server.wait()
    return failures


def judge_clients(suite, patterns, schemes):
    failures = 0
    for scheme, excluded in schemes:
        failures += judge(
            f"client-{scheme}", patterns, excluded,
            lambda name, cases, excluded: suite.judge_client(name, cases, excluded, secure=scheme == "wss"))
    return failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--wstest", default="wstest")
    parser.add_argument("--cases", nargs="+", default=["*"])
    parser.add_argument("--long-over-tls", action="store_true", help="play 9, 12 and 13 over wss, too")
    parser.add_argument("--reports", type=Path)
    parser.add_argument("--server", action="store_true", help="only the server's role, by brokerd")
    parser.add_argument("--library", action="store_true", help="only the server's role, by the example server")
    parser.add_argument("--client", action="store_true", help="only the client's role")
    options = parser.parse_args()
    program = shutil.which(options.wstest)
    if not program:
        print(MISSING, file=sys.stderr)
        return 64
    directory = (options.reports or Path(tempfile.mkdtemp(prefix="conformance-"))).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    suite = Suite(program, directory)
    schemes = [("ws", []), ("wss", [] if options.long_over_tls else LONG)]
    failures = 0
    chosen = [options.server, options.library, options.client]
    if options.server or not any(chosen):
        failures += judge_broker(suite, options.cases, schemes)
    if options.library or not any(chosen):
        failures += judge_library(suite, options.cases, schemes)
    if options.client or not any(chosen):
        failures += judge_clients(suite, options.cases, schemes)
    print(f"reports: {directory}")
    print("conformance: every verdict is as it must be" if not failures else f"conformance: {failures} verdicts are not")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
