extension WebFile {
    /// `clients/js/client.js`, put here by `make web`.
    static let clientScript = WebFile("text/javascript; charset=utf-8", tag: "f2b55a21fe1be314b6a0") {
        #"""
        export class BrokerError extends Error {
        name = "BrokerError";
        constructor(code, message) {
        super(message);
        this.code = code;
        }
        }
        export const connect = (url, options) =>
        typeof url === "string" || url instanceof URL ? new Broker(url, options) : new Broker(new URL(".", import.meta.url), url);
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
        #a;
        #b;
        #c;
        #d;
        #e;
        #f;
        #g = new AbortController();
        #h = 0;
        #i = 0;
        #j = 0;
        #k = false;
        #l;
        #m = 0;
        #n = 0;
        #o = new Map();
        #p = 0;
        #q = new Set();
        #r = new Set();
        #s = new Set();
        constructor(url, options = {}) {
        super();
        this.#a = options;
        url = new URL(url, globalThis.location?.href);
        url.protocol = url.protocol.replace("http", "ws");
        if (!url.pathname.endsWith("/ws")) url.pathname = url.pathname.replace(/[/]?$/, "/ws");
        this.#b = url.href;
        const wake = () => {
        if (globalThis.document?.visibilityState === "hidden") return;
        if (this.status === "waiting") this.#t();
        else this.#u();
        };
        const { signal } = this.#g;
        for (const name of ["online", "pageshow"]) globalThis.addEventListener?.(name, wake, { signal });
        globalThis.document?.addEventListener("visibilitychange", wake, { signal });
        options.signal?.addEventListener("abort", () => this.close(), { signal });
        if (options.signal?.aborted) this.close();
        else this.#t();
        }
        #v(status, more) {
        this.status = status;
        this.dispatchEvent(Object.assign(new Event("status"), { status }, more));
        }
        #t() {
        clearTimeout(this.#d);
        const socket = (this.#c = new (this.#a.WebSocket ?? WebSocket)(this.#b, ["broker.v1.json"]));
        socket.onmessage = ({ data }) => {
        if (socket !== this.#c) return;
        this.#j = Date.now();
        if (typeof data !== "string") return this.#w(data);
        for (const line of data.split("\n")) if (line.trim() && socket === this.#c) this.#w((this.#a.parse ?? JSON.parse)(line));
        };
        socket.onclose = ({ code, reason }) => socket === this.#c && this.#x(code, reason);
        socket.onerror = () => {};
        this.#y();
        this.#v("connecting");
        }
        #y() {
        const asked = Date.now();
        clearTimeout(this.#e);
        this.#e = setTimeout(() => this.#j < asked && this.#c && this.#x(1006, "silent"), patience);
        }
        #u() {
        if (this.status !== "open") return;
        this.#z('{"op":"ping"}');
        this.#y();
        }
        #z(text) {
        this.#c.send(text);
        }
        async #A(welcome) {
        const socket = this.#c;
        try {
        if (this.#a.token) await this.#B();
        } catch (error) {
        const isRefused = error.code === "unauthenticated" || error.code === "forbidden";
        if (socket === this.#c) this.#x(isRefused ? 4401 : 1006, error.message);
        return;
        }
        if (socket !== this.#c) return;
        this.client = welcome.client;
        if (this.epoch !== welcome.epoch) this.#n = 0;
        this.epoch = welcome.epoch;
        this.#i = Date.now();
        const pause = (welcome.keepalive || 25) * 1000;
        clearInterval(this.#f);
        this.#f = setInterval(() => Date.now() - this.#j > pause && this.#u(), pause / 2);
        this.status = "open";
        const waiting = [...this.#o.values()];
        this.#C();
        for (const entry of waiting) this.#D(entry);
        for (const presence of this.#s) presence();
        this.#v("open");
        }
        async #B() {
        const socket = this.#c, { token } = this.#a;
        const found = typeof token === "function" ? await token() : token;
        if (socket === this.#c) await this.#E({ op: "authenticate", ...(typeof found === "string" ? { token: found } : found) });
        this.#k = false;
        }
        #x(code, reason = "") {
        const socket = this.#c, now = Date.now();
        this.#c = undefined;
        call(() => socket.close());
        clearTimeout(this.#e);
        clearInterval(this.#f);
        this.#r.clear();
        for (const one of this.#q) one.lost(this.#n, this.epoch);
        const again = code === 4401 && typeof this.#a.token === "function" && !this.#k;
        if (final.has(code) || (code === 4401 && !again)) return this.#F(code, reason);
        if (again) this.#k = true;
        this.status = "waiting";
        for (const [id, entry] of this.#o) {
        if (!entry.keeps || (entry.sent && !(entry.key && now - entry.sent < keyWindow))) {
        this.#G(id).reject(new BrokerError("unknown", "The connection was lost before the answer."));
        }
        }
        if (this.#i && now - this.#i > stable) this.#h = 0;
        this.#i = 0;
        const told = /^retry=(\d+)$/.exec(reason)?.[1] ?? this.#l;
        const retry = told === undefined ? Math.random() * Math.min(longest, shortest * 2 ** this.#h++) : Number(told);
        this.#l = undefined;
        this.#d = setTimeout(() => this.#t(), retry);
        this.#v("waiting", { code, reason, retry });
        }
        #F(code, reason) {
        clearTimeout(this.#d);
        this.status = "closed";
        this.#g.abort();
        const error = new BrokerError("closed", `The connection is closed: ${code} ${reason}`);
        for (const id of [...this.#o.keys()]) this.#G(id).reject(error);
        for (const one of [...this.#q]) one.end(code === 1000 ? undefined : error);
        this.#v("closed", { code, reason });
        }
        close() {
        if (this.status === "closed") return;
        const socket = this.#c;
        this.#c = undefined;
        clearTimeout(this.#e);
        clearInterval(this.#f);
        call(() => socket?.close(1000));
        this.#F(1000, "closed by the application");
        }
        async [Symbol.asyncDispose ?? Symbol()]() {
        this.close();
        }
        #w(object) {
        const { op, id } = object;
        const entry = this.#o.get(id);
        if (op === "message") {
        if (!object.retained && object.topic[0] !== "$") this.#n = Math.max(this.#n, object.seq);
        decode(object);
        for (const one of this.#q) one.message(object);
        } else if (op === "welcome") this.#A(object);
        else if (op === "live") {
        this.#n = Math.max(this.#n, object.seq);
        this.#r.delete(object.filter);
        for (const one of this.#q) if (one.filter === object.filter) one.nowLive(object.seq);
        this.#H(object.filter);
        this.#C();
        } else if (op === "gap") {
        for (const one of this.#q) if (one.filter === object.filter) one.gap(object);
        } else if (op === "revoked") {
        for (const one of [...this.#q]) if (one.filter === object.filter) one.end(new BrokerError("forbidden", object.message));
        } else if (op === "expiring") this.#B().catch(report);
        else if (op === "restart") this.#l = object.retry;
        else if (op === "restored") {
        for (const one of this.#q) if (one.options.fresh && one.state === "live") one.state = "idle";
        for (const presence of this.#s) presence();
        this.#C();
        }
        else if (!entry) return;
        else if (op === "ok" && !entry.reply) this.#G(id).resolve(object);
        else if (op === "reply") this.#G(id).resolve(decode(object));
        else if (op === "error") {
        if (entry.key && !entry.reply && later(object.code) && Date.now() - entry.sent < keyWindow) {
        return void setTimeout(() => this.#o.has(id) && this.status === "open" && this.#z(entry.text), 1000);
        }
        this.#G(id).reject(new BrokerError(object.code, object.message));
        }
        }
        #G(id) {
        const entry = this.#o.get(id);
        this.#o.delete(id);
        if (entry.keeps) this.#p -= entry.text.length;
        return entry;
        }
        #E(command, more) {
        return new Promise((resolve, reject) => this.#I(command, { resolve, reject, ...more }));
        }
        #I(command, entry) {
        const id = ++this.#m, { signal, reject } = entry;
        const { queue = 10_000, queueBytes = 16 << 20 } = this.#a;
        entry.text = JSON.stringify({ ...command, id });
        if (this.status === "closed") return reject(new BrokerError("closed", "The connection is closed."));
        if (entry.keeps) {
        if (this.#o.size >= queue || this.#p + entry.text.length > queueBytes) {
        return reject(new BrokerError("limit-exceeded", "Too many publications wait to be sent."));
        }
        if (signal?.aborted) return reject(signal.reason);
        signal?.addEventListener("abort", () => this.#o.has(id) && this.#G(id).reject(signal.reason));
        this.#p += entry.text.length;
        }
        this.#o.set(id, entry);
        if (this.status === "open" || !entry.keeps) this.#D(entry);
        }
        #D(entry) {
        entry.sent ??= Date.now();
        this.#z(entry.text);
        }
        async publish(topic, data, options = {}) {
        const { signal, ...more } = options;
        if (more.key === true) more.key = random() + random();
        return this.#E({ op: "publish", topic, ...encode(data), ...more }, { keeps: true, signal, key: more.key, reply: more.reply });
        }
        request(topic, data, { timeout = 10, ...more } = {}) {
        return new Promise((resolve, reject) => {
        const late = () => reject(new BrokerError("unavailable", `No reply within ${timeout} s.`));
        const timer = setTimeout(late, timeout * 1000 + 1000);
        this.publish(topic, data, { ...more, timeout, reply: true }).then(resolve, reject).finally(() => clearTimeout(timer));
        });
        }
        reply(message, data, options) {
        const { replyTo, correlation } = message;
        return this.publish(replyTo, data, { ...(correlation === undefined ? {} : { correlation }), ...options });
        }
        presence(topic, data, options) {
        const show = () => this.status === "open" && this.publish(topic, data, { ephemeral: true, ...options }).catch(report);
        const close = () => {
        if (this.#s.delete(show) && this.status === "open") this.publish(topic, "", { retain: true }).catch(report);
        };
        this.#s.add(show);
        options?.signal?.addEventListener("abort", close);
        show();
        return { update: (value) => ((data = value), show()), close };
        }
        subscribe(filter, callback, options) {
        if (typeof callback !== "function") [callback, options] = [undefined, callback];
        const one = new Listener(filter, callback, options);
        one.closed = () => {
        this.#q.delete(one);
        this.#H(filter);
        this.#C();
        };
        if (this.status === "closed") one.end(new BrokerError("closed", "The connection is closed."));
        else this.#q.add(one);
        options?.signal?.addEventListener("abort", () => one.end());
        if (options?.signal?.aborted) one.end();
        this.#C();
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
        #C() {
        if (this.status !== "open") return;
        const groups = new Map(), taken = new Map();
        for (const one of this.#q) {
        if (one.state !== "idle" || this.#r.has(one.filter)) continue;
        const first = taken.get(one.filter);
        if (first) {
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
        this.#r.add(filter);
        }
        for (const { command, all, filters } of groups.values()) {
        for (const one of all) one.asked(this.epoch);
        this.#I({ op: "subscribe", filter: filters.length > 1 ? filters : filters[0], ...command }, {
        resolve: ({ seq }) => all.forEach((one) => one.begun(seq)),
        reject: (error) => error.code !== "unknown" && error.code !== "closed" && this.#J(all, filters, error),
        });
        }
        }
        #J(all, filters, error) {
        for (const filter of filters) this.#r.delete(filter);
        for (const one of all) {
        if (!later(error.code) && filters.length === 1) one.end(error);
        one.alone = true;
        one.state = "idle";
        }
        if (later(error.code)) setTimeout(() => this.#C(), 1000);
        else this.#C();
        }
        #H(filter) {
        if (this.status !== "open" || this.#r.has(filter)) return;
        for (const one of this.#q) if (one.filter === filter) return;
        this.#z(JSON.stringify({ op: "unsubscribe", id: 0, filter }));
        }
        }
        class Listener {
        state = "idle";
        seq = 0;
        resumes = false;
        #K = [];
        #L;
        #M;
        #N = false;
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
        else this.#O(message);
        }
        gap({ filter, since, seq, missed }) {
        if (seq <= this.seq || this.state === "idle") return;
        this.seq = seq;
        const gap = { filter, since, seq, missed };
        if (this.callback) call(this.options.ongap, gap);
        else this.#O({ gap });
        }
        #O(item) {
        this.#K.push(item);
        if (this.#K.length > (this.options.queue ?? 1000)) {
        const { gap, seq } = this.#K.shift();
        const { filter } = this, lost = this.#L ?? { filter, since: Infinity, seq: 0, missed: 0 };
        lost.since = Math.min(lost.since, gap?.since ?? seq - 1);
        lost.seq = Math.max(lost.seq, gap?.seq ?? seq);
        lost.missed = gap && gap.missed === undefined ? undefined : lost.missed + (gap?.missed ?? 1);
        this.#L = lost;
        }
        this.#M?.();
        }
        async *iterate() {
        try {
        for (;;) {
        const item = this.#L ? { gap: this.#L } : this.#K.shift();
        this.#L = undefined;
        if (item?.gap) call(this.options.ongap, item.gap);
        else if (item) yield item;
        else if (this.error) throw this.error;
        else if (this.#N) return;
        else await new Promise((wake) => (this.#M = wake));
        }
        } finally {
        this.end();
        }
        }
        end(error) {
        if (this.#N) return;
        this.#N = true;
        this.error = error;
        this.closed();
        if (error) call(this.options.onerror, error);
        this.reject(error ?? new BrokerError("closed", "The subscription has ended."));
        this.#M?.();
        }
        }

        """#
    }
}
