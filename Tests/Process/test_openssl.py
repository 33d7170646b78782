"""TLS as `openssl s_client` sees it: versions, verification, ALPN, resumption, renegotiation."""

import subprocess

import pytest

# The fixtures are found by their names.
from secure_broker import authority, identity, secure  # noqa: F401

REQUEST = "GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def s_client(broker, authority, *arguments, typed=REQUEST, host="localhost"):
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{broker.port}", "-servername", host, "-verify_hostname", host,
         "-CAfile", authority.file, "-verify_return_error", "-ign_eof", *arguments],
        input=typed, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("version, words", [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_supported_versions(secure, authority, version, words):
    done = s_client(secure, authority, version)
    assert done.returncode == 0 and "Verify return code: 0 (ok)" in done.stdout, done
    assert f"New, {words}" in done.stdout
    assert "HTTP/1.1 200 OK" in done.stdout


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_old_versions_are_refused(secure, authority, version):
    done = s_client(secure, authority, version, "-cipher", "ALL:@SECLEVEL=0")
    assert done.returncode != 0 and "alert protocol version" in done.stderr, done


def test_a_wrong_name_is_detected(secure, authority):
    done = s_client(secure, authority, host="other.example")
    assert done.returncode != 0 and "hostname mismatch" in done.stderr, done


@pytest.mark.parametrize("offered, chosen", [("http/1.1", "http/1.1"), ("h2,http/1.1", "http/1.1")])
def test_negotiates_the_application_protocol(secure, authority, offered, chosen):
    assert f"ALPN protocol: {chosen}" in s_client(secure, authority, "-alpn", offered).stdout


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_sessions_are_resumed(secure, authority, tmp_path, version):
    session = tmp_path / "session"
    first = s_client(secure, authority, version, "-sess_out", session)
    assert "\nNew, " in first.stdout and session.exists(), first
    assert "\nReused, " in s_client(secure, authority, version, "-sess_in", session).stdout


def test_renegotiation_is_refused(secure, authority):
    process = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{secure.port}", "-CAfile", authority.file, "-tls1_2"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        # A line that begins with R asks for it; its input stays open, so only the refusal ends it.
        process.stdin.write("R\n")
        process.stdin.flush()
        said = process.stdout.read()
        assert process.wait(10) != 0
        assert "RENEGOTIATING" in said and "no renegotiation" in said, said
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_weak_ciphers_are_refused(secure, authority):
    for cipher in ["NULL", "AES128-SHA", "ECDHE-ECDSA-AES128-SHA"]:
        done = s_client(secure, authority, "-tls1_2", "-cipher", f"{cipher}:@SECLEVEL=0")
        assert done.returncode != 0, done
