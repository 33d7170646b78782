"""uWebSockets, by way of PyPI's socketify: every message of a client goes to all others, or on /echo back. Usage: uwebsockets.py PORT"""
import sys

from socketify import App

app = App()
app.ws("/*", {
    "max_payload_length": 1 << 20,
    "max_backpressure": 1 << 20,
    "idle_timeout": 0,
    "open": lambda ws: ws.subscribe("bench"),
    "message": lambda ws, message, opcode: ws.publish("bench", message, opcode),
})
app.ws("/echo", {
    "max_payload_length": 1 << 20,
    "max_backpressure": 1 << 20,
    "idle_timeout": 0,
    "message": lambda ws, message, opcode: ws.send(message, opcode),
})
app.listen({"host": "127.0.0.1", "port": int(sys.argv[1])}, lambda config: None)
app.run()
