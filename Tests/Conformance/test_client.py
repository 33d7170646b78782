"""The product as a client: the example that echoes every message, over ws and wss, and with compression."""

import os
import ssl
import subprocess

import pytest

from catalogue import ALL, BASE
from certificates import Authority
from command_line import REPOSITORY
from suite_server import SuiteServer

ECHO_CLIENT = os.environ.get("ECHO_CLIENT", str(REPOSITORY / ".build/examples/release/echo-client"))
# With compression, what a bit of the header means is another thing.
BESIDE = [case for case in BASE if not case.number.startswith("3.")]
SUITES = {"ws": ALL, "wss": BASE, "beside": BESIDE}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    """What came of each case, by suite and number."""
    authority = Authority(tmp_path_factory.mktemp("authority"))
    identity = authority.sign("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    found = {}
    for name, cases in SUITES.items():
        server = SuiteServer(cases, context if name == "wss" else None, compresses=name == "beside")
        scheme = "wss" if name == "wss" else "ws"
        try:
            done = subprocess.run(
                [ECHO_CLIENT, f"{scheme}://localhost:{server.port}", "--suite", "--ca-file", authority.file],
                capture_output=True, text=True, timeout=300)
        finally:
            server.stop()
        assert done.returncode == 0, done
        found[name] = server.verdicts
    return found


@pytest.mark.parametrize("suite, number", [(name, case.number) for name, cases in SUITES.items() for case in cases])
def test_every_case_passes(verdicts, suite, number):
    assert verdicts[suite].get(number, "was not played") is None
