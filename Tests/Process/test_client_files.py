"""The files of the clients: the examples in the documents run, the types are right, and the broker serves small files."""

import gzip
import os
import re
import subprocess

import pytest

from command_line import REPOSITORY

EXAMPLES = dict(re.findall(r"^```(js|python)\n(.*?)^```", (REPOSITORY / "docs/clients.md").read_text(), re.MULTILINE | re.DOTALL))
MODULE = REPOSITORY / "clients/js/client.js"


@pytest.mark.parametrize("language", ["js", "python"])
def test_the_example_runs(broker, language):
    """Unchanged except for the places of the client and of the broker."""
    text = EXAMPLES[language].replace("/client.js", str(MODULE)).replace("http://127.0.0.1:8080", broker.url())
    text = text.replace("connect();", f"connect('{broker.url()}', {{ WebSocket: createRequire(import.meta.url)('ws') }});")
    command = {"js": ["node", "--input-type=module", "--eval", 'import { createRequire } from "node:module";' + text],
               "python": ["/usr/bin/python3", "-u", "-c", text]}[language]
    broker.publish("sensors/1/temp", "enough", "retain")
    example = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "NODE_PATH": "/usr/share/nodejs", "PYTHONPATH": str(REPOSITORY / "clients/python")})
    try:
        seen = [example.stdout.readline()]
        while "enough" not in seen[-1]:
            seen.append(example.stdout.readline())
            assert seen[-1] != "", seen
        assert any("hello" in line for line in seen), seen
        if language == "js":
            assert example.stdout.read() == "closed\n" and example.wait() == 0
    finally:
        example.kill()
        example.communicate()


TYPED = """
import { connect, BrokerError, type Gap, type Message } from "CLIENT";
const broker = connect(new URL("https://broker.example.com"), { token: async () => ({ user: "ann", password: "x" }) });
const one = broker.subscribe<{ text: string }>("chat/7", (message: Message<{ text: string }>) => message.data.text, { since: "-50" });
one.ready.then(() => one.close());
const temperatures: Map<string, number> = broker.values<number>("sensors/+/temp", (all, message) => [all.size, message?.expired]);
broker.publish("a", new Uint8Array(2), { key: true, headers: { a: ["b"] } }).then(({ seq, stored }) => [seq + 1, stored === true]);
broker.request<string>("a", 1, { timeout: 2 }).then(({ data }) => data.length, (error: BrokerError) => error.code === "unavailable");
broker.presence("who/ann", { name: "Ann" }).update({ name: "Bob" });
broker.addEventListener("status", ({ status, retry }) => status === "waiting" && retry! + 1);
broker.subscribe("a", { ongap: ({ since, missed }: Gap) => [since, missed ?? 0] });
// @ts-expect-error
new BrokerError("no-such-code", "");
// @ts-expect-error
broker.publish("a", 1, { ack: "perhaps" });
// @ts-expect-error
one.data;
"""


def test_the_type_declarations_are_correct(tmp_path):
    (tmp_path / "typed.ts").write_text(TYPED.replace("CLIENT", str(MODULE)))
    (tmp_path / "example.ts").write_text(EXAMPLES["js"].replace("/client.js", str(MODULE)))
    done = subprocess.run(
        ["tsc", "--strict", "--noEmit", "--target", "es2022", "--module", "es2022", "--moduleResolution", "node", "typed.ts", "example.ts"],
        cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_the_served_files_match_the_repository():
    done = subprocess.run(["/usr/bin/python3", REPOSITORY / "tools/web.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name, type_", [
    ("client.js", "text/javascript"), ("client-shared.js", "text/javascript"), ("client.d.ts", "application/typescript")])
def test_the_client_is_served(broker, name, type_):
    answer = broker.http("GET", f"/{name}")
    assert answer.status == 200 and answer.headers.get_content_type() == type_
    assert answer.headers["X-Content-Type-Options"] == "nosniff" and answer.headers["Cache-Control"] == "no-cache"
    known = broker.http("GET", f"/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert known.status == 304 and known.body == b"" and known.headers["ETag"] == answer.headers["ETag"]
    packed = broker.http("GET", f"/{name}", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert gzip.decompress(packed.body) == answer.body and len(packed.body) < len(answer.body) / 2
    assert packed.headers["Content-Encoding"] == "gzip" and packed.headers["ETag"] != answer.headers["ETag"]
    assert "Accept-Encoding" in packed.headers.get_all("Vary") and "Accept-Encoding" in answer.headers.get_all("Vary")
    assert broker.http("GET", f"/{name}", headers={"If-None-Match": '"other"'}).body == answer.body


def test_the_client_is_small(broker):
    for name, most in [("client.js", 4096), ("client-shared.js", 1536)]:
        assert len(broker.http("GET", f"/{name}", headers={"Accept-Encoding": "gzip"}).body) <= most
