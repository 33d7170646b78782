"""Answers to HTTP requests: whole answers and streams."""

import json


class Answer:
    """The answer to one HTTP request."""

    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error_code(self):
        error = self.json["error"]
        assert set(error) >= {"code", "message"} and error["message"], error
        return error["code"]

    def __repr__(self):
        return f"<{self.status} {dict(self.headers)} {self.body[:300]!r}>"


class Follower:
    """A streaming GET, read line by line."""

    def __init__(self, connection, response):
        self.connection, self.response = connection, response
        self.status, self.headers = response.status, response.headers
        self.retry = None

    def line(self):
        """The next line without its end; None when the stream has ended."""
        line = self.response.readline()
        return None if line == b"" else line.decode().rstrip("\r\n")

    def json(self):
        """The next JSON line that is not blank."""
        while (line := self.line()) is not None:
            if line:
                return json.loads(line)
        return None

    def event(self):
        """The next Server-Sent Event as a dictionary of its fields; comments are left out, and `retry` alone is kept apart."""
        fields = {}
        while (line := self.line()) is not None:
            if line == "":
                if list(fields) == ["retry"]:
                    self.retry = int(fields.pop("retry"))
                if fields:
                    return fields
            elif not line.startswith(":"):
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                fields[name] = f"{fields[name]}\n{value}" if name in fields else value
        return fields or None

    def close(self):
        self.response.close()
        self.connection.close()
