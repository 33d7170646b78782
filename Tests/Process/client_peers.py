"""The broker's own clients, JavaScript in a browser and Python, with the same verbs for the same tests."""

import asyncio
import importlib.util
import json
import os
import subprocess
import threading
import time

from command_line import REPOSITORY
from deadlines import wait_until

_specification = importlib.util.spec_from_file_location("broker_client", REPOSITORY / "clients/python/broker.py")
broker_client = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(broker_client)

# The script of a page for the tests.
PAGE = """
window.seen = {}; window.gaps = {}; window.maps = {}; window.states = []; window.outcomes = []; window.acknowledged = 0;
window.start = (file, options, url) => import(file).then(({ connect }) => {
  window.client = url ? connect(url, options) : connect(options);
  states.push(client.status);
  client.addEventListener("status", ({ status, code }) => states.push(code === undefined ? status : status + " " + code));
});
window.subscribe = (name, filter, options, read) => {
  seen[name] = []; gaps[name] = [];
  const ongap = gap => gaps[name].push(gap), onerror = error => gaps[name].push(error.code);
  const take = message => seen[name].push(message.data instanceof Uint8Array ? [...message.data] : message.data);
  if (read === undefined) return client.subscribe(filter, take, { ...options, ongap, onerror }) && 0;
  const iterable = client.subscribe(filter, { ...options, ongap, onerror });
  window.read = async count => { for await (const message of iterable) { take(message); if (!--count) break } };
  return 0;
};
window.publish = (topic, data, options) => client.publish(topic, data, options).then(
  ({ stored }) => outcomes.push(stored ? "stored" : "routed"), ({ code }) => outcomes.push(code)) && 0;
window.request = (topic, data, options) => client.request(topic, data, options).then(
  reply => outcomes.push(reply.data), ({ code }) => outcomes.push(code)) && 0;
window.answer = topic => client.subscribe(topic, message => client.reply(message, message.data * 2)) && 0;
window.appear = (topic, data) => (window.shown = client.presence(topic, data)) && 0;
window.flood = (topic, count, workers, options) => {
  let next = 0;
  const work = async () => { while (next < count) { await client.publish(topic, next++, options); acknowledged++ } };
  for (let at = 0; at < workers; at++) work().catch(({ code }) => outcomes.push(code));
  return 0;
};
"ready";
"""


class PageClient:
    """client.js in a page of the broker."""

    def __init__(self, browser):
        self.browser = browser

    def start(self, broker, token=None, shared=False):
        self.browser.open(broker.url("/client.js"))
        wait_until(lambda: self.browser.evaluate("location.href !== 'about:blank' && document.body !== null"), "the page")
        assert self.browser.evaluate(PAGE) == "ready"
        self.begin(token, "/client-shared.js" if shared else "/client.js")

    def begin(self, token, file, *url):
        found = "undefined"
        if callable(token):
            self.browser.evaluate(f"window.tokens = {json.dumps(token())}; window.asked = 0; 0")
            found = "async () => tokens[Math.min(asked++, tokens.length - 1)]"
        elif token:
            found = json.dumps(token)
        self.browser.evaluate(f"start('{file}', {{ token: {found}, WebSocket: window.ws }}, ...{json.dumps(url)}); 0")
        wait_until(lambda: self.browser.evaluate("window.client !== undefined"), "the module")

    def asked(self):
        return self.browser.evaluate("asked")

    def subscribe(self, name, filter_, **options):
        self.browser.evaluate(f"subscribe({json.dumps(name)}, {json.dumps(filter_)}, {json.dumps(options)})")

    def iterate(self, name, filter_, **options):
        self.browser.evaluate(f"subscribe({json.dumps(name)}, {json.dumps(filter_)}, {json.dumps(options)}, true)")

    def read(self, count):
        """Reads this many messages of the subscription of `iterate`, and stops."""
        self.browser.evaluate(f"read({count}); 0")

    def seen(self, name):
        return self.browser.evaluate(f"seen[{json.dumps(name)}]")

    def gaps(self, name):
        return self.browser.evaluate(f"gaps[{json.dumps(name)}]")

    def values(self, filter_):
        self.browser.evaluate(f"maps.it = client.values({json.dumps(filter_)}); 0")

    def map(self):
        return self.browser.evaluate("Object.fromEntries(maps.it)")

    def publish(self, topic, data, **options):
        self.browser.evaluate(f"publish({json.dumps(topic)}, {json.dumps(data)}, {json.dumps(options)})")

    def publish_bytes(self, topic, data):
        self.browser.evaluate(f"publish({json.dumps(topic)}, new Uint8Array({list(data)}))")

    def request(self, topic, data, **options):
        self.browser.evaluate(f"request({json.dumps(topic)}, {json.dumps(data)}, {json.dumps(options)})")

    def answer(self, topic):
        """Answers requests with twice their number."""
        self.browser.evaluate(f"answer({json.dumps(topic)})")

    def appear(self, topic, data):
        self.browser.evaluate(f"appear({json.dumps(topic)}, {json.dumps(data)})")

    def change(self, data):
        self.browser.evaluate(f"shown.update({json.dumps(data)}); 0")

    def disappear(self):
        self.browser.evaluate("shown.close(); 0")

    def flood(self, topic, count, workers, **options):
        self.browser.evaluate(f"flood({json.dumps(topic)}, {count}, {workers}, {json.dumps(options)})")

    def acknowledged(self):
        return self.browser.evaluate("acknowledged")

    def outcomes(self):
        return self.browser.evaluate("outcomes")

    def states(self):
        return self.browser.evaluate("states")

    def sleep(self, seconds):
        """Blocks for this time, and reads nothing."""
        self.browser.evaluate(f"for (const end = Date.now() + {seconds * 1000}; Date.now() < end;); 0")

    def wake(self):
        """Wakes the client, like a page that is shown again."""
        self.browser.evaluate("window.dispatchEvent(new Event('online')); 0")

    def end(self):
        self.browser.evaluate("window.client?.close(); 0")


# The program for node: it runs each line of its input as the body of a function, and returns the value.
NODE = """
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
globalThis.window = globalThis;
globalThis.ws = createRequire(import.meta.url)("ws");
for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify((0, eval)(JSON.parse(line))) ?? "null");
}
"""


class Node:
    """node, which evaluates the same expressions as a page."""

    def __init__(self):
        # Debian's packages, for `ws`: Debian's node has no built-in WebSocket.
        self._process = subprocess.Popen(
            ["node", "--input-type=module", "--eval", NODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "NODE_PATH": "/usr/share/nodejs"})

    def evaluate(self, expression):
        self._process.stdin.write(json.dumps(expression) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self):
        self._process.kill()
        self._process.communicate()


class NodeClient(PageClient):
    """client.js of the repository, in node."""

    def __init__(self):
        super().__init__(Node())

    def start(self, broker, token=None):
        assert self.browser.evaluate(PAGE) == "ready"
        self.begin(token, str(REPOSITORY / "clients/js/client.js"), broker.url())

    def end(self):
        super().end()
        self.browser.close()


def said(gap):
    """What a gap says, as the other clients have it."""
    return {name: value for name, value in gap._asdict().items() if value is not None and value is not False}


class PythonClient:
    """broker.py, on an event loop in a separate thread."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._seen, self._gaps, self._states, self._outcomes, self._acknowledged, self._asked = {}, {}, [], [], 0, 0
        self._client = None

    def _run(self, function):
        """Runs in the loop's thread."""
        async def body():
            return function()
        return asyncio.run_coroutine_threadsafe(body(), self._loop).result(60)

    def start(self, broker, token=None):
        async def next_token(tokens=token() if callable(token) else None):
            self._asked += 1
            return tokens[min(self._asked, len(tokens)) - 1]

        def note(status, code=None, _=None):
            self._states.append(status if code is None else f"{status} {code}")

        def start():
            self._client = broker_client.connect(
                broker.url(), token=next_token if callable(token) else token, onstatus=note)
        self._run(start)

    def asked(self):
        return self._asked

    def _take(self, name):
        def take(message):
            self._seen[name].append(list(message.data) if isinstance(message.data, bytes) else message.data)
        return take

    def subscribe(self, name, filter_, **options):
        self._seen[name], self._gaps[name] = [], []
        self._run(lambda: self._client.subscribe(
            filter_, self._take(name), ongap=lambda gap: self._gaps[name].append(said(gap)),
            onerror=lambda error: self._gaps[name].append(error.code), **options))

    def iterate(self, name, filter_, **options):
        self._seen[name], self._gaps[name] = [], []
        self._iterable = self._run(lambda: self._client.subscribe(
            filter_, ongap=lambda gap: self._gaps[name].append(said(gap)), **options))
        self._name = name

    def read(self, count):
        async def read(left=count):
            async for message in self._iterable:
                self._take(self._name)(message)
                left -= 1
                if not left:
                    break
        asyncio.run_coroutine_threadsafe(read(), self._loop)

    def seen(self, name):
        return list(self._seen[name])

    def gaps(self, name):
        return list(self._gaps[name])

    def values(self, filter_):
        self._values = self._run(lambda: self._client.values(filter_))

    def map(self):
        return dict(self._values)

    def publish(self, topic, data, **options):
        async def publish():
            try:
                answer = await self._client.publish(topic, data, **options)
                self._outcomes.append("stored" if answer["stored"] else "routed")
            except broker_client.BrokerError as error:
                self._outcomes.append(error.code)
        asyncio.run_coroutine_threadsafe(publish(), self._loop)

    publish_bytes = publish

    def request(self, topic, data, **options):
        async def request():
            try:
                self._outcomes.append((await self._client.request(topic, data, **options)).data)
            except broker_client.BrokerError as error:
                self._outcomes.append(error.code)
        asyncio.run_coroutine_threadsafe(request(), self._loop)

    def answer(self, topic):
        self._run(lambda: self._client.subscribe(topic, lambda message: self._client.reply(message, message.data * 2)))

    def appear(self, topic, data):
        self._shown = self._run(lambda: self._client.presence(topic, data))

    def change(self, data):
        self._run(lambda: self._shown.update(data))

    def disappear(self):
        self._run(self._shown.close)

    def flood(self, topic, count, workers, **options):
        numbers = iter(range(count))

        async def work():
            for number in numbers:
                await self._client.publish(topic, number, **options)
                self._acknowledged += 1

        for _ in range(workers):
            asyncio.run_coroutine_threadsafe(work(), self._loop)

    def acknowledged(self):
        return self._acknowledged

    def outcomes(self):
        return list(self._outcomes)

    def states(self):
        return list(self._states)

    def sleep(self, seconds):
        self._run(lambda: time.sleep(seconds))

    def end(self):
        if self._client:
            asyncio.run_coroutine_threadsafe(self._client.close(), self._loop).result(60)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
