// The JavaScript client of Broker: for pages, workers, Node.js and Deno. docs/clients.md explains its use.

export class BrokerError extends Error {
  name = "BrokerError";
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** Connects to the broker that served this file, or to another one. */
export const connect = (url, options) =>
  typeof url === "string" || url?.href ? new Broker(url, options) : new Broker(new URL(".", import.meta.url), url);

// Milliseconds.
const shortest = 250, longest = 15_000, pause = 25_000, patience = 8_000, stable = 5_000, keyWindow = 270_000;
const final = [1002, 1003, 1007, 1009, 4400, 4401, 4403, 4410];
const later = ["unavailable", "rate-limited"];
const mayRepeat = ({ sent, key }) => !sent || (key && Date.now() - sent < keyWindow);
const closed = (why = "It is closed.") => new BrokerError("closed", why);
const onAbort = (signal, act, more) => (signal?.aborted ? act() : signal?.addEventListener("abort", act, more));
// A signal may live longer than what it ends.
const offAbort = (signal, act) => signal?.removeEventListener("abort", act);
const report = globalThis.reportError ?? console.error;
const call = (f, ...values) => {
  try {
    f?.(...values);
  } catch (error) {
    report(error);
  }
};

function encode(data = null) {
  if (!ArrayBuffer.isView(data) && !(data instanceof ArrayBuffer)) return { data };
  let text = "";
  for (const byte of new Uint8Array(data.buffer ?? data, data.byteOffset, data.byteLength)) text += String.fromCharCode(byte);
  return { data: btoa(text), encoding: "base64" };
}

function decode({ op, encoding, ...message }) {
  if (encoding) message.data = Uint8Array.from(atob(message.data), (letter) => letter.charCodeAt());
  return message;
}

const fits = ([level, ...levels], [name, ...names]) =>
  level === "#" || ((level === name || (level === "+" && name !== undefined)) && (level === undefined || fits(levels, names)));

class Broker extends EventTarget {
  status = "connecting";
  epoch = 0;
  #options;
  #url;
  #socket;
  // One at a time: for the next attempt, for a sign of life, or for the next request for one.
  #timer;
  #ending = new AbortController();
  #tries = 0;
  #opened = Infinity;
  #isRefused = false;
  #id = 0;
  // The connection's position in the broker's order.
  #parts = [0];
  // The commands without an answer, by id, in order.
  #asked = new Map();
  #length = 0;
  #subscriptions = new Set();
  // Requested filters that are not live yet.
  #busy = new Set();
  // How many filters are requested together.
  #most = Infinity;
  // How presences are shown, by how they end.
  #presences = new Map();
  // The maximum size of a command, in bytes.
  #largest;

  constructor(url, options = {}) {
    super();
    this.#options = options;
    this.#url = url = new URL(url, globalThis.location?.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.pathname = url.pathname.replace(/([/]ws)?[/]?$/, "/ws");
    const { signal } = this.#ending;
    const wake = () => {
      if (globalThis.document?.hidden) return;
      if (this.status === "waiting") this.#open();
      else if (this.status === "open") this.#probe();
    };
    for (const name of ["online", "pageshow", "visibilitychange"]) globalThis.addEventListener?.(name, wake, { signal });
    this.#open();
    onAbort(options.signal, () => this.close(), { signal });
  }

  // The connection

  #say(status, more) {
    this.status = status;
    this.dispatchEvent(Object.assign(new Event("status"), { status }, more));
  }

  #wait(time, act) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, time);
  }

  #expect() {
    this.#wait(patience, () => this.#lost(1006, "silent"));
  }

  #probe() {
    this.#socket.send('{"op":"ping"}');
    this.#expect();
  }

  #open() {
    const { WebSocket = globalThis.WebSocket, parse = JSON.parse } = this.#options;
    const socket = (this.#socket = new WebSocket(this.#url.href, ["broker.v1.json"]));
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#wait(pause, () => this.#probe());
      for (const text of data.op ? [data] : data.trim().split("\n")) call(() => this.#take(text.op ? text : parse(text)));
    };
    socket.onclose = ({ code, reason }) => socket === this.#socket && this.#lost(code, reason);
    socket.onerror = () => {};
    this.#expect();
    this.#say("connecting");
  }

  async #welcome({ client, epoch, maximumMessage }) {
    const socket = this.#socket, error = await this.#authenticate().catch((error) => error);
    if (socket !== this.#socket) return;
    if (error) return this.#lost(/^(unauth|forbid)/.test(error.code) ? 4401 : 1006, error.message);
    if (this.epoch !== epoch) this.#parts = [0];
    Object.assign(this, { client, epoch, status: "open" });
    this.#opened = Date.now();
    this.#largest = 2 * maximumMessage + 65_536;
    const waiting = [...this.#asked.values()];
    // First, so that messages published now are received, too.
    this.#subscribe();
    for (const entry of waiting) this.#tell(entry);
    this.#presences.forEach((show) => show());
    this.#say("open");
  }

  async #authenticate() {
    let { token } = this.#options;
    if (token?.call) token = await token();
    if (token) await this.#ask({ op: "authenticate", ...(typeof token === "string" ? { token } : token) });
    this.#isRefused = false;
  }

  #lost(code, reason = "", isOver = final.includes(code)) {
    if (this.status === "closed") return;
    this.#socket?.close(1000);
    this.#socket = undefined;
    clearTimeout(this.#timer);
    this.#busy.clear();
    for (const one of this.#subscriptions) one.lost(this.#parts);
    if (code === 4401 && this.#options.token?.call && !this.#isRefused) {
      // Once more, with a new token.
      this.#isRefused = true;
      isOver = false;
    }
    this.status = isOver ? "closed" : "waiting";
    const error = isOver ? closed(`${code} ${reason}`) : new BrokerError("unknown", "The connection was lost.");
    this.#asked.forEach((entry) => (isOver || !entry.keeps || !mayRepeat(entry)) && this.#settle(entry).reject(error));
    if (isOver) {
      this.#ending.abort();
      this.#presences.forEach((_, close) => close());
      for (const one of this.#subscriptions) one.close(code === 1000 ? undefined : error);
      return this.#say("closed", { code, reason });
    }
    if (Date.now() - this.#opened > stable) this.#tries = 0;
    this.#opened = Infinity;
    const told = /^retry=(\d+)$/.exec(reason);
    const retry = told ? +told[1] : Math.random() * Math.min(longest, shortest * 2 ** this.#tries++);
    this.#wait(retry, () => this.#open());
    this.#say("waiting", { code, reason, retry });
  }

  close() {
    this.#lost(1000, "by close()", true);
  }

  async [Symbol.asyncDispose ?? Symbol()]() {
    this.close();
  }

  // Messages of the broker

  #take(object) {
    const { op, id, seq, filter, code, message } = object, entry = this.#asked.get(id);
    if (op === "message") {
      const message = decode(object);
      const place = seq % this.#parts.length;
      if (!message.retained && message.topic[0] !== "$") this.#parts[place] = Math.max(this.#parts[place], seq);
      for (const one of this.#subscriptions) one.message(message, place);
    } else if (op === "welcome") this.#welcome(object);
    else if (op === "live") {
      this.#parts = newest(partsOf(object), this.#parts);
      this.#busy.delete(filter);
      for (const one of this.#of(filter)) one.live(object);
      this.#leave(filter);
      this.#subscribe();
    } else if (op === "gap") for (const one of this.#of(filter)) one.gap(decode(object));
    else if (op === "revoked") {
      this.#busy.delete(filter);
      for (const one of this.#of(filter)) one.close(new BrokerError("forbidden", message));
      this.#subscribe();
    } else if (op === "expiring") this.#authenticate().catch(report);
    else if (op === "restored") {
      // From client-shared.js: the shared connection was lost.
      for (const one of this.#subscriptions) if (one.options.fresh && one.state === "live") one.state = "idle";
      this.#presences.forEach((show) => show());
      this.#subscribe();
    } else if (!entry || (op === "ok" && entry.reply)) return;
    else if (op !== "error") this.#settle(entry).resolve(decode(object));
    else if (entry.key && !entry.reply && later.includes(code) && mayRepeat(entry)) {
      // Not accepted, and safe to send again.
      setTimeout(() => this.#asked.has(id) && this.status === "open" && this.#tell(entry), 1000);
    } else this.#settle(entry).reject(new BrokerError(code, message));
  }

  #of(filter) {
    return [...this.#subscriptions].filter((one) => one.filter === filter);
  }

  #settle(entry) {
    this.#asked.delete(entry.id);
    this.#length -= entry.text.length;
    offAbort(entry.signal, entry.abort);
    return entry;
  }

  #ask(command, more) {
    return new Promise((resolve, reject) => this.#put(command, { ...more, resolve, reject }));
  }

  // The answer is handled at once, before the messages after it.
  #put(command, entry) {
    const id = (entry.id = ++this.#id), { queueBytes = 8 << 20 } = this.#options, { signal, keeps } = entry;
    entry.text = JSON.stringify({ ...command, id });
    this.#length += entry.text.length;
    this.#asked.set(id, entry);
    onAbort(signal, (entry.abort = () => this.#settle(entry).reject(signal.reason)));
    if (this.status === "closed") this.#settle(entry).reject(closed());
    else if (keeps && this.#length > queueBytes) this.#settle(entry).reject(new BrokerError("limit-exceeded", "Too much is waiting."));
    else if (this.status === "open" || !keeps) this.#tell(entry);
  }

  #tell(entry) {
    // The broker would close the connection.
    if (new TextEncoder().encode(entry.text).length > this.#largest)
      return this.#settle(entry).reject(new BrokerError("too-large", "It is too large."));
    entry.sent ??= Date.now();
    this.#socket.send(entry.text);
  }

  // Publishing

  /** Publishes, and promises the broker's answer. With `key` the message is sent again after a lost connection, and accepted once. */
  async publish(topic, data, { signal, ...options } = {}) {
    signal?.throwIfAborted();
    if (options.key === true) options.key = `${Math.random()} ${Math.random()}`;
    const { key, reply } = options;
    return this.#ask({ op: "publish", topic, ...encode(data), ...options }, { keeps: true, signal, key, reply });
  }

  /** Publishes, and waits for one reply. */
  request(topic, data, options) {
    return this.publish(topic, data, { timeout: 10, ...options, reply: true });
  }

  /** Answers a request. */
  reply({ replyTo, correlation }, data, options) {
    return this.publish(replyTo, data, { correlation, ...options });
  }

  /** Publishes a value that exists while this client is connected; it is restored after a reconnection. */
  presence(topic, data, { signal, ...options } = {}) {
    // The number of the value, and a promise for the end of all its publications.
    let seq, last;
    const publish = async (data, options) => this.status === "open" && this.publish(topic, data, { ephemeral: true, ...options });
    const show = (before = last) => (last = publish(data, options).then((answer) => (seq = answer.seq), report).then(() => before));
    const close = async () => {
      offAbort(signal, close);
      this.#presences.delete(close);
      await last;
      // Unless the value is not, or no longer, that of this presence.
      if (seq) publish("", { ifSeq: seq }).catch(() => {});
    };
    this.#presences.set(close, show);
    show();
    onAbort(signal, close);
    return { update: (value) => ((data = value), show()), close };
  }

  // Subscribing

  /** Calls `callback` with each message; without a callback the result is an async iterable. */
  subscribe(filter, callback, options) {
    if (!callback?.call) [callback, options] = [undefined, callback];
    const one = new Subscription(filter, callback, options), close = () => one.close();
    one.left = () => {
      offAbort(options?.signal, close);
      this.#subscriptions.delete(one);
      this.#leave(filter);
    };
    this.#subscriptions.add(one);
    onAbort(options?.signal, close);
    if (this.status === "closed") one.close(closed());
    this.#subscribe();
    return one;
  }

  /** A Map of the retained values, kept up to date; `changed` is called with it and with the message. */
  values(filter, changed, options) {
    const map = new Map();
    // The values of a snapshot, while it arrives.
    let next;
    const take = (message) => {
      const { topic, data, removed, retained, retain } = message;
      if (removed) (next ?? map).delete(topic);
      else if (retained || retain) (next ?? map).set(topic, data);
      else return;
      if (!next) changed?.(map, message);
    };
    const onbegin = () => (next = new Map());
    const onlive = () => {
      map.clear();
      next.forEach((data, topic) => map.set(topic, data));
      next = undefined;
      changed?.(map);
    };
    const one = this.subscribe(filter, take, { ...options, fresh: true, onbegin, onlive });
    return Object.assign(map, { ready: one.ready, close: () => one.close() });
  }

  // Requests idle subscriptions, one kind after another: those of one filter share a subscription, and resuming ones are
  // sent together and first, because a message that has arrived for one filter does not arrive again for another.
  #subscribe() {
    if (this.status !== "open" || this.#busy.size) return;
    const kind = ({ resumes, epoch, parts, options: { since, slow, echo, snapshot } }) =>
      JSON.stringify({ since: resumes ? `${epoch}-${textOf(parts)}` : since, slow, echo, snapshot });
    const idle = [...this.#subscriptions].filter((one) => one.state === "idle");
    if (!idle[0]) return;
    const first = kind(idle.filter((one) => one.resumes)[0] ?? idle[0]), same = idle.filter((one) => kind(one) === first);
    this.#busy = new Set(same.map((one) => one.filter).slice(0, this.#most));
    const all = same.filter((one) => this.#busy.has(one.filter));
    this.#put({ op: "subscribe", ...JSON.parse(first), filter: [...this.#busy] }, {
      resolve: (answer) => {
        this.#most *= 2;
        // As many as the broker has logs.
        this.#parts = partsOf(answer).map((_, place) => this.#parts[place] ?? 0);
        all.forEach((one) => one.begun(answer, this.epoch));
      },
      reject: ({ code, message }) => {
        if (this.status !== "open") return;
        const isLater = later.includes(code), { size } = this.#busy;
        // One of several was refused, or they are too long together: fewer are requested.
        if (size > 1 && !isLater) this.#most = size >> 1;
        else if (!isLater) all.forEach((one) => one.close(new BrokerError(code, message)));
        this.#busy.clear();
        setTimeout(() => this.#subscribe(), isLater ? 1000 : 0);
      },
    });
  }

  #leave(filter) {
    if (this.status === "open" && !this.#busy.has(filter) && !this.#of(filter)[0]) this.#socket.send(JSON.stringify({ op: "unsubscribe", filter }));
  }
}

// A position is the newest number of each partition; a broker has one, unless its cluster has several.
const partsOf = ({ seq, position }) => position?.split(",").map((part) => +part.split(":")[1]) ?? [seq];
const newest = (parts, others) => parts.map((seq, place) => Math.max(seq, others[place] ?? 0));
const textOf = (parts) => parts.map((seq, place) => (parts.length > 1 ? `${place}:${seq}` : seq)).join();

// Its states: idle, begun (the snapshot arrives), live.
class Subscription {
  state = "idle";
  parts = [];
  resumes = false;
  #queue = [];
  #gap;
  #wake;

  constructor(filter, callback, options = {}) {
    // An error of the caller, who gets it, if JSON does not have it.
    JSON.stringify(options.since);
    Object.assign(this, { filter, callback, options, levels: filter.split("/") });
    this.ready = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.ready.catch(() => {});
  }

  begun(answer, epoch) {
    const parts = partsOf(answer);
    this.state = "begun";
    // The position is useless for another store, or for one that was set back.
    if (this.epoch !== epoch || (!parts[1] && parts[0] < this.parts[0])) this.parts = [];
    this.epoch = epoch;
    if (!this.resumes && this.options.since === undefined) this.parts = parts;
    call(this.options.onbegin, answer.seq, answer.position);
  }

  live(answer) {
    if (this.state !== "begun") return;
    this.state = "live";
    this.parts = newest(partsOf(answer), this.parts);
    this.resumes = !this.options.fresh;
    call(this.options.onlive, answer.seq, answer.position);
    this.resolve();
  }

  lost(parts) {
    if (this.state === "live") this.parts = newest(parts, this.parts);
    // An interrupted history resumes at its position; of several partitions it begins again, and what has come is left out.
    else if (this.state === "begun" && this.options.since !== undefined && this.parts[0] && parts.length === 1) this.resumes = true;
    this.state = "idle";
  }

  message(message, place) {
    const { topic, seq, retained } = message, isOfBroker = topic[0] === "$";
    if (this.state === "idle" || (retained && this.state === "live") || !fits(this.levels, topic.split("/"))) return;
    if (isOfBroker && /^[+#]/.test(this.filter)) return;
    if (!retained && !isOfBroker) {
      if (seq <= this.parts[place]) return;
      this.parts[place] = seq;
    }
    if (this.callback) return call(this.callback, message);
    this.#queue.push(message);
    this.#wake?.();
    if (this.#queue.length <= (this.options.queue ?? 1000)) return;
    const oldest = this.#queue.shift().seq, { filter } = this, { since = oldest - 1, missed = 0 } = this.#gap ?? {};
    this.#gap = { filter, since, seq: oldest, missed: missed + 1 };
  }

  gap(gap) {
    const parts = partsOf(gap);
    if (this.state === "idle" || parts.every((seq, place) => seq <= this.parts[place])) return;
    this.parts = newest(parts, this.parts);
    call(this.options.ongap, gap);
  }

  async *[Symbol.asyncIterator]() {
    try {
      for (;;) {
        const gap = this.#gap, message = this.#queue.shift();
        this.#gap = undefined;
        if (gap) call(this.options.ongap, gap);
        if (message) yield message;
        else if (this.error) throw this.error;
        else if (!this.left) return;
        else await new Promise((wake) => (this.#wake = wake));
      }
    } finally {
      this.close();
    }
  }

  close(error) {
    const { left } = this;
    if (!left) return;
    Object.assign(this, { left: undefined, error });
    left();
    if (error) call(this.options.onerror, error);
    this.reject(error ?? closed());
    this.#wake?.();
  }

  async [Symbol.asyncDispose ?? Symbol()]() {
    this.close();
  }
}
