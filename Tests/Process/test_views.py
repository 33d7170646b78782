"""Snapshots that are not read: they use up neither readers nor the store's room, and delay no other client."""

import json

VALUE = b"x" * 980_000
# Of either kind: those that are followed, and those that are replaced meanwhile.
VALUES = 6


def retain(broker, kind):
    for number in range(VALUES):
        broker.publish(f"{kind}/{number}", VALUE, "retain", method="PUT")


def stalled(broker, path):
    """A request whose answer is not read."""
    plain = broker.connect(receive_buffer=2048)
    plain.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return plain


def test_a_stalled_follower_does_not_fill_the_store(start_broker):
    broker = start_broker("store: { maximum_size: 32MiB }\nlimits: { pending_age: unlimited }\n")
    retain(broker, "followed")
    retain(broker, "replaced")
    stalled(broker, "/s/followed/%23")
    for _ in range(6):
        retain(broker, "replaced")
    assert broker.http("GET", "/health/ready").status == 200
    assert broker.control_json("status")["ready"] is True
    assert broker.metrics()["broker_store_file_bytes"] <= 32 << 20


def test_stalled_followers_do_not_grow_the_file(start_broker):
    broker = start_broker("limits: { pending_age: unlimited }\n")
    retain(broker, "followed")
    for _ in range(30):
        stalled(broker, "/s/followed/%23")
        retain(broker, "replaced")
    figures = broker.metrics()
    size = (broker.data / "broker.mdb").stat().st_size
    assert size < figures["broker_store_used_bytes"] + (64 << 20)
    assert size <= figures["broker_store_file_bytes"]
    assert figures["broker_store_views_taken_back_total"] > 0


def test_a_thousand_pending_snapshots_do_not_affect_others(start_broker):
    broker = start_broker("limits: { pending_age: unlimited, subscriptions_per_client: 2000 }\n")
    for number in range(40):
        broker.publish(f"big/{number}", b"x" * 500_000, "retain", method="PUT")
    reader = broker.session(receive_buffer=2048)
    publisher = broker.session()
    reader.send(op="subscribe", filter="big/#", slow="latest")
    # Each begins after another commit, and waits for the one before it.
    for number in range(1100):
        publisher.publish("tick", number, retain=True)
        reader.send(op="subscribe", filter=f"q/{number}/#", slow="latest")
    assert broker.retained("tick").body == b"1099"
    assert broker.http("GET", "/health/ready").status == 200
    other = broker.session()
    assert [message["data"] for message in other.subscribe("tick")] == [1099]
    assert broker.metrics()["broker_store_views"] <= 64
    lines = broker.http("GET", "/s/tick?poll=1").body.decode().splitlines()
    assert [json.loads(line)["data"] for line in lines if line] == [1099]
