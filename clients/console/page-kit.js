// Functions that all pages of the console use.

/** An element; strings among the children become text, never markup. */
export function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children.flat().filter((child) => child || child === ""));
  return made;
}

export const $ = (id) => document.getElementById(id);

/** Foreign text, with invisible characters written out. */
export const clean = (text) =>
  text.replace(/(?![\n\t])[\p{Cc}\p{Cf}]/gu, (letter) => `\\u{${letter.codePointAt(0).toString(16)}}`);

/** Foreign text that does not change the direction of the text beside it. */
export const foreign = (text) => element("bdi", { textContent: clean(String(text)) });

/** A name and its value, for a list of them. */
export const fact = ([name, value]) => element("div", {}, element("dt", { textContent: name }), element("dd", {}, foreign(value)));

/** Replaces the content of a place, unless it has the keyboard's focus. */
export const refill = (place, ...made) => place.matches(":focus-within") || place.replaceChildren(...made);

export const button = (text, onclick, more) => element("button", { type: "button", textContent: text, onclick, ...more });

const units = ["B", "KiB", "MiB", "GiB", "TiB"];
export function bytes(count) {
  if (count === undefined) return "";
  let unit = 0;
  for (; count >= 1024 && unit < 4; unit++) count /= 1024;
  return `${unit && count < 100 ? count.toFixed(1) : Math.round(count)}\u00a0${units[unit]}`;
}

export function age(milliseconds) {
  const seconds = Math.max(0, milliseconds) / 1000;
  if (seconds < 120) return `${Math.floor(seconds)}\u00a0s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)}\u00a0min`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)}\u00a0h` : `${Math.floor(seconds / 86400)}\u00a0d`;
}

/** The text of the member "data" as the broker wrote it, so that numbers keep all digits. */
export function rawData(line) {
  let depth = 0, name = null, start = -1;
  for (let at = 0; at < line.length; at++) {
    const letter = line[at];
    if (letter === '"') {
      const first = at++;
      while (line[at] !== '"') at += line[at] === "\\" ? 2 : 1;
      if (depth === 1 && start < 0) name = line.slice(first + 1, at);
    } else if (letter === "{" || letter === "[") depth++;
    else if (depth === 1 && letter === ":" && start < 0 && name === "data") start = at + 1;
    else if (letter === "}" || letter === "]" || letter === ",") {
      if (depth === 1 && start >= 0) return line.slice(start, at);
      if (letter !== ",") depth--;
    }
  }
  return "";
}

export const base64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));

const hexOf = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

/** A payload as text. */
export function payload(message, most = Infinity) {
  const { data } = message;
  if (message.removed) return "";
  if (data instanceof Uint8Array) return `${hexOf(data.subarray(0, most / 3))}${data.length > most / 3 ? " …" : ""} (${data.length} bytes)`;
  const text = typeof data === "string" ? data : rawData(message.line);
  return text.length > most ? text.slice(0, most) + "…" : text;
}

/** JSON with line ends and indentation, its numbers and strings as they were written. */
export function pretty(text) {
  let made = "", depth = 0;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (letter === '"') {
      const first = at++;
      while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
      made += text.slice(first, at + 1);
    } else if (/\s/.test(letter)) continue;
    else if ("{[".includes(letter)) {
      const end = /^\s*[}\]]/.exec(text.slice(at + 1, at + 20));
      if (end) [made, at] = [made + letter + end[0].trim(), at + end[0].length];
      else made += letter + "\n" + "  ".repeat(++depth);
    } else if ("}]".includes(letter)) made += "\n" + "  ".repeat(Math.max(0, --depth)) + letter;
    else made += letter === "," ? ",\n" + "  ".repeat(depth) : letter === ":" ? ": " : letter;
  }
  return made;
}

/** The payload's bytes, sixteen a line. */
export function dump(message) {
  const data = message.data instanceof Uint8Array ? message.data : new TextEncoder().encode(payload(message));
  const lines = [];
  for (let at = 0; at < Math.min(data.length, 4096); at += 16) {
    const part = data.subarray(at, at + 16);
    const letters = Array.from(part, (byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hexOf(part).padEnd(48)} ${letters}`);
  }
  return lines.join("\n");
}

/** Two texts line by line: equal lines, and those that only one has. */
export function difference(before, after) {
  const [a, b] = [before.split("\n").slice(0, 300), after.split("\n").slice(0, 300)];
  const length = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i][j] = a[i] === b[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
    }
  }
  const made = element("pre", { className: "difference" });
  const line = (mark, text) => made.append(element(mark === "-" ? "del" : mark === "+" ? "ins" : "span", { textContent: `${mark} ${clean(text)}\n` }));
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) line(" ", a[i++], j++);
    else if (j >= b.length || (i < a.length && length[i + 1][j] >= length[i][j + 1])) line("-", a[i++]);
    else line("+", b[j++]);
  }
  return made;
}

/** A line of numbers. */
export function plot(canvas, values) {
  const scale = devicePixelRatio || 1, { clientWidth: width, clientHeight: height } = canvas;
  [canvas.width, canvas.height] = [width * scale, height * scale];
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  const style = getComputedStyle(canvas);
  if (values.length < 2) return;
  let [least, most] = [Math.min(...values), Math.max(...values)];
  if (least === most) [least, most] = [Math.min(0, least), Math.max(0, most) || 1];
  const x = (at) => 2 + (at * (width - 4)) / (values.length - 1), y = (value) => height - 14 - ((value - least) * (height - 28)) / (most - least);
  pen.strokeStyle = style.getPropertyValue("--action");
  pen.lineWidth = 1.5;
  pen.beginPath();
  values.forEach((value, at) => pen.lineTo(x(at), y(value)));
  pen.stroke();
  pen.fillStyle = style.color;
  pen.font = "11px system-ui, sans-serif";
  pen.fillText(String(most), 2, 10);
  pen.fillText(String(least), 2, height - 2);
}

/** Asks in a dialog; the result is that of the submitted form, or undefined. */
export function ask(title, fields, action = "OK") {
  const dialog = $("dialog");
  const form = element("form", { method: "dialog" }, element("h2", { id: "title", textContent: title }), ...fields,
    element("p", { className: "actions" }, action !== "Close" && button("Cancel", () => dialog.close()), element("button", { value: "yes", textContent: action })));
  dialog.replaceChildren(form);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    // The end of an earlier dialog is reported late, perhaps when this one is open.
    dialog.onclose = () => dialog.open || resolve(dialog.returnValue === "yes" ? Object.fromEntries(new FormData(form)) : undefined);
  });
}
