"""Contract §5: SIGHUP reads the configuration again."""

import signal

from deadlines import wait_until


def test_new_limits_hold_without_a_restart(start_broker):
    broker = start_broker("limits: { subscriptions_per_client: 1 }\n")
    session = broker.session()
    session.subscribe("one")
    assert session.request(op="subscribe", filter="two")["code"] == "limit-exceeded"
    broker.config_file.write_text("limits: { subscriptions_per_client: 2 }\n")
    broker.send_signal(signal.SIGHUP)
    wait_until(lambda: session.request(op="subscribe", filter="two", snapshot=False)["op"] == "ok", "the new limit")
    broker.publish("one", "the old subscription goes on")
    while session.receive().get("data") != "the old subscription goes on":
        pass


def test_a_broken_file_is_refused_and_the_old_settings_stay(start_broker):
    broker = start_broker("limits: { subscriptions_per_client: 1 }\n")
    session = broker.session()
    session.subscribe("one")
    printed = len(broker.lines)
    broker.config_file.write_text("limits: { subscriptions_per_client: 2 }\ncolour: blue\n")
    broker.send_signal(signal.SIGHUP)
    broker.wait_for_line("broker.yaml:2:.*colour", since=printed)
    assert session.request(op="subscribe", filter="two")["code"] == "limit-exceeded"
    assert broker.http("GET", "/health/ready").status == 200
