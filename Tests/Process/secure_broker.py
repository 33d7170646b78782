"""A broker whose listener has TLS: its fixtures, and clients that use Python's own library."""

import http.client
import socket
import ssl

import pytest

from broker_process import free_port
from certificates import Authority
from deadlines import ANSWER_DEADLINE


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "authority")


@pytest.fixture
def identity(authority):
    return authority.sign("server")


def configuration(port, identity, client_ca=None):
    extra = f", client_ca: {client_ca}" if client_ca else ""
    return (f"listen:\n  - address: 127.0.0.1:{port}\n"
            f"    tls: {{ certificate: {identity.certificate}, key: {identity.key}{extra} }}\n")


@pytest.fixture
def secure(start_broker, authority, identity):
    port = free_port()
    return start_broker(configuration(port, identity), port=port, configured_listen=True)


def client_context(authority, identity=None, **options):
    context = ssl.create_default_context(cafile=str(authority.file))
    if identity:
        context.load_cert_chain(identity.certificate, identity.key)
    for name, value in options.items():
        setattr(context, name, value)
    return context


def connect(broker, context, host="localhost", session=None):
    plain = socket.create_connection(("127.0.0.1", broker.port), timeout=ANSWER_DEADLINE)
    try:
        return context.wrap_socket(plain, server_hostname=host, session=session)
    except Exception:
        plain.close()
        raise


def read_all(connection):
    taken = b""
    while True:
        part = connection.recv(65536)
        if not part:
            return taken
        taken += part


def request(broker, context, method="GET", path="/health/live", body=None):
    connection = http.client.HTTPSConnection("127.0.0.1", broker.port, context=context, timeout=ANSWER_DEADLINE)
    try:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def shown_certificate(broker):
    return ssl.get_server_certificate(("127.0.0.1", broker.port), timeout=ANSWER_DEADLINE)
