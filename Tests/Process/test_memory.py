"""What clients request together need not be in memory together."""

import os

from raw_websocket import read_head


def test_pipelined_requests_for_a_large_value_wait_for_the_reader(broker):
    value = os.urandom(1 << 20)
    broker.publish("large", value, "retain", {"Content-Type": "application/octet-stream"})
    before = broker.metrics()["process_resident_memory_bytes"]
    count = 400
    plain = broker.connect(timeout=60, receive_buffer=1 << 16)
    plain.sendall(b"GET /t/large HTTP/1.1\r\nHost: localhost\r\n\r\n" * count)
    # An answer to another client, after the broker has seen those requests.
    assert broker.http("GET", "/t/large").body == value
    assert broker.metrics()["process_resident_memory_bytes"] - before < 64 << 20
    received = b""
    for _ in range(count):
        status, headers, received = read_head(plain, received)
        assert status == 200
        received = bytearray(received)
        while len(received) < len(value):
            received += plain.recv(1 << 20)
        assert received[:len(value)] == value
        received = bytes(received[len(value):])
    assert received == b""


def test_a_message_larger_than_pending_reaches_a_reader_that_keeps_up(start_broker):
    broker = start_broker("limits: { message: 8MiB, pending: 64KiB }\n")
    reader = broker.topic_socket("large", receive_buffer=1 << 16)
    value = os.urandom(8 << 20)
    broker.publish("large", value, headers={"Content-Type": "application/octet-stream"})
    assert reader.receive_message(60)[1] == value
    broker.publish("large", b"next", headers={"Content-Type": "application/octet-stream"})
    assert reader.receive_message()[1] == b"next"
