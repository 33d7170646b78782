// One connection for all tabs of a site: the client's API over a shared worker. Without shared workers, each tab has its own.
import { connect as connectAlone } from "./client.js";

/** Connects like `connect` of client.js, to the broker at `url`, or to the one that served this file. */
export function connect(url, options) {
  if (typeof url !== "string" && !(url instanceof URL)) [url, options] = [new URL(".", import.meta.url), url];
  if (!globalThis.SharedWorker || !navigator.locks) return connectAlone(url, options);
  const name = JSON.stringify([new URL(url, location.href).href, Boolean(options?.token)]);
  return connectAlone(url, { ...options, WebSocket: PortSocket.bind(undefined, name) });
}

// A port to the worker, with the interface of a WebSocket.
function PortSocket(name) {
  const { port } = new SharedWorker(import.meta.url, { type: "module", name });
  const lock = `broker ${Math.random()}`;
  let release;
  // The worker gets the lock when this tab is gone.
  navigator.locks.request(lock, () => {
    port.postMessage({ op: "hello", lock });
    return new Promise((done) => (release = done));
  });
  port.onmessage = ({ data }) => (data.op === "close" ? this.onclose(data) : this.onmessage({ data }));
  this.send = (text) => port.postMessage(JSON.parse(text));
  this.close = () => {
    port.postMessage({ op: "bye" });
    release?.();
    port.close();
  };
}

// The worker, which acts as a broker for each tab.
if (globalThis.SharedWorkerGlobalScope && globalThis instanceof SharedWorkerGlobalScope) {
  const [url, hasToken] = JSON.parse(self.name);
  const tabs = new Set();
  let token, isAsked, broker;
  const everyone = (object) => tabs.forEach((tab) => tab.say(object));
  const welcome = (tab) => tab.say({ op: "welcome", client: broker.client, epoch: broker.epoch, keepalive: 25 });
  // All tabs are asked for their token; the first answer is used.
  const ask = () =>
    new Promise((resolve) => {
      isAsked = (found) => ((token = undefined), resolve(found));
      if (token) isAsked(token);
      else everyone({ op: "expiring" });
    });
  const open = () => {
    broker = connectAlone(url, hasToken ? { token: ask } : {});
    let wasOpen = false;
    broker.addEventListener("status", ({ status, code, reason }) => {
      if (status === "open") tabs.forEach(wasOpen || hasToken ? (tab) => tab.say({ op: "restored" }) : welcome);
      wasOpen ||= status === "open";
      if (status !== "closed") return;
      everyone({ op: "close", code, reason });
      tabs.clear();
      broker = undefined;
    });
  };
  self.onconnect = ({ ports: [port] }) => {
    const subscriptions = new Map();
    // The newest accepted publication of each ephemeral value, as a promise, by topic.
    const shown = new Map();
    const tab = { say: (object) => port.postMessage(object) };
    const leave = () => {
      for (const one of subscriptions.values()) one.close();
      // Only the tab's own values: another tab or client may have replaced them.
      for (const [topic, last] of shown) last.then(({ seq }) => broker.publish(topic, "", { ephemeral: true, ifSeq: seq })).catch(() => {});
      subscriptions.clear();
      shown.clear();
      tabs.delete(tab);
    };
    const answer = (id, promise, op) =>
      promise.then((found) => tab.say({ ...found, op, id }), ({ code, message }) => tab.say({ op: "error", id, code, message }));
    const verbs = {
      hello({ lock }) {
        tabs.add(tab);
        if (!broker) open();
        if (hasToken || broker.status === "open") welcome(tab);
        navigator.locks.request(lock, leave);
      },
      bye: leave,
      ping: () => tab.say({ op: "pong" }),
      authenticate({ id, op, ...found }) {
        token = found;
        isAsked?.(found);
        tab.say({ op: "ok", id });
      },
      subscribe({ id, op, filter: all, ...options }) {
        for (const filter of [all].flat()) {
          const old = subscriptions.get(filter);
          const one = broker.subscribe(filter, (message) => tab.say({ ...message, op: "message" }), {
            ...options,
            onbegin: (seq, position) => tab.say({ op: "ok", id, seq, position }),
            onlive: (seq, position) => tab.say({ op: "live", filter, seq, position }),
            ongap: (gap) => tab.say({ ...gap, op: "gap" }),
            onerror: ({ code, message }) => tab.say(one && one.isLive ? { op: "revoked", filter, message } : { op: "error", id, code, message }),
          });
          one.ready.then(() => ((one.isLive = true), old?.close()), () => old?.close());
          subscriptions.set(filter, one);
        }
      },
      unsubscribe({ filter }) {
        subscriptions.get(filter)?.close();
        subscriptions.delete(filter);
      },
      publish({ id, op, topic, data, reply, ...options }) {
        const done = reply ? broker.request(topic, data, options) : broker.publish(topic, data, options), before = shown.get(topic);
        if (options.ephemeral) shown.set(topic, done.catch(() => before));
        answer(id, done, reply ? "reply" : "ok");
      },
    };
    port.onmessage = ({ data }) => verbs[data.op]?.(data);
  };
}
