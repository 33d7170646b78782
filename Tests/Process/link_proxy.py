"""Links between processes that can be cut, held, delayed and slowed: TCP proxies on loopback, in a thread."""

import asyncio
import socket
import threading

# The maximum of one connection and direction, in pieces; beyond it the sender must wait.
WAITING = 256
PIECE = 65536


class Path:
    """The path from one process to another, and its state: all of its connections, in both directions."""

    def __init__(self, network):
        self.network = network
        self.is_cut, self.delay, self.rate = False, 0, None
        self.connections = set()
        self.open = asyncio.Event()
        self.open.set()

    def cut(self):
        """Ends the connections and refuses new ones, like a machine whose process is gone."""
        def do():
            self.is_cut = True
            self.drop()
        self.network.call(do)

    def hold(self):
        """Carries nothing, like an unplugged cable; data arrives when the path is repaired."""
        self.network.call(self.open.clear)

    def slow(self, delay=0, rate=None):
        """Delays everything by `delay` seconds, and carries at most this many bytes a second."""
        def do():
            self.delay, self.rate = delay, rate
        self.network.call(do)

    def mend(self):
        def do():
            self.is_cut, self.delay, self.rate = False, 0, None
            self.open.set()
        self.network.call(do)

    def drop(self):
        for writer in list(self.connections):
            writer.transport.abort()


class Network:
    """Makes the links, and runs them."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.paths = []
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def call(self, body):
        """Runs it in the thread of the links, and waits for it."""
        async def run():
            return body()
        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def end(self):
        async def cancel():
            tasks = asyncio.all_tasks(self.loop) - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        asyncio.run_coroutine_threadsafe(cancel(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    def path(self):
        path = self.call(lambda: Path(self))
        self.paths.append(path)
        return path

    def mend(self):
        for path in self.paths:
            path.mend()

    def gate(self, port, target, path_of, change=None):
        """Forwards connections to `port` to `target`, over the path that `path_of` returns for their source address.

        `change` gets the data from `target`, piece by piece, and returns the data to deliver instead.
        """
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(128)

        async def serve():
            async def connected(reader, writer):
                await self.connect(reader, writer, target, path_of(writer.get_extra_info("peername")[0]), change)
            await asyncio.start_server(connected, sock=listening, limit=PIECE)
        asyncio.run_coroutine_threadsafe(serve(), self.loop).result(10)

    async def connect(self, reader, writer, target, path, change):
        if path.is_cut:
            return writer.transport.abort()
        path.connections.add(writer)
        there = None
        try:
            # A held path does not even begin a connection.
            await path.open.wait()
            back, there = await asyncio.open_connection("127.0.0.1", target, limit=PIECE)
            path.connections.add(there)
            ends = [asyncio.ensure_future(self.carry(reader, there, path, None)),
                    asyncio.ensure_future(self.carry(back, writer, path, change))]
            _, left = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            # The end of a connection is delayed like its data.
            await path.open.wait()
            for end in left:
                end.cancel()
        except OSError:
            pass
        finally:
            for end in (writer, there):
                if end is not None:
                    path.connections.discard(end)
                    end.transport.abort() if path.is_cut or there is None else end.close()

    async def carry(self, reader, writer, path, change):
        pieces = asyncio.Queue(WAITING)

        async def deliver():
            while (piece := await pieces.get()) is not None:
                due, data = piece
                await path.open.wait()
                pause = due - self.loop.time()
                if pause > 0:
                    await asyncio.sleep(pause)
                if path.rate:
                    await asyncio.sleep(len(data) / path.rate)
                await path.open.wait()
                writer.write(data)
                await writer.drain()

        delivering = asyncio.ensure_future(deliver())
        try:
            while data := await reader.read(PIECE):
                await pieces.put((self.loop.time() + path.delay, change(data) if change else data))
            await pieces.put(None)
            await delivering
        except OSError:
            pass
        finally:
            delivering.cancel()
