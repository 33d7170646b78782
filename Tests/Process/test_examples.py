"""The example programs do what their first lines say."""

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
import urllib.request

import pytest
import websockets

from certificates import Authority
from command_line import REPOSITORY

EXAMPLES = os.environ.get("EXAMPLES", str(REPOSITORY / ".build/examples/release"))


@contextlib.contextmanager
def running(name, *arguments):
    """A server among the examples; gives its port, and ends it by a signal."""
    process = subprocess.Popen(
        [f"{EXAMPLES}/{name}", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        line = process.stdout.readline()
        assert line.startswith("listening on port "), line
        yield int(line.split()[-1])
        assert process.poll() is None, "it serves until the end"
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_door_admits_clients_with_the_token():
    with running("door", "0", "secret") as port:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
            assert page.read() == b"The room is at /room.\n"

        async def talk():
            url = f"ws://127.0.0.1:{port}/room"
            with pytest.raises(websockets.InvalidStatusCode) as refusal:
                await websockets.connect(url, extra_headers={"X-Token": "guess"})
            assert refusal.value.status_code == 403
            headers = {"X-Token": "secret"}
            async with websockets.connect(url, extra_headers=headers) as one:
                async with websockets.connect(url, extra_headers=headers) as other:
                    # A client that hears itself is in the room.
                    await other.send("here")
                    assert await asyncio.wait_for(other.recv(), 10) == "here"
                    await one.send("hello")
                    heard = [await asyncio.wait_for(one.recv(), 10)]
                    while heard[-1] != "hello":
                        heard.append(await asyncio.wait_for(one.recv(), 10))
                    assert await asyncio.wait_for(other.recv(), 10) == "hello"

        asyncio.run(talk())


def test_raw_frames_exchanges_frames():
    with running("echo-server", "0") as port:
        said = subprocess.run(
            [f"{EXAMPLES}/raw-frames", f"ws://127.0.0.1:{port}/", "hello", "grüß"],
            capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout.splitlines() == ["text: hello", "text: grüß", "pong: are you there?", "close: [3, 232]"]


def test_echo_server_supports_tls(tmp_path):
    authority = Authority(tmp_path)
    identity = authority.sign("server")
    with running("echo-server", "0", str(identity.certificate), str(identity.key)) as port:

        async def talk():
            context = ssl.create_default_context(cafile=str(authority.file))
            async with websockets.connect(f"wss://localhost:{port}/", ssl=context) as socket:
                await socket.send("over TLS")
                assert await asyncio.wait_for(socket.recv(), 10) == "over TLS"

        asyncio.run(talk())


def test_a_client_reconnects_to_a_restarted_chat():
    def chat(port):
        process = subprocess.Popen(
            [f"{EXAMPLES}/chat", str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return process, int(process.stdout.readline().split()[-1])

    def stop(process):
        process.terminate()
        said, log = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, "stopped, 0 left\n"), log
        return log.splitlines()

    server, port = chat(0)
    client = subprocess.Popen(
        [f"{EXAMPLES}/resilient-client", f"ws://127.0.0.1:{port}/chat?name=ann", "2"],
        stdout=subprocess.PIPE, text=True)
    try:
        assert client.stdout.readline().startswith("connected by attempt 1, round trip ")
        assert client.stdout.readline() == "message: ann is here\n"
        log = stop(server)
        assert "ended: 1001, closed" in log[-1]
        server, _ = chat(port)
        assert client.stdout.readline().startswith("connected by attempt ")
        assert client.stdout.readline() == "message: ann is here\n"
        assert client.wait(60) == 0
        stop(server)
    finally:
        for process in (server, client):
            process.kill()
            process.wait()


@pytest.mark.parametrize("name", ["chat", "door", "raw-frames", "resilient-client", "echo-client"])
def test_prints_its_usage(name):
    said = subprocess.run([f"{EXAMPLES}/{name}"], capture_output=True, text=True, timeout=60)
    assert said.returncode != 0
    assert "usage: " in said.stdout + said.stderr


def test_the_documentation_has_the_snippets_that_are_compiled():
    check = subprocess.run(
        [sys.executable, REPOSITORY / "tools/snippets.py", "--check"], capture_output=True, text=True, timeout=120)
    assert check.returncode == 0, check.stderr
