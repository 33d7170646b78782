"""Contract §2: there are no users yet; credentials are refused, not echoed and not logged."""

import pytest

from raw_websocket import RefusedHandshake

SECRET = "very-secret-token"


@pytest.fixture
def broker(start_broker):
    broker = start_broker(arguments=["--log-level", "debug"])
    yield broker
    broker.finish()
    assert not [line for line in broker.lines if SECRET in line]


@pytest.mark.parametrize(
    "path, headers",
    [("/t/a", {"Authorization": f"Bearer {SECRET}"}), ("/t/a", {"Authorization": "Basic YW5uOnZlcnktc2VjcmV0LXRva2Vu"}),
     (f"/t/a?token={SECRET}", {})])
def test_credentials_over_http_are_refused(broker, path, headers):
    answer = broker.http("POST", path, body="x", headers=headers)
    assert (answer.status, answer.error_code) == (401, "unauthenticated")
    assert SECRET.encode() not in answer.body


@pytest.mark.parametrize(
    "path, subprotocols", [("/ws", (f"bearer.{SECRET}", "broker.v1.json")), (f"/ws?token={SECRET}", ())])
def test_credentials_of_a_websocket_are_refused_and_not_echoed(broker, path, subprotocols):
    with pytest.raises(RefusedHandshake) as refused:
        broker.session(path, subprotocols=subprotocols)
    assert refused.value.status == 401 and SECRET.encode() not in bytes(refused.value.body)


def test_credentials_in_band_stand_in_no_log(broker):
    session = broker.session()
    answer = session.request(op="authenticate", token=SECRET)
    assert answer["op"] == "error" and SECRET not in answer["message"]
