"""Contract §7: `brokerctl bench` over TLS, and how it ends."""

import json
import signal
import subprocess

import pytest

from broker_process import free_port
from certificates import Authority
from command_line import BROKERCTL, run_control
from deadlines import ANSWER_DEADLINE, wait_until
# The fixtures are found by their names.
from secure_broker import authority, client_context, configuration, identity, request  # noqa: F401

DEADLINE = 60


@pytest.fixture
def secure(start_broker, authority, identity):  # noqa: F811
    """A broker that waits for as long as the clients' process needs, which deciphers all of their messages."""
    port = free_port()
    return start_broker(configuration(port, identity) + "limits: { pending: 64MiB, pending_age: 10m }\n", port=port,
                        configured_listen=True)


@pytest.fixture
def bench(secure, authority):
    def run(*arguments):
        return run_control("bench", *arguments, "--url", f"https://localhost:{secure.port}", "--ca-file",
                           str(authority.file), "--process", str(secure.process.pid), timeout=DEADLINE)
    return run


def report(done):
    assert done.returncode == 0, done
    return json.loads(done.stdout)


@pytest.mark.parametrize("endpoint", ["topic", "json"])
@pytest.mark.parametrize("pace", [["--burst", "10"], ["--rate", "500"]])
def test_fanout_delivers_every_message(bench, endpoint, pace):
    # A message is larger than a TLS record.
    found = report(bench("fanout", "--subscribers", "50", "--publishers", "2", "--messages", "40", "--size", "20000",
                         "--endpoint", endpoint, *pace, "--json"))
    assert found["sent"] == 40 and found["delivered"] == found["expected"] == 40 * 50
    assert found["wrong"] == 0 and found["ended"] == "done"
    opening = found["opening"]
    assert opening["connections"] == 52 and opening["tls"] == "TLSv1.3"
    assert opening["seconds"] > 0 and opening["serverNanosecondsPerConnection"] > 0
    assert 0 < opening["latencyMicroseconds"]["p50"] <= opening["latencyMicroseconds"]["max"]


def test_no_tls_session_is_resumed(bench, secure, authority):
    """No session is resumed, so the load costs what a crowd of different clients costs."""
    report(bench("fanout", "--subscribers", "20", "--messages", "1", "--json"))
    text = request(secure, client_context(authority), path="/metrics")[1].decode()
    assert 'broker_tls_handshakes_total{outcome="done"} 22\n' in text, "20 subscribers, a publisher and this request"


@pytest.mark.parametrize("options", [[], ["--retain"]])
def test_pub_waits_for_acknowledgements(bench, options):
    found = report(bench("pub", "--publishers", "3", "--messages", "90", "--json", *options))
    assert found["acknowledged"] == 90 and found["unacknowledged"] == 0


def test_the_default_output_is_readable(bench):
    done = bench("sub", "news/#", "--subscribers", "3", "--seconds", "0.1")
    assert done.returncode == 0
    for word in [b"3 subscribers, 0 publishers, TLSv1.3", b"opened ", b" a second for "]:
        assert word in done.stdout, done


def test_tls_errors_are_distinguished_from_silence(start_broker, authority, identity):
    port, strict, plain = free_port(), free_port(), free_port()
    files = f"certificate: {identity.certificate}, key: {identity.key}"
    start_broker(
        f"listen:\n  - address: 127.0.0.1:{port}\n    tls: {{ {files} }}\n"
        f"  - address: 127.0.0.1:{strict}\n    tls: {{ {files}, client_ca: {authority.file} }}\n"
        f"  - address: 127.0.0.1:{plain}\n", port=port, configured_listen=True)
    other = Authority(authority.directory / "other")
    trust = ["--ca-file", str(authority.file)]
    for url, options, status, words in [
        (f"https://localhost:{port}", [], 2, "the certificate is not accepted"),
        (f"https://localhost:{port}", ["--ca-file", str(other.file)], 2, "the certificate is not accepted"),
        (f"https://localhost:{port}", ["--ca-file", "none.pem"], 64, "none.pem"),
        (f"https://localhost:{plain}", trust, 2, "what came is no TLS"),
        (f"http://localhost:{port}", [], 1, "This port speaks TLS"),
        (f"https://localhost:{strict}", trust, 2, "certificate required"),
        (f"https://localhost:{free_port()}", trust, 2, "refused"),
        ("https://nobody.invalid", trust, 2, "nobody.invalid"),
    ]:
        done = run_control("bench", "fanout", "--url", url, *options, "--subscribers", "2", "--messages", "2")
        assert done.returncode == status and words in done.stderr.decode() and not done.stdout, (url, done)


def test_a_tls_only_broker_must_be_named_by_url(secure):
    done = secure.control("bench", "fanout")
    assert done.returncode == 64 and b"--url https://" in done.stderr, done


# Ends


def start(*arguments):
    return subprocess.Popen([BROKERCTL, "bench", *arguments, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_an_interrupted_load_reports_its_results(secure, authority):
    context = client_context(authority)

    def metric(name):
        text = request(secure, context, path="/metrics")[1].decode()
        return next(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(name + " "))

    url = ["--url", f"https://localhost:{secure.port}", "--ca-file", str(authority.file)]
    # The sign that all connections are open.
    for arguments, name, count in [
            (["fanout", "--subscribers", "5", "--rate", "200", "--messages", "1000000"], "broker_messages_delivered_total", 50),
            (["sub", "#", "--subscribers", "5", "--seconds", "3600"], "broker_subscriptions", 5)]:
        load = start(*arguments, *url)
        try:
            wait_until(lambda: metric(name) >= count, "the load is running")
            load.send_signal(signal.SIGINT)
            output, errors = load.communicate(timeout=ANSWER_DEADLINE)
        finally:
            load.kill()
        assert load.returncode == 0 and not errors, errors
        found = json.loads(output)
        assert found["ended"] == "interrupted" and found["delivered"] == found["expected"]
        wait_until(lambda: metric("broker_websockets") == 0, "all are gone")


def test_a_stalled_server_is_reported(broker):
    """The results so far are printed nevertheless, and marked as incomplete."""
    load = start("fanout", "--url", broker.url(), "--subscribers", "3", "--rate", "100", "--messages", "100000")
    try:
        wait_until(lambda: broker.metrics()["broker_websockets"] == 4, "all are connected")
        broker.send_signal(signal.SIGSTOP)
        wait_until(lambda: broker.unread_bytes() > 0, "a message that the broker does not read")
        load.send_signal(signal.SIGINT)
        output, errors = load.communicate(timeout=ANSWER_DEADLINE)
    finally:
        load.kill()
        broker.send_signal(signal.SIGCONT)
    found = json.loads(output)
    assert found["ended"] == "stalled" and found["delivered"] < found["expected"]
    assert load.returncode == 1 and b"are missing" in errors
