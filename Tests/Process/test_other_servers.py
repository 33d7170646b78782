"""Our client, the echo example, against independent servers: `websockets`, `aiohttp`, node-ws."""

import asyncio
import http
import os
import ssl
import subprocess

import aiohttp.web
import pytest
import websockets

from certificates import Authority
from command_line import REPOSITORY
from test_independent_clients import LIMIT, NAMES, PAYLOADS
from test_other_clients import PEERS

ECHO_CLIENT = os.environ.get("ECHO_CLIENT", str(REPOSITORY / ".build/examples/release/echo-client"))


def compression_of(name):
    return [] if name == "on" else ["--no-compression"]


async def run_client(url, *arguments):
    """Runs the client to its end; returns its output."""
    process = await asyncio.create_subprocess_exec(
        ECHO_CLIENT, url, *arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        said, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    return said.decode()


async def serve_websockets(handler, arguments=(), scheme="ws", **options):
    """Runs the client with a server of `websockets`; returns its output, after the handler has ended without an error."""
    done = asyncio.get_running_loop().create_future()

    async def handle(socket, path=None):
        try:
            done.set_result(await handler(socket))
        except Exception as error:
            done.set_exception(error)

    async with websockets.serve(handle, "127.0.0.1", 0, max_size=None, **options) as server:
        port = server.sockets[0].getsockname()[1]
        said = await run_client(f"{scheme}://localhost:{port}/some/path?query", *arguments)
    await done
    return said


@pytest.mark.parametrize("compression", ["on", "off"])
@pytest.mark.parametrize("payload", PAYLOADS, ids=NAMES)
def test_works_with_websockets(payload, compression):
    async def handler(socket):
        assert len(socket.extensions) == (compression == "on")
        for _ in range(3):
            await socket.send(payload)
            assert await asyncio.wait_for(socket.recv(), 20) == payload
        pong = await socket.ping(b"alive")
        await asyncio.wait_for(pong, 10)
        await socket.close(4001, "grüße")

    said = asyncio.run(serve_websockets(handler, compression_of(compression)))
    assert said == "closed with 4001 grüße\n"


@pytest.mark.parametrize("size", [10, 10_000, LIMIT])
def test_works_with_fragments_of_websockets(size):
    payload = os.urandom(size)

    async def handler(socket):
        await socket.send([payload[start:start + size // 7 + 1] for start in range(0, size, size // 7 + 1)])
        assert await asyncio.wait_for(socket.recv(), 20) == payload

    assert asyncio.run(serve_websockets(handler)).startswith("closed with 1000")


def test_works_with_websockets_over_tls(tmp_path):
    authority = Authority(tmp_path / "authority")
    identity = authority.sign("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)

    async def handler(socket):
        await socket.send("x" * LIMIT)
        assert await asyncio.wait_for(socket.recv(), 20) == "x" * LIMIT

    said = asyncio.run(serve_websockets(handler, ["--ca-file", str(authority.file)], "wss", ssl=context))
    assert said.startswith("closed with 1000")


def test_reports_a_refusal():
    async def refuse(path, headers):
        return http.HTTPStatus.FORBIDDEN, [], b"not for you\n"

    async def run():
        async with websockets.serve(lambda socket: None, "127.0.0.1", 0, process_request=refuse) as server:
            return await run_client(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}")

    assert "403" in asyncio.run(run())


@pytest.mark.parametrize("compression", ["on", "off"])
@pytest.mark.parametrize("payload", PAYLOADS, ids=NAMES)
def test_works_with_aiohttp(payload, compression):
    outcome = []

    async def handle(request):
        socket = aiohttp.web.WebSocketResponse(max_msg_size=0, compress=compression == "on")
        await socket.prepare(request)
        await (socket.send_str if isinstance(payload, str) else socket.send_bytes)(payload)
        message = await socket.receive(timeout=60)
        outcome.append((message.data, bool(socket.compress)))
        await socket.close(code=3000, message=b"enough")
        return socket

    async def run():
        application = aiohttp.web.Application()
        application.router.add_get("/", handle)
        runner = aiohttp.web.AppRunner(application)
        await runner.setup()
        site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            return await run_client(f"ws://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/",
                                    *compression_of(compression))
        finally:
            await runner.cleanup()

    assert asyncio.run(run()) == "closed with 3000 enough\n"
    assert outcome == [(payload, compression == "on")]


@pytest.mark.parametrize("theirs", ["on", "off"])
@pytest.mark.parametrize("ours", ["on", "off"])
def test_works_with_node(ours, theirs):
    server = subprocess.Popen(
        ["node", PEERS / "ws_server.js", theirs], env={**os.environ, "NODE_PATH": "/usr/share/nodejs"},
        stdout=subprocess.PIPE, text=True)
    try:
        port = server.stdout.readline().strip()
        said = asyncio.run(run_client(f"ws://127.0.0.1:{port}/", *compression_of(ours)))
        assert said == "closed with 3000 enough\n"
        extensions = "permessage-deflate" if ours == theirs == "on" else ""
        assert server.stdout.read() == f"closed 3000, 0 waiting, 1 pong, extensions {extensions}\n"
        assert server.wait(10) == 0
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
