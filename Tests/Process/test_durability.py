"""Contract §1, §5: messages acknowledged as stored survive kill -9, and seq never falls."""

import http.client
import json
import os
import threading

import pytest

from broker_process import free_port
from command_line import run_brokerd
from deadlines import wait_until


class Writer(threading.Thread):
    """Publishes stored values one after the other over one connection and remembers what was acknowledged."""

    def __init__(self, broker, name, topics):
        super().__init__(daemon=True)
        self.broker, self.label, self.topics = broker, name, topics
        self.acknowledged = {}
        self.count = 0
        self.highest = 0

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.broker.port, timeout=60)
        try:
            while True:
                topic, body = f"durable/{self.label}/{self.count % self.topics}", f"{self.count} " + "x" * 200
                connection.request("PUT", f"/t/{topic}?retain&ack=stored", body=body)
                answer = json.loads(connection.getresponse().read())
                assert answer["stored"] is True
                self.acknowledged[topic] = (self.count, answer["seq"])
                self.highest = answer["seq"]
                self.count += 1
        except (OSError, http.client.HTTPException, ValueError):
            pass  # the broker was killed


@pytest.mark.parametrize("round_", range(5))
def test_acknowledged_values_survive_a_kill(broker, round_):
    writers = [Writer(broker, number, topics=50) for number in range(4)]
    for writer in writers:
        writer.start()
    wanted = 50 + 100 * round_
    wait_until(lambda: sum(writer.count for writer in writers) >= wanted, f"{wanted} acknowledgements", 60)
    broker.kill()
    for writer in writers:
        writer.join(20)
    broker.start()
    for writer in writers:
        for topic, (count, seq) in writer.acknowledged.items():
            answer = broker.retained(topic)
            assert answer.status == 200, f"{topic}, acknowledged with seq {seq}, is gone"
            # A later value may be stored, if its acknowledgement was lost; an older one may not.
            assert int(answer.body.split()[0]) >= count
            assert int(answer.headers["ETag"].strip('"')) >= seq
    highest = max(writer.highest for writer in writers)
    assert broker.publish("after", "restart")["seq"] > highest


def test_numbers_continue_after_a_clean_stop_and_jump_after_a_crash(start_broker):
    broker = start_broker("system_topics: { interval: 0 }\n")
    last = broker.publish("kept", "x", query="retain")["seq"]
    broker.stop()
    broker.start()
    assert broker.publish("kept", "x")["seq"] == last + 1
    broker.kill()
    broker.start()
    assert broker.publish("kept", "x")["seq"] > last + 2


def test_values_stored_over_json_survive_a_kill(broker):
    session = broker.session()
    for number in range(200):
        session.send(op="publish", id=number, topic=f"json/{number}", data=number, retain=True, ack="stored")
    acknowledged = []
    while len(acknowledged) < 50:
        answer = session.expect("ok")
        assert answer["stored"] is True
        acknowledged.append(answer["id"])
    broker.kill()
    broker.start()
    for number in acknowledged:
        assert broker.retained(f"json/{number}").body == str(number).encode()


def test_seq_continues_after_a_kill_even_if_nothing_was_stored(broker):
    seen = [broker.publish("fleeting", "x")["seq"] for _ in range(50)]
    for _ in range(3):
        broker.kill()
        broker.start()
        seen.append(broker.publish("fleeting", "x")["seq"])
    assert seen == sorted(set(seen))


def test_seq_continues_after_a_clean_stop(broker):
    before = broker.publish("fleeting", "x")["seq"]
    broker.stop()
    broker.start()
    assert broker.publish("fleeting", "x")["seq"] > before


def test_every_property_of_a_value_survives(broker):
    published = broker.publish("value", b"\xff\x00", "retain", {"Content-Type": "image/png"}, "PUT")
    modified = broker.retained("value").headers["Last-Modified"]
    broker.kill()
    broker.start()
    answer = broker.retained("value")
    assert answer.body == b"\xff\x00" and answer.headers["Content-Type"] == "image/png"
    assert answer.headers["ETag"] == f'"{published["seq"]}"' and answer.headers["Last-Modified"] == modified
    session = broker.session()
    (message,) = session.subscribe("value")
    assert message["seq"] == published["seq"] and message["encoding"] == "base64" and message["retained"] is True


def test_a_removal_survives(broker):
    broker.publish("value", "x", "retain")
    assert broker.http("DELETE", "/t/value").status == 204
    broker.kill()
    broker.start()
    assert broker.retained("value").status == 404


def damage_truncate(path):
    os.truncate(path, 5000)


def damage_overwrite(path):
    with open(path, "r+b") as file:
        file.write(b"this is no database" * 2000)


def damage_empty_out(path):
    os.truncate(path, 0)
    with open(path, "wb") as file:
        file.write(b"\x00" * 65536)


@pytest.mark.parametrize("damage", [damage_truncate, damage_overwrite, damage_empty_out])
def test_a_damaged_store_is_moved_aside_and_reported(broker, damage):
    for number in range(20):
        broker.publish(f"value/{number}", "x" * 2000, "retain")
    broker.stop()
    (file,) = broker.data.glob("*.mdb")
    damage(file)
    printed = len(broker.lines)
    broker.start()
    assert any("damaged" in line.lower() for line in broker.lines[printed:]), broker.lines[printed:]
    assert [path for path in broker.data.iterdir() if path.name.startswith(file.name) and path != file]
    assert broker.http("GET", "/health/ready").status == 200
    broker.publish("value/0", "new", "retain")
    assert broker.retained("value/0").body == b"new"


def test_a_data_directory_belongs_to_one_broker(broker):
    done = run_brokerd(
        "--data-dir", str(broker.data), "--listen", f"127.0.0.1:{free_port()}", cwd=broker.directory)
    assert done.returncode == 1 and str(broker.data) in done.stdout
    assert broker.http("GET", "/health/ready").status == 200


def test_the_data_directory_is_private(broker):
    assert broker.data.stat().st_mode & 0o077 == 0
    assert broker.admin_socket.stat().st_mode & 0o777 == 0o600


# Acknowledgements


@pytest.mark.parametrize("retain", [True, False])
@pytest.mark.parametrize("ack", ["routed", "stored", None])
def test_the_answer_says_whether_the_message_is_stored(broker, retain, ack):
    """`stored` is the default of retained messages; a message that is not stored is never acknowledged as stored."""
    wanted = retain and ack != "routed"
    options = ({"retain": True} if retain else {}) | ({"ack": ack} if ack else {})
    query = "&".join((["retain"] if retain else []) + ([f"ack={ack}"] if ack else []))
    assert broker.publish("ack/http", "x", query)["stored"] is wanted
    assert broker.session().publish("ack/json", 1, **options)["stored"] is wanted
    done = broker.control("pub", "ack/control", "x", *(["--retain"] if retain else []),
                          *(["--ack", ack] if ack else []), "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["stored"] is wanted


def test_many_publishers_share_a_sync(broker):
    before = broker.metrics()
    sessions = [broker.session() for _ in range(10)]
    for session in sessions:
        session.websocket.send_text("\n".join(
            json.dumps({"op": "publish", "id": number, "topic": f"group/{number}", "data": number, "retain": True})
            for number in range(100)))
    for session in sessions:
        for _ in range(100):
            assert session.expect("ok")["stored"] is True
    after = broker.metrics()

    def grown(name):
        return after[name] - before[name]

    assert grown("broker_store_messages_total") == grown("broker_store_commit_messages_sum") == 1000
    assert 1 <= grown("broker_store_commit_messages_count") <= 250
    assert grown("broker_store_commit_duration_seconds_count") >= grown("broker_store_commit_messages_count")
    assert grown("broker_store_commit_duration_seconds_sum") > 0
    assert after['broker_store_commit_messages_bucket{le="+Inf"}'] == after["broker_store_commit_messages_count"]
