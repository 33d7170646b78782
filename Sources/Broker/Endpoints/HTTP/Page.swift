internal import WSTransport

/// The page at `/`: subscribe to a filter, publish to a topic, watch.
enum Page {
    static var response: OutgoingResponse {
        OutgoingResponse(
            status: 200,
            fields: [
                "Content-Type": "text/html; charset=utf-8",
                "Cache-Control": "no-cache",
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy":
                    "default-src 'none'; connect-src 'self' ws: wss:; script-src 'unsafe-inline'; style-src 'unsafe-inline'",
            ],
            body: Array(html.utf8))
    }

    private static let html = """
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Broker</title>
        <style>
        body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c2430 }
        h1 { font-size: 1.4rem }
        form { display: flex; gap: .5rem; margin: .75rem 0; flex-wrap: wrap }
        input, button { font: inherit; padding: .35rem .6rem; border: 1px solid #b7c0cc; border-radius: 6px }
        input[name=filter], input[name=topic] { flex: 1 1 14rem } input[name=data] { flex: 2 1 16rem }
        button { background: #1f5fd0; border-color: #1f5fd0; color: #fff; cursor: pointer }
        table { border-collapse: collapse; width: 100% } td, th { text-align: left; padding: .3rem .6rem; vertical-align: top }
        th { border-bottom: 2px solid #d6dce4 } td { border-bottom: 1px solid #edf0f4; word-break: break-word }
        td:first-child, th:first-child { width: 5rem; color: #66717f } .retained { color: #8a5a00 }
        #state { color: #66717f }
        </style>
        <h1>Broker</h1>
        <p id="state">connecting…</p>
        <form id="subscribe"><input name="filter" value="#" aria-label="filter"><button>Subscribe</button></form>
        <form id="publish"><input name="topic" value="sensors/1/temp" aria-label="topic">
        <input name="data" value="21.5" aria-label="message"><label><input type="checkbox" name="retain"> retain</label>
        <button>Publish</button></form>
        <table><thead><tr><th>seq</th><th>topic</th><th>message</th></tr></thead><tbody id="messages"></tbody></table>
        <script>
        const $ = (id) => document.getElementById(id);
        const base = location.pathname.replace(/[/]$/, "");
        let socket, filter = $("subscribe").filter.value;
        function say(text) { $("state").textContent = text; }
        function show(message) {
          const row = $("messages").insertRow(0);
          const shown = message.encoding ? message.encoding + ": " + message.data : message.data;
          const text = typeof shown === "string" ? shown : JSON.stringify(shown);
          for (const value of [message.seq, message.topic, text]) row.insertCell().textContent = value;
          if (message.retained) row.className = "retained";
          while ($("messages").rows.length > 200) $("messages").deleteRow(-1);
        }
        function connect() {
          socket = new WebSocket(location.origin.replace(/^http/, "ws") + base + "/ws", "broker.v1.json");
          socket.onopen = () => socket.send(JSON.stringify({ op: "subscribe", id: 1, filter }));
          socket.onmessage = (event) => {
            const message = JSON.parse(event.data);
            if (message.op === "message") show(message);
            else if (message.op === "live") say("subscribed to " + message.filter);
            else if (message.op === "error") say(message.code + ": " + message.message);
          };
          socket.onclose = (event) => {
            const retry = /^retry=(\\d+)$/.exec(event.reason);
            say("not connected (" + event.code + "), trying again");
            setTimeout(connect, retry ? Number(retry[1]) : 1000 + Math.random() * 2000);
          };
        }
        $("subscribe").onsubmit = (event) => {
          event.preventDefault();
          const next = event.target.filter.value;
          socket.send(JSON.stringify({ op: "subscribe", id: 2, filter: next }));
          if (next !== filter) socket.send(JSON.stringify({ op: "unsubscribe", filter }));
          filter = next;
        };
        $("publish").onsubmit = (event) => {
          event.preventDefault();
          const form = event.target;
          const command = { op: "publish", id: 3, topic: form.topic.value, data: form.data.value, retain: form.retain.checked };
          socket.send(JSON.stringify(command));
        };
        connect();
        </script>
        </html>

        """
}
