"""Debian's own nginx, HAProxy, Caddy and Apache, run with the snippets of docs/proxies.md."""

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

from broker_process import free_port
from deadlines import START_DEADLINE, wait_until

PAGE = Path(__file__).parents[2] / "docs" / "proxies.md"


def snippet(language):
    """The only block of the page in this language."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return found


def put(text, *replacements):
    """The snippet with the test's values; each placeholder must occur."""
    for old, new in replacements:
        assert old in text, f"{old!r} is not in the snippet"
        text = text.replace(old, new)
    return text


class Proxy:
    """One proxy's process, with its own folder; it forwards to `broker_port`."""

    program = ""
    name = ""

    def __init__(self, directory, broker_port):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True)
        self.broker_port = broker_port
        self.port = free_port()
        self.process = None

    def __enter__(self):
        assert shutil.which(self.program), f"{self.program} is not installed: run tools/install-dependencies.sh test"
        self.log = open(self.directory / "log", "wb")
        self.process = subprocess.Popen(
            self.command(), cwd=self.directory, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
            env={**os.environ, "HOME": str(self.directory), "XDG_DATA_HOME": str(self.directory)})
        try:
            wait_until(self.listens, f"{self.program} to listen", START_DEADLINE)
        except BaseException:
            self.__exit__()
            raise AssertionError((self.directory / "log").read_text()[-3000:]) from None
        return self

    def listens(self):
        assert self.process.poll() is None, f"{self.program} ended"
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def write(self, name, text):
        file = self.directory / name
        file.write_text(text)
        return str(file)

    @property
    def broker_address(self):
        return "127.0.0.1:8080", f"127.0.0.1:{self.broker_port}"


class Nginx(Proxy):
    program, name = "/usr/sbin/nginx", "nginx"

    def snippet(self):
        return put(snippet("nginx"), self.broker_address, ("listen 80;", f"listen 127.0.0.1:{self.port};"))

    def command(self):
        here = self.directory
        user = "user root;\n" if os.geteuid() == 0 else ""
        places = "".join(f"{kind}_temp_path {here}/{kind};\n" for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        config = self.write("nginx.conf", f"daemon off;\npid {here}/pid;\nerror_log stderr;\nworker_processes 1;\n{user}"
                            f"events {{ worker_connections 256; }}\nhttp {{\naccess_log off;\n{places}{self.snippet()}}}\n")
        return [self.program, "-p", str(here), "-c", config]


class NginxDefault(Nginx):
    """A typical snippet that does not follow the page: HTTP/1.0, and nginx's default for Host."""

    name = "nginx as it is"

    def snippet(self):
        return f"server {{ listen 127.0.0.1:{self.port}; location / {{ proxy_pass http://127.0.0.1:{self.broker_port}; }} }}\n"


class NginxTLS(Nginx):
    name = "nginx with HTTP/2"

    def __init__(self, directory, broker_port, certificate, key):
        super().__init__(directory, broker_port)
        self.files = [("/etc/ssl/broker.pem", str(certificate)), ("/etc/ssl/broker.key", str(key))]

    def snippet(self):
        return put(snippet("nginx-tls"), self.broker_address, ("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"), *self.files)


class HAProxy(Proxy):
    program, name = "/usr/sbin/haproxy", "HAProxy"

    def command(self):
        text = put(snippet("haproxy"), self.broker_address, ("bind :80", f"bind 127.0.0.1:{self.port}"))
        return [self.program, "-db", "-f", self.write("haproxy.cfg", text)]


class Caddy(Proxy):
    program, name = "/usr/bin/caddy", "Caddy"

    def command(self):
        text = put(snippet("caddy"), self.broker_address, ("broker.example.com {", f"http://broker.example.com:{self.port} {{\nbind 127.0.0.1"))
        config = self.write("Caddyfile", "{\nadmin off\nauto_https off\n}\n" + text)
        return [self.program, "run", "--config", config, "--adapter", "caddyfile"]


class Apache(Proxy):
    program, name = "/usr/sbin/apache2", "Apache"

    def command(self):
        here, modules = self.directory, "/usr/lib/apache2/modules"
        text = put(snippet("apache"), self.broker_address, ("<VirtualHost *:80>", f"<VirtualHost 127.0.0.1:{self.port}>"))
        loaded = "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in ["mpm_event", "authz_core", "proxy", "proxy_http"])
        user = "User www-data\nGroup www-data\n" if os.geteuid() == 0 else ""
        config = self.write("apache.conf", f"ServerRoot {here}\nDefaultRuntimeDir {here}\nPidFile {here}/pid\nMutex pthread\nErrorLog {here}/errors\n"
                            f"ServerName localhost\nListen 127.0.0.1:{self.port}\n{user}{loaded}{text}")
        return [self.program, "-DFOREGROUND", "-f", config]


ALL = [Nginx, HAProxy, Caddy, Apache]
