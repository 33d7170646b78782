// The pages of administration. They show and do what the broker allows this user, and report refusals.
import { age, ask, button, bytes, clean, element, fact, foreign, plot, refill } from "./page-kit.js";

const second = 1000, remembered = 900, listed = 200;

/** Calls a function now and each second while the page is visible; ends with the page. */
function everySecond(place, work) {
  let isOver = false, timer;
  const again = async () => {
    try {
      if (!document.hidden) await work();
    } catch ({ code, message }) {
      if (isOver) return;
      refusal(place, code, message);
    }
    if (!isOver) timer = setTimeout(again, second);
  };
  again();
  return { leave: () => ((isOver = true), clearTimeout(timer)) };
}

function refusal(place, code, message) {
  place.replaceChildren(element("h2", { textContent: "Not available" }), element("p", { className: "trouble" }, clean(message ?? String(code))),
    element("p", {}, "Administration needs a listener with ", element("code", { textContent: "admin: true" }),
      ", a user who has logged in by password, and a rule with ", element("code", { textContent: "admin: [read]" }), "."));
}

function table(columns, rows, more) {
  return element("div", { className: "wide", tabIndex: 0 }, element("table", more,
    element("thead", {}, element("tr", {}, ...columns.map(([title, name, sort]) =>
      element("th", { className: name === "number" ? "number" : "", scope: "col" }, sort ? button(title, sort) : title)))),
    element("tbody", {}, ...rows.map((cells) => element("tr", {}, ...cells.map((cell, at) =>
      element("td", { className: columns[at][1] === "number" ? "number" : "" }, cell instanceof Node ? cell : foreign(cell ?? ""))))))));
}

// Clients, and the slow ones

function clientPage(place, console_, { order, where, title }) {
  let sort = order, user = "", trace;
  const list = element("div"), details = element("section", { ariaLabel: "The chosen client" }), told = element("p", { role: "status", className: "faint" });
  const filter = element("input", { name: "user", placeholder: "user", ariaLabel: "user", oninput: () => (user = filter.value) });
  const body = element("div", {}, element("h2", { textContent: title }), element("form", { onsubmit: (event) => event.preventDefault() }, filter), told, list, details);
  const column = (text, name, kind = "number") => [text, kind, () => (sort = name)];
  const kick = async (client) => {
    const minutes = element("label", {}, "and ban for minutes: ", element("input", { name: "minutes", inputMode: "numeric" }));
    const found = await ask(`Disconnect ${client.id}?`, [element("label", {}, "Reason: ", element("input", { name: "reason", maxLength: 100 })), minutes], "Disconnect");
    if (!found) return;
    const duration = Number(found.minutes);
    if (found.minutes && !(duration > 0)) return console_.say(`Minutes: expected a number above 0, found ${found.minutes}`, true);
    // A banned client is told only that it is banned.
    const ban = duration > 0 && { ban: true, seconds: Math.round(duration * 60) };
    console_.admin("kick", { client: client.id, ...(found.reason && { [ban ? "note" : "reason"]: found.reason }), ...ban })
      .then(({ result }) => console_.say(`disconnected ${result.kicked}${result.banned ? `, banned ${result.banned.join(", ")}` : ""}`), ({ message }) => console_.say(message, true));
  };
  const choose = async (client) => {
    const [{ result }, events] = await Promise.all([console_.admin("client", { client: client.id }), recent(console_, { client: client.id })])
      .catch(({ message }) => (console_.say(message, true), [{}]));
    if (!result) return;
    const facts = Object.entries({ ...result, connectedAt: new Date(result.connectedAt).toLocaleString() }).filter(([name, value]) => name !== "filters" && value !== null);
    trace?.leave();
    const policy = element("select", { ariaLabel: "policy if slow" }, ...["close", "drop-oldest", "latest"].map((textContent) => element("option", { textContent })));
    policy.value = result.policy ?? "close";
    const change = () => console_.admin("client.policy", { client: client.id, slow: policy.value })
      .then(({ result }) => console_.say(`${policy.value}: ${result.changed} filters`), ({ message }) => console_.say(message, true));
    details.replaceChildren(element("h2", {}, foreign(result.id)), element("dl", {}, ...facts.map(fact)), element("p", { className: "actions" }, policy, button("Change policy", change)),
      element("p", {}, "Filters: ", foreign((result.filters ?? []).join(", ") || "none")),
      element("h2", { textContent: "Its messages, from now on" }), button("Trace", (event) => follow(client, event.target)),
      element("h2", { textContent: "Its connection" }), eventTable(events));
    details.scrollIntoView({ block: "nearest" });
  };
  // Each decision about its messages, live.
  const follow = (client, from) => {
    const number = Math.floor(Math.random() * 2 ** 32), lines = [], place = element("div", { textContent: "Nothing has happened yet." });
    from.replaceWith(place);
    trace = everySecond(place, async () => {
      const { result } = await console_.admin("trace", { number, client: client.id });
      lines.push(...result.lines);
      lines.splice(0, lines.length - listed);
      if (lines.length) refill(place, eventTable(lines));
    });
  };
  const run = everySecond(place, async () => {
    const { result, truncated } = await console_.admin("clients", { sort, limit: listed, ...(user && { user }), ...(where && { where }) });
    if (body.parentNode !== place) place.replaceChildren(body);
    told.textContent = `${result.length} clients${truncated || result.length === listed ? ", more not shown" : ""}, sorted by ${sort}`;
    const now = Date.now() + console_.skew;
    refill(list, table(
      [["id"], column("user", "user", ""), ["address"], ["protocol"], column("age", "age"), column("filters", "subscriptions"), column("in", "received"), column("out", "sent"),
        column("pending", "pending"), column("RTT", "rtt"), ["policy"], ["action"]],
      result.map((client) => [button(client.id, () => choose(client)), client.user, client.address, client.protocol, age(now - client.connectedAt), client.subscriptions,
        bytes(client.receivedBytes), bytes(client.sentBytes), bytes(client.pendingBytes), client.roundTripMilliseconds === null ? "" : `${client.roundTripMilliseconds.toFixed(1)} ms`,
        `${client.policy ?? ""}${client.behind ? " · behind" : ""}`, button("Kick", () => kick(client))])));
  });
  return { leave: () => (run.leave(), trace?.leave()) };
}

const eventTable = (events) => table([["time"], ["event"], ["what"]], events.slice(-50).reverse().map(({ time, event, ...rest }) =>
  [new Date(time).toLocaleTimeString(), event, Object.entries(rest).map(([name, value]) => `${name}=${value}`).join(" ")]));

/** Events of the last hour, the newest last. */
async function recent(console_, members) {
  const events = [], since = Date.now() - 3_600_000;
  for (let after, more = true; more && events.length < 5000; ) {
    const { result } = await console_.admin("events", { ...members, ...(after === undefined ? { since } : { after }) });
    events.push(...result.lines);
    [after, more] = [result.next, result.more];
  }
  return events;
}

const clients = (place, console_) => clientPage(place, console_, { order: "age", title: "Clients" });

function slow(place, console_) {
  const events = element("div"), readers = element("div");
  const both = element("div", {}, readers, element("h2", { textContent: "What happened" }), events);
  place.replaceChildren(both);
  const page = clientPage(readers, console_, { order: "pending", where: ["pending > 0"], title: "Slow readers" });
  const watch = everySecond(events, async () => {
    refill(events, eventTable(await recent(console_, { kinds: ["slow", "dead", "gap", "kicked"] })));
  });
  return { leave: () => (page.leave(), watch.leave()) };
}

// Overview: its data is forgotten with the page

const history = [];
let before;

function overview(place, console_) {
  const names = [["connections", "Connections"], ["in", "Messages in, a second"], ["out", "Messages out, a second"], ["commit", "Last commit, ms"],
    ["pending", "Unsent, MiB"], ["memory", "Memory, MiB"]];
  const charts = names.map(([name, title]) => [name, element("canvas", { role: "img" }), element("figcaption"), title]);
  const facts = element("dl"), level = element("select", { ariaLabel: "log level" }, ...["debug", "info", "warning", "error"].map((textContent) => element("option", { textContent })));
  level.value = "info";
  const act = (verb, members, question) => async () => {
    if (question && !(await ask(question, [], "Yes"))) return;
    console_.admin(verb, members?.()).then(({ result }) => console_.say(`${verb}: ${JSON.stringify(result)}`), ({ message }) => console_.say(message, true));
  };
  const body = element("div", {}, element("h2", { textContent: "Overview" }), facts,
    element("div", { className: "charts" }, ...charts.map(([, canvas, caption]) => element("figure", {}, caption, canvas))),
    element("p", { className: "actions" }, button("Reload", act("reload")), button("Drain", act("drain", undefined, "Shut the broker down, and tell its clients when to return?")),
      level, button("Log level for 10 min", act("log.level", () => ({ level: level.value, seconds: 600 })))));
  let waiting;
  console_.admin("config.show").then(({ result }) => (waiting = result.waiting.map(({ path }) => path).join(", ")), () => {});
  return everySecond(place, async () => {
    const { result } = await console_.admin("status", { clients: true }), now = performance.now();
    if (body.parentNode !== place) place.replaceChildren(body);
    const rate = (name) => (before ? Math.max(0, Math.round(((result[name] - before[name]) * 1000) / (now - before.at))) : 0);
    history.push({ connections: result.connections, in: rate("published"), out: rate("delivered"), commit: result.commit?.lastMilliseconds ?? 0,
      pending: (result.backlog?.pendingBytes ?? 0) / 1048576, memory: result.memoryBytes / 1048576 });
    if (history.length > remembered) history.shift();
    before = { ...result, at: now };
    for (const [name, canvas, caption, title] of charts) {
      const last = history.at(-1)[name];
      caption.textContent = `${title}: ${Number.isInteger(last) ? last : last.toFixed(2)}`;
      canvas.ariaLabel = caption.textContent;
      plot(canvas, history.map((one) => Math.round(one[name] * 100) / 100));
    }
    const { store, retained, history: kept } = result;
    const told = [["state", result.failure ?? "ready"], ["server", result.server], ["up", age(result.uptimeSeconds * 1000)], ["clients", result.clients],
      ["subscriptions", result.subscriptions], ["seq", result.seq], ["behind", result.backlog?.clientsBehind], ["store", store && `${bytes(store.usedBytes)} of ${bytes(store.maximumBytes)}`],
      ["retained", retained?.values], ["history", kept?.messages], ["disk free", bytes(result.diskFreeBytes)], ["commit p99", result.commit?.p99Milliseconds && `${result.commit.p99Milliseconds} ms`],
      ...(result.certificates ?? []).map(({ file, seconds }) => [file, `${Math.floor(seconds / 86400)} days left`]), ["listens on", result.listen?.join(", ")],
      ["need a restart", waiting]];
    facts.replaceChildren(...told.filter(([, value]) => value !== undefined && value !== "").map(fact));
  });
}

// Access

function access(place, console_) {
  const lines = element("div"), decision = element("p", { role: "status" }), users = element("div");
  const option = (textContent) => element("option", { textContent });
  const form = element("form", {}, element("input", { name: "user", placeholder: "user (none: anonymous)", ariaLabel: "user" }),
    element("select", { name: "action", ariaLabel: "action" }, ...["subscribe", "publish", "retain"].map(option)),
    element("input", { name: "topic", placeholder: "topic or filter", ariaLabel: "topic or filter" }), element("button", { textContent: "Explain" }));
  form.onsubmit = (event) => {
    event.preventDefault();
    const { user, action, topic } = Object.fromEntries(new FormData(form));
    console_.admin("acl.explain", { action, name: topic, ...(user && { user }) }).then(({ result }) => {
      decision.textContent = clean(result.allowed ? "allowed" : `denied${result.by ? ` by ${result.by}` : ""}: ${result.reason}`);
      lines.replaceChildren(table([["rule"], ["says"], ["for this client"], ["decides"]],
        result.lines.map(({ rule, template, deny, filters, matches }) => [rule, template && `${deny ? "deny" : "allow"} ${template}`, filters.join(", "), matches ? "✔" : ""])));
    }, ({ message }) => console_.say(message, true));
  };
  const mint = async () => {
    const field = (name, label) => element("label", { textContent: label }, element("input", { name }));
    const found = await ask("A token to try with", [field("user", "User: "), field("publish", "May publish (filters, absent: as the user): "), field("subscribe", "May subscribe: "), field("minutes", "Minutes: ")], "Mint");
    if (!found) return;
    const list = (text) => text.split(/[\s,]+/).filter(Boolean);
    console_.admin("token.mint", { user: found.user, publish: list(found.publish), subscribe: list(found.subscribe), seconds: (Number(found.minutes) || 60) * 60, note: "console" })
      .then(({ result }) => ask("The token, shown once", [element("textarea", { readOnly: true, rows: 3, value: result.token, ariaLabel: "token" })], "Close"), ({ message }) => console_.say(message, true));
  };
  const read = async () => {
    try {
      const [{ result: all }, { result: tokens }] = await Promise.all([console_.admin("users.list"), console_.admin("token.list")]);
      place.replaceChildren(element("h2", { textContent: "What may a client do?" }), form, decision, lines, element("h2", { textContent: "Users" }),
        table([["user"], ["roles"], ["password"], ["tokens", "number"], ["state"]], all.map((one) => [one.user, one.roles.join(", "), one.password, one.tokens, one.disabled ? "disabled" : ""])),
        element("h2", { textContent: "Tokens" }), element("p", {}, button("Mint a token", mint)),
        table([["id"], ["user"], ["publish"], ["subscribe"], ["expires"], ["note"]], tokens.map((one) => [one.id, one.user, one.publish?.join(", ") ?? "as the user", one.subscribe?.join(", ") ?? "as the user",
          one.expires ? new Date(one.expires * 1000).toLocaleString() : "never", one.note])));
    } catch ({ code, message }) {
      refusal(place, code, message);
    }
  };
  users.append(element("p", { textContent: "…" }));
  place.replaceChildren(users);
  read();
  return {};
}

// Try: the tour, with this broker's own addresses

function tour(place, console_) {
  const url = (path) => new URL(path, console_.base).href;
  const steps = [
    ["Publish", `curl -d 'hello' ${url("t/tour/hello")}`, ["POST", "t/tour/hello", "hello"]],
    ["Retain a value", `curl -X PUT -H 'Content-Type: application/json' -d '21.5' '${url("t/sensors/kitchen/temp?retain")}'`, ["PUT", "t/sensors/kitchen/temp?retain", "21.5", "application/json"]],
    ["Read it back", `curl -i ${url("t/sensors/kitchen/temp")}`, ["GET", "t/sensors/kitchen/temp"]],
    ["The current values of many topics", `curl '${url("s/sensors/%2B/temp?poll=1")}'`, ["GET", "s/sensors/%2B/temp?poll=1"]],
    ["Remove it", `curl -X DELETE ${url("t/sensors/kitchen/temp")}`, ["DELETE", "t/sensors/kitchen/temp"]],
    ["From a web page", `import { connect } from "${url("client.js")}";\nconst broker = connect();\nbroker.subscribe("tour/#", ({ topic, data }) => console.log(topic, data));\nbroker.publish("tour/hello", "hello from the page");`],
  ];
  place.replaceChildren(element("h2", { textContent: "Try it" }), element("p", {}, "Each command works in a terminal, and here. ", element("a", { href: "#/topics", textContent: "The topics" }), " show what it does."),
    ...steps.map(([title, command, request]) => {
      const answer = element("pre", { role: "status" });
      const run = async () => {
        const [method, path, body, type] = request;
        const found = await console_.fetch(path, { method, body, headers: type ? { "Content-Type": type } : {} });
        if (found) answer.textContent = clean(`${found.status} ${found.statusText}\n${await found.text()}`);
      };
      return element("section", {}, element("h2", { textContent: title }), element("pre", { textContent: command }), request ? button("Run", run) : "", answer);
    }));
  return {};
}
export const pages = { clients, slow, overview, access, try: tour };
