"""One HTTP request over a Unix socket."""

import http.client
import socket


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def unix_request(path, method, target, body=None):
    """The status of the answer to one request."""
    connection = UnixConnection(path)
    connection.request(method, target, body=body)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status
