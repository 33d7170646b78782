"""A blocked reactor holds at most 16 MiB of others' publications, whatever endpoint they arrived at."""

import ctypes
import http.client
import os
import socket
import threading
from pathlib import Path

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WAIT_ALL = 0x40000000
SIZE = 65536
LIMIT = 16 << 20
PUBLISHERS = 16
# This much would be accepted without a limit.
MOST = 64 << 20


class HeldThread:
    """Stops one of the broker's threads inside a `with` block."""

    def __init__(self, broker, name):
        tasks = Path(f"/proc/{broker.process.pid}/task")
        [self.task] = [int(task.name) for task in tasks.iterdir() if (task / "comm").read_text().strip() == name]
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

    def _ask(self, request):
        assert self.libc.ptrace(request, self.task, None, None) == 0, os.strerror(ctypes.get_errno())

    def __enter__(self):
        self._ask(SEIZE)
        self._ask(INTERRUPT)
        os.waitpid(self.task, WAIT_ALL)
        return self

    def __exit__(self, *_):
        self._ask(DETACH)


def publish(connection, body):
    connection.request("POST", "/t/load", body)
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    answer.read()


def test_a_blocked_reactor_holds_at_most_16_mib_of_http_publications(start_broker):
    broker = start_broker("reactors: { count: 2 }\n")
    # Some on each reactor.
    connections = [http.client.HTTPConnection("127.0.0.1", broker.port, timeout=8) for _ in range(PUBLISHERS)]
    for connection in connections:
        publish(connection, b".")
    sent = []

    def publish_until_blocked(connection):
        try:
            while len(sent) * SIZE < MOST:
                publish(connection, b"x" * SIZE)
                sent.append(1)
        except socket.timeout:
            connection.close()

    with HeldThread(broker, "reactor-1"):
        threads = [threading.Thread(target=publish_until_blocked, args=(connection,)) for connection in connections]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert LIMIT - SIZE <= len(sent) * SIZE <= LIMIT + PUBLISHERS * SIZE
    assert broker.publish("load", b"after it")["seq"] > len(sent)
