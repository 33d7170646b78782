"""A broker that is administered over the network, and administrators with their rights."""

import json
import socket

from access_file import AccessFile
from broker_process import free_port
from certificates import Authority
from deadlines import ANSWER_DEADLINE
from raw_websocket import RawWebSocket
from secure_broker import client_context

RULES = """
access:
  anonymous: { publish: [], subscribe: [] }
  cookie: { name: %s }
  rules:
    - { role: reader, admin: [read], subscribe: ["#"] }
    - { role: writer, admin: [write] }
    - { role: operator, admin: [operate] }
    - { role: chief, admin: [read, write, operate], publish: ["#"], subscribe: ["#"] }
    - { user: guest, subscribe: ["#"] }
"""
RIGHTS = {"reader": "read", "writer": "write", "operator": "operate"}
CHIEF = ["read", "write", "operate"]
SUBPROTOCOL = "broker.admin.v1.json"


class AdminHarness:
    """Listeners with and without `admin: true`, users named like their roles, and their tokens."""

    def __init__(self, start_broker, tmp_path, extra="", cookie='""'):
        self.directory = tmp_path / "harness"
        self.authority = Authority(tmp_path / "authority")
        identity = self.authority.sign("server")
        self.file = AccessFile(self.directory / "data" / "access.jsonl")
        self.tokens = {}
        for role in [*RIGHTS, "chief", "guest"]:
            self.file.user(role, f"the {role} himself", [role])
            self.tokens[role] = self.file.token(role, admin=CHIEF)[0]
        self.file.write()
        self.port, self.tls_port, self.closed_port = free_port(), free_port(), free_port()
        self.socket = tmp_path / "open.sock"
        self.config = (
            f"listen:\n  - {{ address: 127.0.0.1:{self.port}, admin: true }}\n"
            f"  - {{ address: 127.0.0.1:{self.closed_port} }}\n"
            f"  - {{ address: unix:{self.socket}, admin: true }}\n"
            f"  - {{ address: 127.0.0.1:{self.tls_port}, admin: true, path_prefix: /below,\n"
            f"      tls: {{ certificate: {identity.certificate}, key: {identity.key} }} }}\n"
            "log: { audit: ./audit.log }\n" + extra + RULES % cookie)
        self.broker = start_broker(self.config, directory=self.directory, port=self.port, configured_listen=True)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def tls_url(self):
        return f"https://localhost:{self.tls_port}/below"

    def bearer(self, role):
        return {"Authorization": f"Bearer {self.tokens[role]}"}

    def rewrite(self):
        since = len(self.broker.lines)
        self.file.write()
        self.broker.wait_for_line("loaded the changed file", since=since)

    def open(self, headers, door="plain", path="/admin", subprotocols=(SUBPROTOCOL,)):
        """A connection to `/admin`; raises RefusedHandshake if the answer is not 101."""
        if door == "tls":
            plain = socket.create_connection(("127.0.0.1", self.tls_port), timeout=ANSWER_DEADLINE)
            plain = client_context(self.authority).wrap_socket(plain, server_hostname="localhost")
            path = "/below" + path
        elif door in ("unix", "socket"):
            plain = socket.socket(socket.AF_UNIX)
            plain.settimeout(ANSWER_DEADLINE)
            plain.connect(str(self.socket if door == "unix" else self.broker.admin_socket))
        else:
            port = self.closed_port if door == "closed" else self.port
            plain = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_DEADLINE)
        try:
            websocket = RawWebSocket(plain, "localhost", path, subprotocols, headers)
        except Exception:
            plain.close()
            raise
        self.broker.opened.append(websocket)
        return Administrator(websocket)

    def audited(self, event):
        path = self.directory / "audit.log"
        lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [line for line in lines if line["event"] == event]


class Administrator:
    """One connection: requests, each with its answer."""

    def __init__(self, websocket):
        self.websocket = websocket

    def ask(self, verb, **members):
        self.websocket.send_text(json.dumps({"id": 1, "verb": verb, **members}))
        opcode, payload = self.websocket.receive_message(ANSWER_DEADLINE)
        assert opcode == 1, payload
        return json.loads(payload)

    def error(self, verb, **members):
        """The code of a refusal; None if it is not a refusal."""
        return self.ask(verb, **members).get("error", {}).get("code")
