"""Files and sockets: what a broker creates, leaves alone, and refuses to trust."""

import grp
import os
import socket
import stat
import subprocess

import pytest

from broker_process import free_port
from certificates import Authority
from command_line import BROKERD, run_brokerd, run_control
from deadlines import wait_until
from raw_websocket import read_head


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def get(path, target="/health/live"):
    """The status of a GET over a socket in the file system."""
    with socket.socket(socket.AF_UNIX) as plain:
        plain.settimeout(60)
        plain.connect(str(path))
        plain.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        return read_head(plain)[0]


def watched(process):
    """The number of descriptors that each epoll of a process watches; a reactor has one epoll."""
    counts = {}
    for number in os.listdir(f"/proc/{process}/fd"):
        try:
            if os.readlink(f"/proc/{process}/fd/{number}") == "anon_inode:[eventpoll]":
                with open(f"/proc/{process}/fdinfo/{number}") as file:
                    counts[number] = sum(line.startswith("tfd:") for line in file)
        except FileNotFoundError:
            continue
    return counts


# Sockets in the file system


@pytest.mark.parametrize("setting", ["admin: {{ socket: {} }}", "listen: [{{ address: unix:{} }}]"])
@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_a_file_that_is_not_a_socket_is_kept(tmp_path, setting, arguments):
    victim, config = tmp_path / "notes.txt", tmp_path / "broker.yaml"
    victim.write_text("a year of notes\n")
    config.write_text(setting.format(victim))
    done = run_brokerd("--config", str(config), "--data-dir", str(tmp_path / "data"), *arguments, cwd=tmp_path)
    assert done.returncode == 1 and str(victim) in done.stdout and "not a socket" in done.stdout
    assert victim.read_text() == "a year of notes\n"


def test_the_socket_of_a_killed_broker_is_replaced(start_broker):
    broker = start_broker()
    broker.kill()
    assert stat.S_ISSOCK(os.lstat(broker.admin_socket).st_mode)
    broker.start()
    assert broker.control("status").returncode == 0


def test_stopping_removes_only_the_brokers_own_socket(start_broker):
    broker = start_broker()
    broker.admin_socket.unlink()
    broker.admin_socket.write_text("somebody's file")
    broker.stop()
    assert broker.admin_socket.read_text() == "somebody's file"


def test_a_unix_listener_has_its_mode_and_group(start_broker, tmp_path):
    path = tmp_path / "s.sock"
    own = grp.getgrgid(os.getgid()).gr_name
    start_broker(f'listen: [{{ address: "unix:{path}", mode: "0660", group: {own} }}]\n', configured_listen=True)
    assert mode(path) == 0o660 and os.lstat(path).st_gid == os.getgid()


def test_a_unix_listener_is_private_by_default(start_broker, tmp_path):
    path = tmp_path / "s.sock"
    start_broker(f'listen: [{{ address: "unix:{path}" }}]\n', configured_listen=True, wrapper=["sh", "-c", 'umask 0; exec "$@"', "sh"])
    assert mode(path) == 0o600


def test_a_missing_group_is_an_error(tmp_path):
    config = tmp_path / "broker.yaml"
    config.write_text(f'listen: [{{ address: "unix:{tmp_path}/s.sock", group: no-such-group }}]\n')
    for arguments in ([], ["--check"]):
        done = run_brokerd("--config", str(config), "--data-dir", str(tmp_path / "data"), *arguments, cwd=tmp_path)
        assert done.returncode == 1 and 'there is no group "no-such-group"' in done.stdout


def test_a_unix_listener_is_served_by_all_reactors_and_has_no_limit_by_address(start_broker, tmp_path):
    path = tmp_path / "s.sock"
    broker = start_broker(
        f"listen: [{{ address: unix:{path} }}]\nreactors: {{ count: 2, backend: epoll }}\n"
        "limits: { connections_per_address: 3 }\n", configured_listen=True)
    before = watched(broker.process.pid)
    open_ones = []

    def each_has_some():
        plain = socket.socket(socket.AF_UNIX)
        open_ones.append(plain)
        plain.settimeout(60)
        plain.connect(str(path))
        plain.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_head(plain)[0] == 200
        after = watched(broker.process.pid)
        return sorted(after[number] - before[number] for number in after)[-2] >= 4

    try:
        wait_until(each_has_some, "both reactors serve connections of the one path", 60)
        assert len(open_ones) >= 8
    finally:
        for plain in open_ones:
            plain.close()


# The data directory


def refusal(data, cwd):
    done = run_brokerd("--data-dir", str(data), "--listen", "127.0.0.1:0", cwd=cwd)
    assert done.returncode == 1
    return done.stdout


@pytest.mark.parametrize("bits", [0o777, 0o770, 0o1777, 0o702])
def test_a_data_directory_writable_by_others_is_refused(tmp_path, bits):
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(bits)
    assert "others may write to the data directory" in refusal(data, tmp_path)
    assert list(data.iterdir()) == []
    data.chmod(0o755)
    check = run_brokerd("--data-dir", str(data), "--check", cwd=tmp_path)
    assert check.returncode == 0


def test_a_data_directory_of_another_user_is_refused(tmp_path):
    if os.geteuid() == 0:
        data = tmp_path / "data"
        data.mkdir(mode=0o700)
        os.chown(data, 12345, -1)
    else:
        data = "/usr"
    assert "belongs to another user" in refusal(data, tmp_path)


def test_a_symbolic_link_as_lock_is_not_followed(tmp_path):
    data, victim = tmp_path / "data", tmp_path / "profile"
    data.mkdir(mode=0o700)
    victim.write_text("export IMPORTANT=1\n")
    (data / "lock").symlink_to(victim)
    assert "symbolic link" in refusal(data, tmp_path)
    assert victim.read_text() == "export IMPORTANT=1\n"


def test_a_pipe_as_lock_is_refused(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    os.mkfifo(data / "lock")
    assert "not a regular file" in refusal(data, tmp_path)


def test_an_empty_data_directory_name_is_refused(tmp_path):
    done = run_brokerd("--data-dir", "", cwd=tmp_path)
    assert done.returncode == 64 and "--data-dir" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["--check"]])
def test_a_data_directory_too_long_for_the_admin_socket_is_an_error(tmp_path, arguments):
    data = tmp_path / ("d" * 110)
    done = run_brokerd("--data-dir", str(data), "--listen", "127.0.0.1:0", *arguments, cwd=tmp_path)
    assert done.returncode == 1 and "107 bytes" in done.stdout
    config = tmp_path / "broker.yaml"
    config.write_text(f"data_dir: {data}\n")
    done = run_control("config", "check", str(config))
    assert done.returncode == 1 and b"broker.yaml:1:11: data_dir: expected a path of at most 96 bytes" in done.stderr
    config.write_text(f"data_dir: {data}\nadmin: {{ socket: {tmp_path}/a.sock }}\n")
    assert run_control("config", "check", str(config)).returncode == 0


# Output for people


def test_closed_standard_streams_do_not_corrupt_files(start_broker):
    """Before, the first line of the log overwrote the content of `lock`."""
    broker = start_broker()
    broker.stop()
    child = subprocess.Popen(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *broker.command()], cwd=broker.directory)
    try:
        wait_until(lambda: broker.control("status").returncode == 0, "the broker without outputs")
        assert (broker.data / "lock").read_text() == f"{child.pid}\n"
    finally:
        child.terminate()
        assert child.wait(20) == 0
    assert (broker.data / "lock").read_text() == f"{child.pid}\n"


@pytest.mark.parametrize("bits, warns", [(0o600, False), (0o640, True), (0o604, True)])
def test_a_key_file_readable_by_others_is_a_warning(start_broker, tmp_path, bits, warns):
    identity = Authority(tmp_path / "ca").sign("localhost")
    key = identity.key
    os.chown(key, 12345 if os.geteuid() == 0 else -1, -1)
    os.chmod(key, bits)
    config = (f"listen: [{{ address: 127.0.0.1:{free_port()}, "
              f"tls: {{ certificate: {identity.certificate}, key: {key} }} }}]\n")
    broker = start_broker(config, configured_listen=True)
    warnings = [line for line in broker.lines if "private key" in line]
    assert [str(key) in line and "warning" in line for line in warnings] == [True] * warns
    check = run_brokerd("--config", str(broker.config_file), "--check", cwd=tmp_path)
    assert check.returncode == 0 and ("private key" in check.stdout) == warns


# Addresses


@pytest.mark.parametrize("listen", ["localhost:{}", ":{}", "127.0.0.1:{}"])
def test_short_forms_of_the_loopback_address(start_broker, listen):
    port = free_port()
    broker = start_broker(arguments=["--listen", listen.format(port)], configured_listen=True, port=port)
    assert f"http://127.0.0.1:{port}" in broker.listening_line
    assert broker.http("GET", "/health/live").status == 200


def reaches(family, address, port):
    with socket.socket(family) as plain:
        plain.settimeout(60)
        try:
            plain.connect((address, port))
        except ConnectionRefusedError:
            return False
    return True


@pytest.mark.parametrize("option, four", [("", True), (", ipv6_only: true", False)])
def test_the_unspecified_address_serves_both_families(start_broker, option, four):
    port = free_port()
    start_broker(
        f'listen: [{{ address: "[::]:{port}"{option} }}]\naccess: {{ anonymous_anywhere: true }}\n',
        configured_listen=True)
    assert reaches(socket.AF_INET6, "::1", port)
    assert reaches(socket.AF_INET, "127.0.0.1", port) == four


def test_each_family_can_have_its_own_listener(start_broker):
    """As nginx users write it: the IPv4 listener has the port to itself."""
    port = free_port()
    start_broker(
        f'listen: [{{ address: "[::]:{port}" }}, {{ address: "0.0.0.0:{port}", path_prefix: /four }}]\n'
        "access: { anonymous_anywhere: true }\n", configured_listen=True)
    with socket.create_connection(("127.0.0.1", port), 10) as plain:
        plain.sendall(b"GET /four/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_head(plain)[0] == 200
