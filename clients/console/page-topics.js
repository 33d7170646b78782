// The page of topics: a tree that stays fast, the details of one topic, and publishing.
import { $, age, ask, base64, button, bytes, clean, difference, dump, element, fact, foreign, payload, plot, pretty } from "./page-kit.js";

const rowHeight = 26, openAtFirst = 300, logged = 100, plotted = 300, shown = 2000, displayed = 65536;

class Branch {
  children = new Map();
  sorted = null;
  isOpen = false;
  count = 0;
  counted = 0;
  ticked = 0;
  rate = 0;
  constructor(name, parent) {
    Object.assign(this, { name, parent, level: parent ? parent.level + 1 : 0 });
    this.topic = parent?.parent ? `${parent.topic}/${name}` : name;
  }
}

export class Topics {
  #root = new Branch("", null);
  #nodes = new Map();
  #known = 0;
  #flat = [];
  #isStale = false;
  #isDue = false;
  #isPaused = false;
  #waiting = [];
  #selected = null;
  #view = "auto";
  #whole = null;
  #rows = [];
  #drawn = null;
  #ticks = 1;
  #inspected = 0;

  constructor(console) {
    this.console = console;
    const tree = $("tree");
    tree.addEventListener("scroll", () => this.#due());
    tree.addEventListener("keydown", (event) => this.#key(event));
    tree.addEventListener("click", ({ target }) => {
      const node = target.closest?.("[role=treeitem]")?.node;
      if (!node) return;
      if (node === this.#selected || target.className === "mark") this.#toggle(node);
      this.#select(node);
    });
    new ResizeObserver(() => this.#due()).observe(tree);
    setInterval(() => {
      this.#ticks++;
      for (const { node } of this.#rows) {
        if (!node) continue;
        // A row that was not visible a second ago has no rate.
        node.rate = node.ticked === this.#ticks - 1 ? node.count - node.counted : 0;
        [node.ticked, node.counted] = [this.#ticks, node.count];
      }
      this.#due();
    }, 1000);
    $("pause").onclick = () => this.pause();
    $("publish").onsubmit = (event) => {
      event.preventDefault();
      this.#publish(event.target);
    };
  }

  clear() {
    this.#root.children.clear();
    this.#nodes.clear();
    [this.#known, this.#root.sorted, this.#isStale] = [0, null, true];
    this.#select(null);
    this.#due();
  }

  pause() {
    this.#isPaused = !this.#isPaused;
    $("pause").setAttribute("aria-pressed", this.#isPaused);
    $("pause").textContent = this.#isPaused ? "Go on" : "Pause";
    if (this.#isPaused) return;
    for (const message of this.#waiting.splice(0)) this.take(message);
  }

  take(message) {
    if (this.#isPaused) {
      // The newest are enough: a user could not read the skipped ones.
      if (this.#waiting.push(message) > 20000) this.#waiting.splice(0, 10000);
      return;
    }
    const node = this.#nodes.get(message.topic) ?? this.#grow(message.topic);
    if (message.removed) node.isRetained = false;
    else if (message.retained || message.retain) node.isRetained = true;
    node.before = node.message;
    node.message = message;
    node.text = undefined;
    for (let up = node; up; up = up.parent) up.count++;
    if (node === this.#selected) {
      node.log.unshift(message);
      if (node.log.length > plotted) node.log.length = plotted;
      this.#drawn = null;
    }
    this.#due();
  }

  #grow(topic) {
    let node = this.#root;
    for (const name of topic.split("/")) {
      let child = node.children.get(name);
      if (!child) {
        child = new Branch(name, node);
        node.children.set(name, child);
        node.sorted = null;
        child.isOpen = ++this.#known <= openAtFirst && topic[0] !== "$";
        this.#isStale = true;
      }
      node = child;
    }
    this.#nodes.set(topic, node);
    return node;
  }

  // Drawing: only the visible rows exist.

  #due() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      if (!$("topics").hidden) this.#draw();
    });
  }

  #flatten() {
    const flat = [];
    const add = (node) => {
      node.sorted ??= [...node.children.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      for (const child of node.sorted) {
        child.place = flat.length;
        flat.push(child);
        if (child.isOpen && child.children.size) add(child);
      }
    };
    add(this.#root);
    this.#flat = flat;
    this.#isStale = false;
    $("rows").style.height = `${flat.length * rowHeight}px`;
    // An empty tree is not a tree for assistive technology.
    $("tree").role = flat.length ? "tree" : "group";
  }

  #draw() {
    if (this.#isStale) this.#flatten();
    const tree = $("tree"), first = Math.floor(tree.scrollTop / rowHeight);
    const count = Math.min(Math.ceil(tree.clientHeight / rowHeight) + 1, this.#flat.length - first);
    while (this.#rows.length < count) this.#rows.push(this.#row());
    const now = Date.now() + this.console.skew;
    this.#rows.forEach((row, at) => {
      const node = at < count ? this.#flat[first + at] : undefined;
      row.hidden = !node;
      if (node !== row.node) row.node = node;
      if (node) this.#fill(row, node, first + at, now);
    });
    if (this.#drawn === this.#selected) return;
    // Messages are shown five times a second; the user's actions, at once.
    if (this.#drawn === undefined || performance.now() - this.#inspected > 200) this.#inspect();
    else setTimeout(() => this.#due(), 200);
  }

  #row() {
    const parts = ["mark", "name", "value", "count", "age"].map((className) => element(className === "name" ? "bdi" : "span", { className }));
    const row = element("div", { role: "treeitem", parts }, parts);
    $("rows").append(row);
    return row;
  }

  #fill(row, node, place, now) {
    const [mark, name, value, count, time] = row.parts, { message } = node;
    const set = (part, text) => part.textContent !== text && (part.textContent = text);
    row.style.transform = `translateY(${place * rowHeight}px)`;
    row.style.paddingLeft = `${Math.min(node.level - 1, 12) * 0.9}rem`;
    row.id = `row-${place}`;
    row.ariaLevel = node.level;
    row.ariaExpanded = node.children.size ? String(node.isOpen) : null;
    row.ariaSelected = String(node === this.#selected);
    row.classList.toggle("retained", Boolean(node.isRetained));
    set(mark, node.children.size ? (node.isOpen ? "▾" : "▸") : "");
    set(name, clean(node.name) || "(empty)");
    node.text ??= message ? (message.removed ? "removed" : clean(payload(message, shown))) : node.isOpen ? "" : `${node.children.size} below`;
    set(value, message || !node.isOpen ? node.text : "");
    set(count, node.rate ? `${node.count} · ${node.rate}/s` : String(node.count));
    set(time, message ? age(now - message.time) : "");
    if (node === this.#selected) $("tree").setAttribute("aria-activedescendant", row.id);
  }

  // The tree by keyboard

  #key(event) {
    const node = this.#selected, place = node ? node.place : -1;
    const to = {
      ArrowDown: () => this.#flat[place + 1],
      ArrowUp: () => this.#flat[Math.max(0, place - 1)],
      Home: () => this.#flat[0],
      End: () => this.#flat.at(-1),
      ArrowRight: () => (node?.children.size && !node.isOpen ? (this.#toggle(node), node) : node?.sorted?.[0]),
      ArrowLeft: () => (node?.isOpen && node.children.size ? (this.#toggle(node), node) : node?.parent?.parent && node.parent),
      Enter: () => (node && this.#toggle(node), node),
    }[event.key]?.();
    if (!to) return;
    event.preventDefault();
    this.#select(to);
    const tree = $("tree"), top = to.place * rowHeight;
    if (top < tree.scrollTop) tree.scrollTop = top;
    else if (top + rowHeight > tree.scrollTop + tree.clientHeight) tree.scrollTop = top + rowHeight - tree.clientHeight;
  }

  #toggle(node) {
    node.isOpen = !node.isOpen;
    if (!node.message) node.text = undefined;
    this.#isStale = true;
    this.#due();
  }

  #select(node) {
    if (node === this.#selected && node) return;
    if (this.#selected) this.#selected.log = undefined;
    this.#selected = node;
    this.#drawn = undefined;
    if (node) {
      node.log = node.message ? [node.message] : [];
      $("publish").topic.value = node.topic;
      this.#recall(node);
    }
    this.#due();
  }

  /** What the history keeps of it. */
  async #recall(node) {
    if (!node.message) return;
    const answer = await this.console.fetch(`s/${this.console.path(node.topic)}?since=-${logged}&snapshot=false&poll=1`);
    if (!answer?.ok || node !== this.#selected) return;
    const lines = (await answer.text()).split("\n").filter((line) => line.trim());
    const kept = lines.map(this.console.parse).filter((message) => message.topic === node.topic).reverse();
    const oldest = Math.min(...node.log.map((message) => message.seq));
    node.log.push(...kept.filter((message) => message.seq < oldest).map(this.console.decode));
    this.#drawn = null;
    this.#due();
  }

  // One topic

  #inspect() {
    const node = (this.#drawn = this.#selected), inspector = $("inspector");
    this.#inspected = performance.now();
    if (!node) return inspector.replaceChildren(element("p", { className: "faint", textContent: "Choose a topic to see its messages." }));
    const { message, before, topic, log } = node;
    const head = element("h2", {}, foreign(topic));
    const below = node.children.size && button("Delete all below", () => this.#removeBelow(topic));
    if (!message) return inspector.replaceChildren(head, element("p", { textContent: `Levels below: ${node.children.size}. Messages: ${node.count}.` }), below);
    const text = payload(message), isBytes = message.data instanceof Uint8Array;
    const facts = [["seq", message.seq], ["time", new Date(message.time).toLocaleString()], ["type", message.type],
      ["size", bytes(isBytes ? message.data.length : new TextEncoder().encode(text).length)],
      ["expires", message.expires && new Date(message.expires).toLocaleString()], ["headers", message.headers && JSON.stringify(message.headers)],
      ["reply to", message.replyTo], ["state", message.expired ? "expired" : message.removed ? "removed" : node.isRetained && "retained"]];
    const list = element("dl", {}, ...facts.filter(([, value]) => value !== undefined && value !== false).map(fact));
    const views = element("p", { className: "actions" }, ...["auto", "raw", "hex", "diff"].map((view) =>
      button(view, () => ((this.#view = view), (this.#drawn = undefined), this.#due()), { ariaPressed: String(view === this.#view) })));
    const actions = element("p", { className: "actions" },
      button("Edit", () => this.edit(), { disabled: isBytes }), button("Delete", () => this.#remove()), below,
      ...["curl", "brokerctl", "JS"].map((as) => button(`Copy ${as}`, (event) => this.#copy(as, event.target), { disabled: message.removed })));
    // Input and choices made meanwhile stay.
    const focused = inspector.contains(document.activeElement) ? [...inspector.querySelectorAll("button")].indexOf(document.activeElement) : -1;
    const numbers = log.map(({ data }) => (typeof data === "number" ? data : typeof data === "string" && data.trim() ? Number(data) : NaN)).filter(Number.isFinite).reverse();
    const canvas = numbers.length > 1 && element("canvas", { role: "img", ariaLabel: `${numbers.length} numbers, the last ${numbers.at(-1)}` });
    const rows = log.slice(0, logged).map((one) => element("tr", {}, ...[one.seq, new Date(one.time).toLocaleTimeString()].map((textContent) => element("td", { textContent })),
      element("td", {}, foreign(one.removed ? "removed" : payload(one, 200)))));
    inspector.replaceChildren(...[head, list, views, this.#shown(message, before, text), actions, canvas,
      element("table", {}, element("tbody", {}, ...rows))].filter(Boolean));
    if (canvas) plot(canvas, numbers);
    if (focused >= 0) inspector.querySelectorAll("button")[focused]?.focus();
  }

  #shown(message, before, text) {
    if (message.removed) return element("p", { className: "faint", textContent: "There is no value." });
    const isBytes = message.data instanceof Uint8Array;
    if (this.#view === "diff") return before && !before.removed ? difference(pretty(payload(before, displayed)), pretty(text.slice(0, displayed))) : element("p", { className: "faint", textContent: "There is no earlier message." });
    if (this.#view === "hex") return element("pre", { textContent: dump(message) });
    if (isBytes && this.#view === "auto" && /^image\/(png|jpeg|gif|webp|avif)$/.test(message.type)) {
      return element("img", { src: `data:${message.type};base64,${base64(message.data)}`, alt: "the payload, an image" });
    }
    const isJSON = typeof message.data !== "string" || /json/.test(message.type ?? "");
    // The browser takes seconds to lay out a long text, and does so again for each message.
    const isCut = text.length > displayed && this.#whole !== message, part = isCut ? text.slice(0, displayed) : text;
    const pre = element("pre", { textContent: clean(this.#view === "auto" && isJSON && !isBytes ? pretty(part) : part) });
    const all = () => ((this.#whole = message), (this.#drawn = undefined), this.#due());
    return isCut ? element("div", {}, pre, button(`Show all ${bytes(text.length)}`, all)) : pre;
  }

  /** Changes a retained value, if it is still the displayed one. */
  async edit() {
    const node = this.#selected, base = node?.message;
    if (!base || base.data instanceof Uint8Array) return;
    let [mine, seq] = [base.removed ? "" : payload(base), base.removed ? 0 : base.seq], note = [];
    for (;;) {
      const area = element("textarea", { name: "data", rows: 12, ariaLabel: "value", value: mine, spellcheck: false });
      const found = await ask(`Edit ${clean(node.topic)}`, [...note, area], "Save");
      if (!found) return;
      mine = found.data;
      const type = base.type ?? (typeof base.data === "string" ? "text/plain" : "application/json");
      const headers = { "Content-Type": type, ...(seq ? { "If-Match": `"${seq}"` } : { "If-None-Match": "*" }) };
      const answer = await this.console.fetch(`t/${this.console.path(node.topic)}?retain`, { method: "PUT", body: mine, headers });
      if (answer?.ok) return this.console.say(`saved ${node.topic}`);
      if (answer?.status !== 412) return this.console.refused(answer);
      const now = await this.console.fetch(`t/${this.console.path(node.topic)}`);
      seq = Number(/\d+/.exec(now?.headers.get("ETag") ?? "")?.[0] ?? 0);
      const theirs = now?.ok ? await now.text() : "";
      note = [element("p", { textContent: "It was changed in the meantime: − is the current value, + is yours. Saving again replaces it." }), difference(pretty(theirs), pretty(mine))];
    }
  }

  async #remove() {
    const { topic } = this.#selected;
    if (!(await ask("Delete the retained value?", [element("p", {}, foreign(topic))], "Delete"))) return;
    const answer = await this.console.fetch(`t/${this.console.path(topic)}`, { method: "DELETE" });
    if (answer?.ok) this.console.say(`deleted ${topic}`);
    else this.console.refused(answer);
  }

  /** Removes values as an administrator, after showing how many there are. */
  async #removeBelow(topic) {
    const filter = `${topic}/#`, remove = (dryRun) => this.console.admin("retained.delete", { filter, dryRun });
    try {
      const { result: { matching } } = await remove(true);
      if (!(await ask(`Delete ${matching} retained values?`, [element("p", {}, foreign(filter))], "Delete"))) return;
      this.console.say(`deleted ${(await remove(false)).result.deleted} of ${filter}`);
    } catch ({ message }) {
      this.console.say(message, true);
    }
  }

  #copy(as, from) {
    const { topic, message } = this.#selected;
    const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
    const { data } = message, isText = typeof data === "string", isBytes = data instanceof Uint8Array, retain = this.#selected.isRetained || undefined;
    const type = message.type ?? (isBytes ? "application/octet-stream" : isText ? undefined : "application/json");
    // Through a pipe, so that a published payload is neither an option nor a file's name.
    const source = isBytes ? `echo ${base64(data)} | base64 -d` : `printf %s ${quoted(payload(message))}`;
    const option = (name, value) => (value ? ` ${name} ${quoted(value)}` : "");
    const written = isText ? JSON.stringify(data) : isBytes ? `Uint8Array.from(atob("${base64(data)}"), (letter) => letter.charCodeAt())` : payload(message);
    const text = {
      curl: `${source} | curl -X PUT --data-binary @-${option("-H", type && `Content-Type: ${type}`)} ${quoted(new URL(`t/${this.console.path(topic)}${retain ? "?retain" : ""}`, this.console.base).href)}`,
      brokerctl: `${source} | brokerctl pub${isBytes ? " --binary" : ""}${retain ? " --retain" : ""}${option("--type", type)} -- ${quoted(topic)} -`,
      JS: `await broker.publish(${JSON.stringify(topic)}, ${written}, ${JSON.stringify({ retain, type })});`,
    }[as];
    const done = (word) => {
      from.textContent = word;
      setTimeout(() => (from.textContent = `Copy ${as}`), 1500);
    };
    // Pages that were loaded over plain HTTP may not use the clipboard.
    if (navigator.clipboard) navigator.clipboard.writeText(text).then(() => done("Copied"), () => done("Not allowed"));
    else ask(`As ${as}`, [element("textarea", { rows: 4, readOnly: true, value: text, ariaLabel: as })], "Close");
  }

  // Publishing

  async #publish(form) {
    const topic = form.topic.value, retain = form.retain.checked, ttl = Number(form.ttl.value) || undefined;
    const file = form.file.files[0], format = form.format.value;
    if (format === "text" && !file) return this.console.publish(topic, form.data.value, { retain, ttl });
    let body = file, type = file?.type || "application/octet-stream";
    if (!file) {
      try {
        if (format === "JSON") [type, body] = ["application/json", (JSON.parse(form.data.value), form.data.value)];
        else body = Uint8Array.from(atob(form.data.value), (letter) => letter.charCodeAt());
      } catch (error) {
        return this.console.say(`not ${format}: ${error.message}`, true);
      }
    }
    const query = new URLSearchParams({ ...(retain && { retain: true }), ...(ttl && { ttl }) });
    const answer = await this.console.fetch(`t/${this.console.path(topic)}?${query}`, { method: "POST", body, headers: { "Content-Type": type } });
    if (!answer?.ok) return this.console.refused(answer);
    form.file.value = "";
    this.console.say(`published ${topic}, seq ${(await answer.json()).seq}`);
  }
}
