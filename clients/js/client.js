// The JavaScript client of Broker: for pages, workers, Node.js and Deno. docs/clients.md says how it is used.

export class BrokerError extends Error {
  name = "BrokerError";
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** Connects to the broker that this file came from, or to another. */
export const connect = (url, options) =>
  typeof url === "string" || url instanceof URL ? new Broker(url, options) : new Broker(new URL(".", import.meta.url), url);

// Milliseconds.
const shortest = 250, longest = 15_000, patience = 8_000, stable = 5_000, keyWindow = 270_000;
const final = new Set([1002, 1003, 1007, 1009, 4400, 4403, 4410]);
const later = (code) => code === "unavailable" || code === "rate-limited";
const report = globalThis.reportError ?? console.error;
const call = (f, ...values) => {
  try {
    f?.(...values);
  } catch (error) {
    report(error);
  }
};
const random = () => Math.random().toString(36).slice(2);

function encode(data) {
  if (data instanceof ArrayBuffer) data = new Uint8Array(data);
  if (!ArrayBuffer.isView(data)) return { data: data ?? null };
  let text = "";
  for (const byte of new Uint8Array(data.buffer, data.byteOffset, data.byteLength)) text += String.fromCharCode(byte);
  return { data: btoa(text), encoding: "base64" };
}

function decode(message) {
  if (message.encoding) message.data = Uint8Array.from(atob(message.data), (letter) => letter.charCodeAt());
  delete message.encoding;
  delete message.op;
  return message;
}

function matches(levels, topic) {
  if (topic[0] === "$" && /^[+#]/.test(levels[0])) return false;
  const names = topic.split("/");
  for (let at = 0; ; at++) {
    if (levels[at] === "#") return true;
    if (at === levels.length || at === names.length) return levels.length === names.length;
    if (levels[at] !== "+" && levels[at] !== names[at]) return false;
  }
}

class Broker extends EventTarget {
  status = "connecting";
  epoch = 0;
  #options;
  #url;
  #socket;
  #timer;
  #probing;
  #watching;
  #ending = new AbortController();
  #tries = 0;
  #opened = 0;
  #heard = 0;
  #refused = false;
  #retry;
  #id = 0;
  // Where the connection is in the broker's order.
  #seq = 0;
  // What has no answer yet, by id, in order.
  #asked = new Map();
  #bytes = 0;
  #listeners = new Set();
  // Filters whose snapshot is under way.
  #busy = new Set();
  #presences = new Set();

  constructor(url, options = {}) {
    super();
    this.#options = options;
    url = new URL(url, globalThis.location?.href);
    url.protocol = url.protocol.replace("http", "ws");
    if (!url.pathname.endsWith("/ws")) url.pathname = url.pathname.replace(/[/]?$/, "/ws");
    this.#url = url.href;
    const wake = () => {
      if (globalThis.document?.visibilityState === "hidden") return;
      if (this.status === "waiting") this.#open();
      else this.#probe();
    };
    const { signal } = this.#ending;
    for (const name of ["online", "pageshow"]) globalThis.addEventListener?.(name, wake, { signal });
    globalThis.document?.addEventListener("visibilitychange", wake, { signal });
    options.signal?.addEventListener("abort", () => this.close(), { signal });
    if (options.signal?.aborted) this.close();
    else this.#open();
  }

  // The connection

  #say(status, more) {
    this.status = status;
    this.dispatchEvent(Object.assign(new Event("status"), { status }, more));
  }

  #open() {
    clearTimeout(this.#timer);
    const socket = (this.#socket = new (this.#options.WebSocket ?? WebSocket)(this.#url, ["broker.v1.json"]));
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      this.#heard = Date.now();
      if (typeof data !== "string") return this.#take(data);
      for (const line of data.split("\n")) if (line.trim() && socket === this.#socket) this.#take((this.#options.parse ?? JSON.parse)(line));
    };
    socket.onclose = ({ code, reason }) => socket === this.#socket && this.#lost(code, reason);
    socket.onerror = () => {};
    this.#expect();
    this.#say("connecting");
  }

  // Gives up if nothing comes.
  #expect() {
    const asked = Date.now();
    clearTimeout(this.#probing);
    this.#probing = setTimeout(() => this.#heard < asked && this.#socket && this.#lost(1006, "silent"), patience);
  }

  #probe() {
    if (this.status !== "open") return;
    this.#send('{"op":"ping"}');
    this.#expect();
  }

  #send(text) {
    this.#socket.send(text);
  }

  async #welcome(welcome) {
    const socket = this.#socket;
    try {
      if (this.#options.token) await this.#authenticate();
    } catch (error) {
      const isRefused = error.code === "unauthenticated" || error.code === "forbidden";
      if (socket === this.#socket) this.#lost(isRefused ? 4401 : 1006, error.message);
      return;
    }
    if (socket !== this.#socket) return;
    this.client = welcome.client;
    if (this.epoch !== welcome.epoch) this.#seq = 0;
    this.epoch = welcome.epoch;
    this.#opened = Date.now();
    const pause = (welcome.keepalive || 25) * 1000;
    clearInterval(this.#watching);
    this.#watching = setInterval(() => Date.now() - this.#heard > pause && this.#probe(), pause / 2);
    this.status = "open";
    const waiting = [...this.#asked.values()];
    // First, so that what is published now is received, too.
    this.#subscribe();
    for (const entry of waiting) this.#tell(entry);
    for (const presence of this.#presences) presence();
    this.#say("open");
  }

  async #authenticate() {
    const socket = this.#socket, { token } = this.#options;
    const found = typeof token === "function" ? await token() : token;
    if (socket === this.#socket) await this.#ask({ op: "authenticate", ...(typeof found === "string" ? { token: found } : found) });
    this.#refused = false;
  }

  #lost(code, reason = "") {
    const socket = this.#socket, now = Date.now();
    this.#socket = undefined;
    call(() => socket.close());
    clearTimeout(this.#probing);
    clearInterval(this.#watching);
    this.#busy.clear();
    for (const one of this.#listeners) one.lost(this.#seq, this.epoch);
    const again = code === 4401 && typeof this.#options.token === "function" && !this.#refused;
    if (final.has(code) || (code === 4401 && !again)) return this.#end(code, reason);
    if (again) this.#refused = true;
    this.status = "waiting";
    for (const [id, entry] of this.#asked) {
      if (!entry.keeps || (entry.sent && !(entry.key && now - entry.sent < keyWindow))) {
        this.#settle(id).reject(new BrokerError("unknown", "The connection was lost before the answer."));
      }
    }
    if (this.#opened && now - this.#opened > stable) this.#tries = 0;
    this.#opened = 0;
    const told = /^retry=(\d+)$/.exec(reason)?.[1] ?? this.#retry;
    const retry = told === undefined ? Math.random() * Math.min(longest, shortest * 2 ** this.#tries++) : Number(told);
    this.#retry = undefined;
    this.#timer = setTimeout(() => this.#open(), retry);
    this.#say("waiting", { code, reason, retry });
  }

  #end(code, reason) {
    clearTimeout(this.#timer);
    this.status = "closed";
    this.#ending.abort();
    const error = new BrokerError("closed", `The connection is closed: ${code} ${reason}`);
    for (const id of [...this.#asked.keys()]) this.#settle(id).reject(error);
    for (const one of [...this.#listeners]) one.end(code === 1000 ? undefined : error);
    this.#say("closed", { code, reason });
  }

  close() {
    if (this.status === "closed") return;
    const socket = this.#socket;
    this.#socket = undefined;
    clearTimeout(this.#probing);
    clearInterval(this.#watching);
    call(() => socket?.close(1000));
    this.#end(1000, "closed by the application");
  }

  async [Symbol.asyncDispose ?? Symbol()]() {
    this.close();
  }

  // What the broker says

  #take(object) {
    const { op, id } = object;
    const entry = this.#asked.get(id);
    if (op === "message") {
      if (!object.retained && object.topic[0] !== "$") this.#seq = Math.max(this.#seq, object.seq);
      decode(object);
      for (const one of this.#listeners) one.message(object);
    } else if (op === "welcome") this.#welcome(object);
    else if (op === "live") {
      this.#seq = Math.max(this.#seq, object.seq);
      this.#busy.delete(object.filter);
      for (const one of this.#listeners) if (one.filter === object.filter) one.nowLive(object.seq);
      this.#leave(object.filter);
      this.#subscribe();
    } else if (op === "gap") {
      for (const one of this.#listeners) if (one.filter === object.filter) one.gap(object);
    } else if (op === "revoked") {
      for (const one of [...this.#listeners]) if (one.filter === object.filter) one.end(new BrokerError("forbidden", object.message));
    } else if (op === "expiring") this.#authenticate().catch(report);
    else if (op === "restart") this.#retry = object.retry;
    else if (op === "restored") {
      // Of client-shared.js: the connection that is shared was away.
      for (const one of this.#listeners) if (one.options.fresh && one.state === "live") one.state = "idle";
      for (const presence of this.#presences) presence();
      this.#subscribe();
    }
    else if (!entry) return;
    else if (op === "ok" && !entry.reply) this.#settle(id).resolve(object);
    else if (op === "reply") this.#settle(id).resolve(decode(object));
    else if (op === "error") {
      if (entry.key && !entry.reply && later(object.code) && Date.now() - entry.sent < keyWindow) {
        // Not taken, and safe to send again.
        return void setTimeout(() => this.#asked.has(id) && this.status === "open" && this.#send(entry.text), 1000);
      }
      this.#settle(id).reject(new BrokerError(object.code, object.message));
    }
  }

  #settle(id) {
    const entry = this.#asked.get(id);
    this.#asked.delete(id);
    if (entry.keeps) this.#bytes -= entry.text.length;
    return entry;
  }

  #ask(command, more) {
    return new Promise((resolve, reject) => this.#put(command, { resolve, reject, ...more }));
  }

  // The answer is taken at once, before what comes after it.
  #put(command, entry) {
    const id = ++this.#id, { signal, reject } = entry;
    const { queue = 10_000, queueBytes = 16 << 20 } = this.#options;
    entry.text = JSON.stringify({ ...command, id });
    if (this.status === "closed") return reject(new BrokerError("closed", "The connection is closed."));
    if (entry.keeps) {
      if (this.#asked.size >= queue || this.#bytes + entry.text.length > queueBytes) {
        return reject(new BrokerError("limit-exceeded", "Too many publications wait to be sent."));
      }
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener("abort", () => this.#asked.has(id) && this.#settle(id).reject(signal.reason));
      this.#bytes += entry.text.length;
    }
    this.#asked.set(id, entry);
    if (this.status === "open" || !entry.keeps) this.#tell(entry);
  }

  #tell(entry) {
    entry.sent ??= Date.now();
    this.#send(entry.text);
  }

  // Publishing

  /** Publishes; the promise is for the broker's answer. With `key` it is sent again after a loss, and taken once. */
  async publish(topic, data, options = {}) {
    const { signal, ...more } = options;
    if (more.key === true) more.key = random() + random();
    return this.#ask({ op: "publish", topic, ...encode(data), ...more }, { keeps: true, signal, key: more.key, reply: more.reply });
  }

  /** Publishes, and waits for one reply. */
  request(topic, data, { timeout = 10, ...more } = {}) {
    return new Promise((resolve, reject) => {
      const late = () => reject(new BrokerError("unavailable", `No reply within ${timeout} s.`));
      const timer = setTimeout(late, timeout * 1000 + 1000);
      this.publish(topic, data, { ...more, timeout, reply: true }).then(resolve, reject).finally(() => clearTimeout(timer));
    });
  }

  /** Answers a request. */
  reply(message, data, options) {
    const { replyTo, correlation } = message;
    return this.publish(replyTo, data, { ...(correlation === undefined ? {} : { correlation }), ...options });
  }

  /** A value that is there as long as this connection is, or comes back. */
  presence(topic, data, options) {
    const show = () => this.status === "open" && this.publish(topic, data, { ephemeral: true, ...options }).catch(report);
    const close = () => {
      if (this.#presences.delete(show) && this.status === "open") this.publish(topic, "", { retain: true }).catch(report);
    };
    this.#presences.add(show);
    options?.signal?.addEventListener("abort", close);
    show();
    return { update: (value) => ((data = value), show()), close };
  }

  // Subscribing

  /** Calls back with each message; without a function it is an async iterable. */
  subscribe(filter, callback, options) {
    if (typeof callback !== "function") [callback, options] = [undefined, callback];
    const one = new Listener(filter, callback, options);
    one.closed = () => {
      this.#listeners.delete(one);
      this.#leave(filter);
      this.#subscribe();
    };
    if (this.status === "closed") one.end(new BrokerError("closed", "The connection is closed."));
    else this.#listeners.add(one);
    options?.signal?.addEventListener("abort", () => one.end());
    if (options?.signal?.aborted) one.end();
    this.#subscribe();
    return {
      filter,
      ready: one.ready,
      close: () => one.end(),
      [Symbol.asyncIterator]: () => one.iterate(),
      async [Symbol.asyncDispose ?? Symbol()]() {
        one.end();
      },
    };
  }

  /** A Map of the retained values, kept up to date; `changed` is called with it and with the message. */
  values(filter, changed, options) {
    const map = new Map();
    let seen;
    const take = (message) => {
      if (message.removed) map.delete(message.topic);
      else if (message.retained || message.retain) map.set(message.topic, message.data);
      else return;
      if (seen) seen.add(message.topic);
      else changed?.(map, message);
    };
    const onstart = () => (seen = new Set());
    const onlive = () => {
      for (const topic of map.keys()) if (!seen.has(topic)) map.delete(topic);
      seen = undefined;
      call(changed, map);
    };
    const { ready, close } = this.subscribe(filter, take, { ...options, fresh: true, onstart, onlive });
    return Object.assign(map, { ready, close });
  }

  // Asks for what is not there yet. Listeners of one filter share a subscription: they wait for each other's snapshot.
  #subscribe() {
    if (this.status !== "open") return;
    const groups = new Map(), taken = new Map();
    for (const one of this.#listeners) {
      if (one.state !== "idle" || this.#busy.has(one.filter)) continue;
      const first = taken.get(one.filter);
      if (first) {
        // Those that go on go together, from the earliest position.
        if (!one.resumes || !first[0].resumes || first[0].epoch !== one.epoch) continue;
        first.push(one);
      } else taken.set(one.filter, [one]);
    }
    for (const [filter, all] of taken) {
      const [{ options, resumes, epoch, alone }] = all;
      const seq = Math.min(...all.map((one) => one.seq));
      const { slow, echo, snapshot } = options;
      const command = { since: resumes ? `${epoch}-${seq}` : options.since, slow, echo, snapshot };
      const key = JSON.stringify([command, alone && filter]);
      if (!groups.has(key)) groups.set(key, { command, all: [], filters: [] });
      groups.get(key).all.push(...all);
      groups.get(key).filters.push(filter);
      this.#busy.add(filter);
    }
    for (const { command, all, filters } of groups.values()) {
      for (const one of all) one.asked(this.epoch);
      this.#put({ op: "subscribe", filter: filters.length > 1 ? filters : filters[0], ...command }, {
        resolve: ({ seq }) => all.forEach((one) => one.begun(seq)),
        reject: (error) => error.code !== "unknown" && error.code !== "closed" && this.#refuse(all, filters, error),
      });
    }
  }

  #refuse(all, filters, error) {
    for (const filter of filters) this.#busy.delete(filter);
    for (const one of all) {
      if (!later(error.code) && filters.length === 1) one.end(error);
      one.alone = true;
      one.state = "idle";
    }
    if (later(error.code)) setTimeout(() => this.#subscribe(), 1000);
    else this.#subscribe();
  }

  #leave(filter) {
    if (this.status !== "open" || this.#busy.has(filter)) return;
    for (const one of this.#listeners) if (one.filter === filter) return;
    this.#send(JSON.stringify({ op: "unsubscribe", id: 0, filter }));
  }
}

// One who listens: idle, asked, begun (the snapshot comes), live.
class Listener {
  state = "idle";
  seq = 0;
  resumes = false;
  #queue = [];
  #dropped;
  #wake;
  #isOver = false;

  constructor(filter, callback, options = {}) {
    Object.assign(this, { filter, callback, options });
    this.levels = filter.split("/");
    this.ready = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.ready.catch(() => {});
  }

  asked(epoch) {
    this.state = "asked";
    if (this.epoch !== epoch) this.seq = 0;
    this.epoch = epoch;
    this.floor = this.resumes ? this.seq : 0;
    this.seen = new Map();
    call(this.options.onstart);
  }

  begun(seq) {
    if (this.state === "asked") this.state = "begun";
    // Of a store that went back nothing is known.
    if (seq < this.seq) this.seq = this.floor = 0;
    if (!this.resumes && this.options.since === undefined) this.seq = seq;
    call(this.options.onbegin, seq);
  }

  nowLive(seq) {
    if (this.state !== "begun") return;
    this.state = "live";
    this.seq = Math.max(this.seq, seq);
    this.seen = undefined;
    this.resumes = !this.options.fresh;
    call(this.options.onlive, seq);
    this.resolve();
  }

  lost(seq, epoch) {
    if (this.state === "live") this.seq = Math.max(this.seq, seq);
    // A history that had begun goes on where it was.
    else if (this.state === "begun" && this.options.since !== undefined && this.seq) this.resumes = true;
    this.state = "idle";
    this.epoch = epoch;
  }

  message(message) {
    const { topic, seq, retained } = message;
    if ((this.state !== "live" && this.state !== "begun") || !matches(this.levels, topic)) return;
    if (retained) {
      if (this.state === "live" || seq <= this.floor || this.seen.get(topic) === seq) return;
      this.seen.set(topic, seq);
    } else if (topic[0] !== "$") {
      if (seq <= this.seq) return;
      this.seq = seq;
    }
    if (this.callback) call(this.callback, message);
    else this.#push(message);
  }

  gap({ filter, since, seq, missed }) {
    if (seq <= this.seq || this.state === "idle") return;
    this.seq = seq;
    const gap = { filter, since, seq, missed };
    if (this.callback) call(this.options.ongap, gap);
    else this.#push({ gap });
  }

  #push(item) {
    this.#queue.push(item);
    if (this.#queue.length > (this.options.queue ?? 1000)) {
      const { gap, seq } = this.#queue.shift();
      const { filter } = this, lost = this.#dropped ?? { filter, since: Infinity, seq: 0, missed: 0 };
      lost.since = Math.min(lost.since, gap?.since ?? seq - 1);
      lost.seq = Math.max(lost.seq, gap?.seq ?? seq);
      lost.missed = gap && gap.missed === undefined ? undefined : lost.missed + (gap?.missed ?? 1);
      this.#dropped = lost;
    }
    this.#wake?.();
  }

  async *iterate() {
    try {
      for (;;) {
        const item = this.#dropped ? { gap: this.#dropped } : this.#queue.shift();
        this.#dropped = undefined;
        if (item?.gap) call(this.options.ongap, item.gap);
        else if (item) yield item;
        else if (this.error) throw this.error;
        else if (this.#isOver) return;
        else await new Promise((wake) => (this.#wake = wake));
      }
    } finally {
      this.end();
    }
  }

  end(error) {
    if (this.#isOver) return;
    this.#isOver = true;
    this.error = error;
    this.closed();
    if (error) call(this.options.onerror, error);
    this.reject(error ?? new BrokerError("closed", "The subscription has ended."));
    this.#wake?.();
  }
}
