"""access.md §13, "Doors": every way to present credentials, valid, wrong, expired, and two at once."""

import collections
import http.client
import itertools
import json
import re
import socket

import pytest

# The fixture is found by its name.
from access_harness import Harness, Page, basic, wrong
from deadlines import ANSWER_DEADLINE
from raw_websocket import RefusedHandshake


class Doors(Harness):
    """A broker that accepts credentials in every way, and the credentials for each way."""

    def __init__(self, start_broker, tmp_path):
        super().__init__(start_broker, tmp_path, "query_tokens: any\n  cookie: { name: site }\n  sessions: { per_user: 1 }")
        self.file.user("gone", "correct horse")["disabled"] = True
        over = self.token("device7")
        self.entry(over)["expires"] = self.entry(over)["created"]
        self.rewrite()
        page, late = Page(self), Page(self)
        assert [page.log_in().status, late.log_in().status] == [200, 200]
        self.page = late
        tokens = [self.device, wrong(self.device), over]
        sessions = [page.cookie["Cookie"].partition("=b; __Host-broker=")[2] for page in (late, late, page)]
        sessions[1] = wrong(sessions[1])
        passwords = [basic(*person)["Authorization"] for person in [("alice", "correct horse"), ("alice", "x"), ("gone", "correct horse")]]
        # Valid, wrong and expired credentials, for each way.
        self.shown = {
            "bearer": [f"Bearer {token}" for token in tokens], "basic": passwords, "session": sessions, "cookie": tokens,
            "query": tokens, "subprotocol": tokens, "in band": tokens}

    def status(self, shown):
        """The status of a read that a known client may do, with the given credentials; 404 if they are accepted."""
        path = "/t/news/a" + "".join("&?"[not place] + f"token={token}" for place, token in enumerate(shown.get("query", [])))
        connection = http.client.HTTPConnection("127.0.0.1", self.broker.port, timeout=ANSWER_DEADLINE)
        connection.putrequest("GET", path)
        connection.putheader("Sec-Fetch-Site", "same-origin")
        for text in shown.get("bearer", []) + shown.get("basic", []):
            connection.putheader("Authorization", text)
        cookies = [f"__Host-broker={value}" for value in shown.get("session", [])]
        cookies += [f"site={value}" for value in shown.get("cookie", [])]
        if cookies:
            connection.putheader("Cookie", "; ".join(cookies))
        connection.endheaders()
        try:
            return connection.getresponse().status
        finally:
            connection.close()

    def admits(self, way, *shown):
        match way:
            case "subprotocol":
                try:
                    self.broker.websocket("/s/news/a", subprotocols=[f"bearer.{one}" for one in shown] + ["broker.subscription.v1"])
                except RefusedHandshake as refused:
                    assert refused.status == 401
                    return False
                return True
            case "in band":
                session = self.broker.session()
                members = ", ".join(f'"token": {json.dumps(one)}' for one in shown)
                session.websocket.send_text(f'{{"op": "authenticate", {members}}}')
                return session.receive()["op"] == "ok"
            case _: return {404: True, 401: False}[self.status({way: list(shown)})]


@pytest.fixture
def doors(start_broker, tmp_path):
    doors = Doors(start_broker, tmp_path)
    yield doors
    written = doors.written()
    assert not [secret for secret in doors.secrets if secret in written]


def test_each_way_accepts_only_valid_credentials(doors):
    """Wrong credentials, expired ones, and two at once, even if both are valid."""
    found = {
        way: [doors.admits(way, right), doors.admits(way, false), doors.admits(way, over), doors.admits(way, right, right)]
        for way, (right, false, over) in doors.shown.items()}
    assert found == {way: [True, False, False, False] for way in doors.shown}


def test_of_two_credentials_the_first_counts(doors):
    """Only the first credentials count: wrong ones are not skipped, and valid ones are accepted even if later ones are wrong."""
    ways = ["basic", "session", "cookie", "query"]
    found = {}
    for first, second in itertools.combinations(ways, 2):
        (right, false, _), (later_right, later_false, _) = doors.shown[first], doors.shown[second]
        found[first, second] = [
            doors.status({first: [right], second: [later_false]}), doors.status({first: [false], second: [later_right]})]
    assert found == {pair: [404, 401] for pair in itertools.combinations(ways, 2)}


def test_a_subprotocol_token_takes_precedence_over_a_cookie(doors):
    right, false, _ = doors.shown["subprotocol"]
    cookie = doors.page.own | doors.page.cookie
    doors.broker.websocket("/s/news/a", subprotocols=[f"bearer.{right}", "broker.subscription.v1"],
                           headers=doors.page.own | {"Cookie": "__Host-broker=x"})
    page = doors.broker.websocket("/s/news/a", subprotocols=[f"bearer.{false}", "broker.subscription.v1"], headers=cookie)
    assert page.receive_close()[0] == 4401


def test_guesses_from_a_thousand_addresses_lock_nobody_out(start_broker, tmp_path):
    """Each address has only a few guesses, and known users are accepted from other addresses."""
    harness = Harness(start_broker, tmp_path, limits="authentication_failures: 3/m")
    page = Page(harness)
    assert page.log_in().status == 200
    guess = f"GET /t/news/a HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {wrong(harness.device)}\r\n".encode()
    statuses = collections.Counter()
    for number in range(1000):
        address = f"127.1.{number // 250}.{number % 250 + 1}"
        with socket.create_connection(("127.0.0.1", harness.broker.port), ANSWER_DEADLINE, (address, 0)) as plain:
            plain.sendall((guess + b"\r\n") * 4 + guess + b"Connection: close\r\n\r\n")
            statuses.update(int(status) for status in re.findall(b"HTTP/1.1 ([0-9]+)", plain.makefile("rb").read()))
    assert statuses == {401: 4000, 429: 1000}
    assert harness.broker.metrics()['broker_quotas_reached_total{limit="authentication_failures"}'] == 1000
    assert harness.broker.http("GET", "/t/news/a", headers=basic("alice", "correct horse")).status == 404
    assert page.read("/t/news/a").status == 404
