extension Page {
    /// The page's script.
    static let script = """
        const $ = (id) => document.getElementById(id);
        const base = location.pathname.replace(/[/]$/, "");
        const shownRows = 200, shownBytes = 1024, outboxLimit = 1000;
        // The filter that was last accepted, and the one that is requested.
        let socket, filter = null, wanted = $("subscribe").filter.value;
        let lastId = 0;
        // Unanswered commands by id: sent when there is a connection, and again after it was lost. One
        // that the broker had already received may then come twice, which is better than not at all.
        const outbox = new Map();

        function say(text, isTrouble) {
          $("state").textContent = text;
          $("state").className = isTrouble ? "trouble" : "";
        }
        function waiting() {
          const count = outbox.size;
          $("waiting").textContent = count ? count + (count === 1 ? " message waits" : " messages wait") + " to be sent" : "";
        }

        // The text of the member "data" as the broker wrote it, so that numbers keep all digits.
        function rawData(line) {
          let depth = 0, name = null, start = -1;
          for (let at = 0; at < line.length; at++) {
            const letter = line[at];
            if (letter === '"') {
              const first = at++;
              while (line[at] !== '"') at += line[at] === "\\\\" ? 2 : 1;
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
        function bytes(base64) {
          const raw = atob(base64);
          const shown = Array.from(raw.slice(0, shownBytes), (byte) => byte.charCodeAt(0).toString(16).padStart(2, "0"));
          return shown.join(" ") + (raw.length > shownBytes ? " … " : " ") + "(" + raw.length + " bytes)";
        }
        function payload(message, line) {
          if (message.encoding === "base64") return bytes(message.data);
          return typeof message.data === "string" ? message.data : rawData(line);
        }
        function show(message, line) {
          const row = $("messages").insertRow(0);
          for (const value of [message.seq, message.topic, payload(message, line)]) row.insertCell().textContent = value;
          if (message.encoding) row.classList.add("bytes");
          if (message.retained) row.classList.add("retained");
          while ($("messages").rows.length > shownRows) $("messages").deleteRow(-1);
        }

        function isOpen() { return socket && socket.readyState === WebSocket.OPEN; }
        function send(command) { socket.send(JSON.stringify(command)); }
        function subscribe(next) {
          wanted = next;
          if (isOpen()) send({ op: "subscribe", id: "filter " + next, filter: next });
        }
        // The old filter is removed only when the new one is accepted.
        function subscribed(next) {
          if (filter !== null && filter !== next) send({ op: "unsubscribe", filter });
          filter = next;
          say("subscribed to " + next);
        }
        function refused(message) {
          const next = String(message.id).startsWith("filter ") ? message.id.slice(7) : null;
          if (next !== null && next === wanted && filter !== null) wanted = filter;
          const rest = next !== null && filter !== null ? "; still subscribed to " + filter : "";
          say(message.code + ": " + message.message + rest, true);
        }
        function answered(message) {
          if (outbox.delete(message.id)) waiting();
          if (message.op === "error") refused(message);
          else if (String(message.id).startsWith("filter ")) subscribed(message.id.slice(7));
        }
        function connect() {
          socket = new WebSocket(location.origin.replace(/^http/, "ws") + base + "/ws", "broker.v1.json");
          socket.onopen = () => {
            subscribe(wanted);
            for (const command of outbox.values()) send(command);
          };
          socket.onmessage = (event) => {
            for (const line of event.data.split("\\n")) {
              if (!line.trim()) continue;
              const message = JSON.parse(line);
              if (message.op === "message") show(message, line);
              else if (message.op === "ok" || message.op === "error") answered(message);
              else if (message.op === "gap") say("messages of " + message.filter + " are missing", true);
            }
          };
          socket.onclose = (event) => {
            filter = null;
            const retry = /^retry=(\\d+)$/.exec(event.reason);
            say("not connected (" + event.code + (event.reason && !retry ? ": " + event.reason : "") + "), trying again", true);
            setTimeout(connect, retry ? Number(retry[1]) : 1000 + Math.random() * 2000);
          };
        }
        $("subscribe").onsubmit = (event) => {
          event.preventDefault();
          subscribe(event.target.filter.value);
        };
        $("publish").onsubmit = (event) => {
          event.preventDefault();
          if (outbox.size >= outboxLimit) return say("not accepted: " + outbox.size + " messages are waiting to be sent", true);
          const form = event.target;
          const command = {
            op: "publish", id: ++lastId, topic: form.topic.value, data: form.data.value, retain: form.retain.checked
          };
          outbox.set(command.id, command);
          waiting();
          if (isOpen()) send(command);
        };
        connect();

        """
}
