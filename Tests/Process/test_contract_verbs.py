"""interfaces.md §7 and access.md §6: verbs and options of brokerctl as the contract writes them."""

import json
import subprocess

import pytest

from broker_process import free_port
from certificates import Authority
from command_line import BROKERCTL, run_control
from deadlines import wait_until
from test_slow_readers import flood, slow_session


def told(done, status=0):
    assert done.returncode == status, done
    return (done.stdout or done.stderr).decode()


@pytest.mark.parametrize("since", [["--since", "-2"], ["--since=-2"]])
def test_the_last_n_may_be_a_separate_argument(start_broker, since):
    broker = start_broker("history: [{ filter: 'h/#', messages: 10 }]\n")
    for number in range(4):
        broker.publish("h/a", str(number))
    assert told(broker.control("sub", "h/#", *since, "--count", "2")) == "h/a 2\nh/a 3\n"


def test_a_negative_number_is_accepted_as_data(broker):
    done = broker.control("pub", "a", "-2", "--retain")
    assert done.returncode == 0 and told(broker.control("retained", "get", "a")) == "-2"


def test_retained_get_takes_a_filter(broker):
    broker.publish("a/1", "one", "retain")
    broker.publish("a/2", "two", "retain")
    broker.publish("b", "no", "retain")
    assert told(broker.control("retained", "get", "a/+")) == "a/1 one\na/2 two\n"
    assert [(value["topic"], value["data"]) for value in broker.control_json("retained", "get", "a/#")] == [
        ("a/1", "one"), ("a/2", "two")]
    assert broker.control_json("retained", "get", "none/#") == []
    assert told(broker.control("retained", "get", "a/1")) == "one"


def test_clients_are_sorted_by_publish_rate(broker):
    quiet, busy = broker.session(), broker.session()
    for number in range(200):
        busy.request(op="publish", topic="a", data=number)
    first, second = broker.control_json("clients", "--sort", "rate")
    assert (first["id"], second["id"]) == (busy.welcome["client"], quiet.welcome["client"])
    assert told(broker.control("clients", "--columns", "id,rate", "--where", "rate > 0")).splitlines()[1:] != []
    assert told(broker.control("clients", "--columns", "id", "--where", "rate = 0")).split() == ["ID", quiet.welcome["client"]]


def test_durations_have_units(broker):
    told(broker.control("pub", "a", "x", "--retain", "--ttl", "10m"))
    (value,) = broker.control_json("retained", "list")
    assert 0 < value["expires"] - value["time"] <= 600_000
    told(broker.control("pub", "b", "x", "--retain", "--ttl", "600"))
    done = broker.control("request", "nobody", "x", "--timeout", "200ms")
    assert told(done, 1) == "brokerctl: No reply within 200 ms. (unavailable)\n"
    assert broker.control("pub", "a", "x", "--ttl", "soon").returncode == 64


def test_a_configuration_is_compared_with_the_running_one(start_broker):
    broker = start_broker("limits: { message: 2MiB }\n")
    other = broker.directory / "other.yaml"
    other.write_text((broker.directory / "broker.yaml").read_text().replace("2MiB", "3MiB"))
    assert told(broker.control("config", "diff", str(other))) == "- limits.message: 2MiB\n+ limits.message: 3MiB\n"
    assert told(broker.control("config", "diff", "-", input=other.read_bytes())).endswith("+ limits.message: 3MiB\n")
    assert told(broker.control("config", "diff")) == ""


def test_a_token_as_an_argument_is_refused_and_not_printed(broker):
    """Other users see arguments, and standard error may be logged."""
    token = "bk_q7Xk2mP9_" + "a" * 43
    for text in (token, "eyJhbGciOiJub25lIn0.e30.c2ln"):
        refused = told(broker.control("token", "check", text), 64)
        assert "a token must not be one" in refused and text not in refused


def test_tokens_can_be_revoked_by_time(start_broker):
    broker = start_broker("access: { users: ./data/access.jsonl }\n")
    told(broker.control("users", "add", "bob", "--no-password"))
    token = told(broker.control("token", "mint", "--user", "bob")).encode()

    def is_valid():
        return broker.control("token", "check", "-", input=token).returncode == 0

    for time in ("2026-01-01", "1h", "1767225600"):
        told(broker.control("token", "revoke", "--user", "bob", "--before", time))
        assert is_valid()
    assert "expected a time" in told(broker.control("token", "revoke", "--user", "bob", "--before", "then"), 64)
    told(broker.control("token", "revoke", "--user", "bob"))
    assert not is_valid()


def test_a_signed_token_can_be_printed_as_json(tmp_path):
    key = tmp_path / "key.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, capture_output=True)
    key.chmod(0o600)
    token = json.loads(told(run_control("token", "sign", "--key", str(key), "--sub", "alice", "--json")))["token"]
    assert len(token.split(".")) == 3


def test_why_explains_the_rights_of_a_client_of_the_socket(broker):
    follower = subprocess.Popen([BROKERCTL, "sub", "a", "--socket", str(broker.admin_socket)], stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: broker.control_json("subscriptions"), "the subscription")
        (client,) = broker.control_json("clients")
        lines = told(broker.control("why", client["id"], "a")).splitlines()
        assert "right    may subscribe: it came through the admin socket" in lines
    finally:
        follower.kill()
        follower.wait()


def test_the_policy_of_a_slow_client_can_be_changed(start_broker):
    """A subscription with `close` drops messages from then on, and reports it; nothing was lost before."""
    broker = start_broker("limits: { pending: 65536 }\n")
    receive = slow_session(broker, "slow/#", "close")
    (client,) = broker.control_json("clients")
    broker.publish("slow/first", "0")
    assert told(broker.control("clients", "policy", client["id"], "drop-oldest")) == "drop-oldest: 1 subscription\n"
    assert told(broker.control("clients", "policy", client["id"], "drop-oldest")) == "drop-oldest: 0 subscriptions\n"
    assert broker.control_json("clients", "show", client["id"])["policy"] == "drop-oldest"
    last = flood(broker, "slow", count=300)[-1]
    assert receive()["topic"] == "slow/first"
    received = [receive()]
    while received[-1].get("seq") != last:
        received.append(receive())
    assert "gap" in [one["op"] for one in received]


def test_an_impossible_policy_is_refused(broker):
    broker.topic_socket("a")
    (client,) = broker.control_json("clients")
    assert "supports only close" in told(broker.control("clients", "policy", client["id"], "latest"), 1)
    assert "There is no client" in told(broker.control("clients", "policy", "none", "latest"), 1)
    assert "expected one of close, drop-oldest, latest" in told(broker.control("clients", "policy", client["id"], "never"), 64)


def test_the_status_lists_each_certificate(start_broker, tmp_path):
    authority = Authority(tmp_path / "authority")
    one, two = authority.sign("one", "DNS:localhost"), authority.sign("two", "DNS:two.example.com")
    port = free_port()
    broker = start_broker(
        f"listen: [{{ address: '127.0.0.1:{port}', tls: {{ certificate: {one.certificate}, key: {one.key}, certificates: "
        f"[{{ certificate: {two.certificate}, key: {two.key} }}] }} }}]\n", port=port, configured_listen=True)
    told_of = broker.control_json("status")["certificates"]
    assert [each["file"] for each in told_of] == [str(one.certificate), str(two.certificate)]
    assert all(0 < each["seconds"] for each in told_of)
    lines = told(broker.control("status")).splitlines()
    assert [line.split()[1] for line in lines if line.startswith("certificate ")] == [str(one.certificate), str(two.certificate)]
