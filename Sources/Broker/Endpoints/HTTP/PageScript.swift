extension Page {
    /// What the page does.
    static let script = """
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

        """
}
