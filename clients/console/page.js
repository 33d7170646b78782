// The console has the rights of its user. It reads and publishes over /ws, and administers over /admin.
import { connect } from "./client.js";
import { pages } from "./page-admin.js";
import { Topics } from "./page-topics.js";
import { $, ask, clean, element, fact } from "./page-kit.js";

const base = new URL(".", location.href);

const console_ = {
  base,
  // How far this machine's clock is behind the broker's, in milliseconds.
  skew: 0,
  say(text, isTrouble = false) {
    $("waiting").textContent = clean(text);
    $("waiting").className = isTrouble ? "trouble" : "";
  },
  /** A topic or a filter in a path. */
  path: (topic) => topic.split("/").map(encodeURIComponent).join("/"),
  parse(line) {
    const object = JSON.parse(line);
    // Numbers with more digits than JavaScript has are shown as they were written.
    if (typeof object.data !== "string") object.line = line;
    return object;
  },
  decode(message) {
    if (message.encoding) message.data = Uint8Array.from(atob(message.data), (letter) => letter.charCodeAt());
    return message;
  },
  async fetch(path, options = {}) {
    if (token) options.headers = { ...options.headers, Authorization: `Bearer ${token}` };
    try {
      return await fetch(new URL(path, base), options);
    } catch (error) {
      this.say(`no answer: ${error.message}`, true);
    }
  },
  async refused(answer) {
    if (!answer) return;
    const { error } = await answer.json().catch(() => ({}));
    this.say(error ? `${error.code}: ${error.message}` : `refused: ${answer.status}`, true);
  },
  publish(topic, data, options) {
    count(1);
    const done = ({ seq }) => this.say(`published ${topic}, seq ${seq}`);
    broker.publish(topic, data, { ...options, key: true }).then(done, ({ code, message }) => this.say(`${code}: ${message}`, true))
      .finally(() => count(-1));
  },
  /** Sends the broker a request of an administrator. */
  admin: (verb, members) => admin(verb, members),
};

// Waiting messages

let waiting = 0;
function count(change) {
  waiting += change;
  if (broker.status !== "open" && waiting) console_.say(`${waiting} ${waiting === 1 ? "message waits" : "messages wait"} to be sent`);
}

function state(text, isTrouble) {
  $("state").textContent = clean(text);
  $("state").className = isTrouble ? "trouble" : "";
}

// The connection, as the logged-in user

let token = sessionStorage.getItem("token"), broker, subscription, filter = null;
const topics = new Topics(console_);

function start() {
  broker?.close();
  [subscription, filter] = [undefined, null];
  topics.clear();
  broker = connect({ parse: console_.parse, ...(token && { token }) });
  broker.addEventListener("status", ({ status, code, reason }) => {
    if (code === 4408) {
      broker.close();
      state("Log in to see topics.", true);
    } else if (status === "waiting") state(`not connected (${code}${reason && !reason.startsWith("retry=") ? `: ${reason}` : ""}), trying again`, true);
    if (status === "closed" && code !== 1000) state(`not connected (${code}: ${reason})`, true);
  });
  subscribe($("subscribe").filter.value);
}

// The old filter stays until the new one is accepted.
function subscribe(next) {
  const old = subscription;
  const one = broker.subscribe(next, (message) => {
    if (one !== subscription) return;
    if (!message.retained) console_.skew = Math.max(message.time - Date.now(), console_.skew || -Infinity);
    topics.take(message);
  }, {
    slow: "latest",
    onbegin() {
      if (one === subscription) return;
      old?.close();
      [subscription, filter] = [one, next];
      topics.clear();
    },
    onlive: () => state(`subscribed to ${next}`),
    onerror({ code, message }) {
      if (code === "closed") return;
      if (one === subscription) [subscription, filter] = [undefined, null];
      state(`${code}: ${message}${filter !== null ? `; still subscribed to ${filter}` : ""}`, true);
    },
  });
}
$("subscribe").onsubmit = (event) => {
  event.preventDefault();
  subscribe(event.target.filter.value);
};

// Logging in

async function identify() {
  const answer = await console_.fetch("session"), who = answer?.ok ? await answer.json() : {};
  const isKnown = who.kind && who.kind !== "anonymous";
  $("who").textContent = isKnown ? `${clean(who.user ?? who.kind)} · Log out` : "Log in";
  $("who").onclick = isKnown ? logOut : logIn;
}

async function logIn() {
  const field = (name, type, label, autocomplete) => element("label", { textContent: label }, element("input", { name, type, autocomplete }));
  const found = await ask("Log in", [
    field("user", "text", "Name ", "username"), field("password", "password", "Password ", "current-password"),
    field("token", "password", "or a token ", "off")], "Log in");
  if (!found) return;
  if (found.token) {
    token = found.token;
    // Gone with the tab.
    sessionStorage.setItem("token", token);
  } else {
    const body = JSON.stringify({ user: found.user, password: found.password });
    const answer = await console_.fetch("session", { method: "POST", body });
    if (!answer?.ok) return console_.refused(answer);
  }
  console_.say("");
  restart();
}

async function logOut() {
  if (token) {
    token = null;
    sessionStorage.removeItem("token");
  } else await console_.fetch("session", { method: "DELETE" });
  restart();
}

function restart() {
  administration?.close();
  start();
  identify();
  show();
}

// Administration: one socket, opened when a page needs it

let administration, asked = new Map(), last = 0;

function admin(verb, members) {
  if (!administration || administration.readyState > 1) {
    const socket = (administration = new WebSocket(new URL("admin", base).href.replace(/^http/, "ws"), ["broker.admin.v1.json"]));
    const waits = (asked = new Map());
    socket.onmessage = ({ data }) => {
      const answer = JSON.parse(data), entry = waits.get(answer.id);
      waits.delete(answer.id);
      if (answer.error) entry?.reject(answer.error);
      else entry?.resolve(answer);
    };
    socket.onclose = ({ code, reason }) => {
      for (const { reject } of waits.values()) reject({ code: "closed", message: reason || why(code) });
      waits.clear();
    };
  }
  const socket = administration, id = ++last;
  return new Promise((resolve, reject) => {
    asked.set(id, { resolve, reject });
    const send = () => socket.send(JSON.stringify({ id, verb, ...members }));
    if (socket.readyState === 1) send();
    else socket.addEventListener("open", send);
  });
}
const why = (code) => (code === 1006 ? "The connection failed, or this listener has no administration (`admin: true`)." : `The connection is closed: ${code}`);

// Pages

let page;
function show() {
  const name = location.hash.slice(2) || "topics", isTopics = name === "topics";
  page?.leave?.();
  page = undefined;
  $("topics").hidden = !isTopics;
  $("other").hidden = isTopics;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (isTopics) return;
  // An answer that arrives after its page has gone changes nothing visible.
  const place = element("div");
  $("other").replaceChildren(place);
  page = pages[name]?.(place, console_);
}
addEventListener("hashchange", show);

// The keyboard

const keys = [["/", "go to the filter"], ["p", "pause or continue"], ["e", "edit the value"], ["g t, g c, g s, g o, g a, g y", "go to a page"],
  ["arrows, Enter", "move in the tree, open and close"], ["?", "this help"]];
let isGoing = false;
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog").open || event.target.matches?.("input, textarea, select")) return;
  const going = isGoing && { t: "topics", c: "clients", s: "slow", o: "overview", a: "access", y: "try" }[event.key];
  isGoing = event.key === "g";
  if (going) location.hash = `/${going}`;
  else if (event.key === "/") $("subscribe").filter.focus();
  else if (event.key === "p") topics.pause();
  else if (event.key === "e") topics.edit();
  else if (event.key === "?") {
    ask("Keys", [element("dl", {}, ...keys.map(fact))], "Close");
  } else return;
  event.preventDefault();
});

start();
identify();
show();
