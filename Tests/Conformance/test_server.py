"""The product as a server: brokerd's topic sockets, and the example that sends back what comes. Over ws, and the base cases over wss."""

import json
import os
import socket
import ssl
import subprocess
from urllib.parse import quote

import pytest

from broker_process import Broker, free_port
from case import Case, WeClose
from catalogue import ALL, BASE, DEFLATE, LONG, by_number
from certificates import Authority
from command_line import REPOSITORY
from deadlines import ANSWER_DEADLINE
from deflate import BadParameters, Compression, Parameters, check_answer, read_parameters
from deflate_cases import EVERY_OFFER
from judge import expect, play
from peer import Peer
from raw_websocket import TEXT, handshake_request, read_head

ECHO_SERVER = os.environ.get("ECHO_SERVER", str(REPOSITORY / ".build/examples/release/echo-server"))

CONFIGURATION = """
listen:
  - address: 127.0.0.1:{plain}
  - address: 127.0.0.1:{secure}
    tls: {{ certificate: {identity.certificate}, key: {identity.key} }}
limits: {{ message: 64MiB, pending: 64MiB }}
compression: {{ enabled: {compression}, minimum: 0 }}
"""


class EchoServer:
    """A brokerd on two ports; whose topic sockets are connected to by `connect`."""

    def __init__(self, directory, compression):
        self.authority = Authority(directory / "authority")
        self.ports = {"ws": free_port(), "wss": free_port()}
        configuration = CONFIGURATION.format(
            plain=self.ports["ws"], secure=self.ports["wss"], identity=self.authority.sign("server"),
            compression=json.dumps(compression))
        self.broker = Broker(directory / "broker", configuration, port=self.ports["ws"], configured_listen=True).start()
        self.context = ssl.create_default_context(cafile=str(self.authority.file))

    def connect(self, scheme, topic, extensions=None):
        """A peer after its handshake, and the extensions that were answered."""
        connection = socket.create_connection(("127.0.0.1", self.ports[scheme]), timeout=ANSWER_DEADLINE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if scheme == "wss":
            connection = self.context.wrap_socket(connection, server_hostname="localhost")
        headers = {"Sec-WebSocket-Extensions": extensions} if extensions else None
        connection.sendall(handshake_request("localhost", f"/t/{quote(topic)}", headers=headers))
        status, fields, rest = read_head(connection)
        assert status == 101, (status, fields, rest)
        return Peer(connection, is_client=True, received=rest), fields.get("sec-websocket-extensions")


class ExampleServers:
    """The example in three processes: one for each scheme, and one that has no message whole; it takes any path."""

    def __init__(self, directory):
        authority = Authority(directory / "authority")
        identity = authority.sign("server")
        self.context = ssl.create_default_context(cafile=str(authority.file))
        self.processes = [
            subprocess.Popen([ECHO_SERVER, "0", *files], stdout=subprocess.PIPE, text=True)
            for files in ([], [identity.certificate, identity.key], ["--parts"])]
        lines = [process.stdout.readline() for process in self.processes]
        self.ports = {scheme: int(line.split()[-1]) for scheme, line in zip(["ws", "wss", "parts"], lines)}

    connect = EchoServer.connect

    def finish(self):
        alive = [process.poll() is None for process in self.processes]
        for process in self.processes:
            process.kill()
            process.wait()
            process.stdout.close()
        assert all(alive), "the example has ended during the tests"


def serve(directory, compression):
    server = EchoServer(directory, compression)
    try:
        yield server
        server.broker.finish()
    finally:
        if server.broker.is_alive:
            server.broker.kill()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    yield from serve(tmp_path_factory.mktemp("plain"), False)


@pytest.fixture(scope="module")
def compressing(tmp_path_factory):
    yield from serve(tmp_path_factory.mktemp("compressing"), True)


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    servers = ExampleServers(tmp_path_factory.mktemp("examples"))
    yield servers
    servers.finish()


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("number", by_number(BASE))
def test_base_cases(server, scheme, number):
    peer, extensions = server.connect(scheme, f"case/{number}")
    assert extensions is None
    play(by_number(BASE)[number], peer)


@pytest.mark.parametrize("number", by_number(LONG))
def test_long_cases(server, number):
    play(by_number(LONG)[number], server.connect("ws", f"case/{number}")[0])


@pytest.mark.parametrize("scheme", ["ws", "wss", "parts"])
@pytest.mark.parametrize("number", by_number(BASE))
def test_the_example_server(examples, scheme, number):
    play(by_number(BASE)[number], examples.connect(scheme, number)[0])


@pytest.mark.parametrize("scheme", ["ws", "parts"])
@pytest.mark.parametrize("number", by_number(DEFLATE))
def test_the_example_server_with_compression(examples, scheme, number):
    """Unlike brokerd, it compresses with its earlier messages as context, if the client allows that."""
    play_compressed(examples, by_number(DEFLATE)[number], scheme)


# With compression agreed upon, what is sent without it is judged in the same way.
@pytest.mark.parametrize("number", [number for number in by_number(BASE) if not number.startswith("3.")])
def test_base_cases_with_compression_negotiated(compressing, number):
    peer, extensions = compressing.connect("ws", f"case/{number}", "permessage-deflate")
    answer = read_parameters(extensions)
    peer.compression = Compression(answer, is_client=True)
    play(by_number(BASE)[number], peer)


def agree(server, topic, offers, scheme="ws"):
    """A peer that compresses as the server has answered, and the answer."""
    peer, extensions = server.connect(scheme, topic, ", ".join(offer.field() for offer in offers))
    if extensions is None:
        return peer, None
    answer = read_parameters(extensions)
    refusals = []
    for offer in offers:
        try:
            check_answer(offer, answer)
        except BadParameters as bad:
            refusals.append(str(bad))
    assert len(refusals) < len(offers), f"{extensions} answers no offer: {refusals}"
    peer.compression = Compression(answer, is_client=True)
    return peer, answer


def finish(number, peer):
    play(Case(number, "", (), (), WeClose()), peer)


@pytest.mark.parametrize("number", by_number(DEFLATE))
def test_compression_cases(compressing, number):
    play_compressed(compressing, by_number(DEFLATE)[number])


def play_compressed(server, case, scheme="ws"):
    peer, answer = agree(server, f"case/{case.number}", case.offers, scheme)
    assert answer is not None
    for message in case.messages():
        peer.send_message(case.opcode, message, case.fragment)
        expect(peer, case.opcode, message)
    finish(case.number, peer)


@pytest.mark.parametrize("offer", EVERY_OFFER, ids=Parameters.field)
def test_every_offer_is_answered_correctly(compressing, offer):
    """What cannot be honoured is declined, and all else is, in both directions."""
    peer, answer = agree(compressing, "case/offer", (offer,))
    # zlib makes no raw stream with a window of 8 bits: only that is declined.
    assert (answer is None) == (offer.server_window == 8)
    far = b"".join(b"%08d " % (number * 7919 % 100_003) for number in range(5000))
    for message in [b"Hello", b"", far, far[:600] * 3, b"Hello"]:
        peer.send_message(TEXT, message)
        expect(peer, TEXT, message)
    assert answer is None or peer.compression.compressed_messages > 0
    finish("offer", peer)


def test_no_case_is_missing():
    """The suite has 517 cases."""
    assert len(by_number(ALL)) == len(ALL) == 517
