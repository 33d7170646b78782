"""The cases as a server that plays them with one client, by the words of the Autobahn suite: /getCaseCount, /runCase, /updateReports."""

import base64
import hashlib
import socket
import threading
from urllib.parse import parse_qs, urlsplit

from case import Case, Send, WeClose, close, text
from deadlines import ANSWER_DEADLINE
from deflate import Compression, Parameters, check_answer, read_parameters
from deflate_cases import DeflateCase
from judge import expect, play
from peer import Ended, Peer, Violation


def read_request(connection):
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65536)
        if not more:
            raise Ended("in the middle of a head")
        received += more
    head, _, rest = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip().lower(), []).append(value.strip())
    return lines[0].split(" ")[1], fields, rest


def agree(offers, asks):
    """The answer to the first offer that can be honoured as the server asks, by RFC 7692 §5.1."""
    for no_context, window in asks:
        for offer in offers:
            if window is not None and offer.client_window is None:
                continue
            if offer.client_window not in (None, True):
                window = min(window or 15, offer.client_window)
            answer = Parameters(
                server_no_context=offer.server_no_context, client_no_context=no_context,
                server_window=offer.server_window, client_window=window)
            check_answer(offer, answer)
            return answer
    raise Violation(f"no offer can be honoured: {offers}")


class SuiteServer:
    """Plays `cases` with each client that connects; `verdicts` has None for each number that passed, else the fault."""

    def __init__(self, cases, context=None, compresses=False):
        self.cases, self.context, self.compresses = cases, context, compresses
        self.verdicts = {}
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        # The client plays one case after the other.
        while True:
            connection, _ = self.listening.accept()
            try:
                if not self.answer(connection):
                    return
            except (OSError, Ended) as error:
                self.verdicts.setdefault("connection", f"{error!r}")
            finally:
                connection.close()

    def stop(self):
        """Ends the thread, which waits for a client."""
        if self.thread.is_alive():
            with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_DEADLINE):
                self.thread.join(ANSWER_DEADLINE)
        self.listening.close()

    def answer(self, connection):
        connection.settimeout(ANSWER_DEADLINE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True)
        try:
            target, fields, rest = read_request(connection)
        except Ended:
            return False
        path = urlsplit(target)
        if path.path == "/runCase":
            self.run_case(self.cases[int(parse_qs(path.query)["case"][0]) - 1], connection, fields, rest)
            return True
        peer = self.open(connection, fields, rest, None)
        if path.path == "/getCaseCount":
            peer.send(Send((text(str(len(self.cases)).encode()),)))
        peer.send(Send((close(1000),)))
        peer.receive()
        return path.path != "/updateReports"

    def open(self, connection, fields, rest, answer):
        (key,) = fields["sec-websocket-key"]
        accept = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
        head = ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Accept: {base64.b64encode(accept).decode()}\r\n")
        if answer:
            head += f"Sec-WebSocket-Extensions: {answer.field()}\r\n"
        connection.sendall(head.encode() + b"\r\n")
        peer = Peer(connection, is_client=False, received=rest)
        peer.compression = answer and Compression(answer, is_client=False)
        return peer

    def run_case(self, case, connection, fields, rest):
        try:
            answer = None
            if self.compresses or isinstance(case, DeflateCase):
                offers = [
                    read_parameters(offer) for value in fields.get("sec-websocket-extensions", [])
                    for offer in value.split(",")]
                answer = agree(offers, case.asks if isinstance(case, DeflateCase) else ((False, None),))
            peer = self.open(connection, fields, rest, answer)
            if isinstance(case, DeflateCase):
                for message in case.messages():
                    peer.send_message(case.opcode, message, case.fragment)
                    expect(peer, case.opcode, message)
                case = Case(case.number, case.about, (), (), WeClose())
            play(case, peer)
            self.verdicts[case.number] = None
        except Exception as error:
            self.verdicts[case.number] = f"{type(error).__name__}: {error}"
