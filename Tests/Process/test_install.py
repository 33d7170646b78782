"""What `make install` installs: programs that run on a machine without Swift."""

import os
import re
import subprocess

from command_line import REPOSITORY
from deadlines import START_DEADLINE


def make_install(root, *variables):
    return subprocess.run(
        ["make", "install", f"DESTDIR={root}", *variables], cwd=REPOSITORY, capture_output=True, text=True,
        timeout=START_DEADLINE)


def libraries(program):
    """The names of the shared libraries of a program, and of the missing ones."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True, timeout=START_DEADLINE).stdout
    names = {line.split()[0].split("/")[-1] for line in listed.splitlines()}
    return names, [line for line in listed.splitlines() if "not found" in line]


def test_the_installed_programs_need_no_toolchain(tmp_path):
    done = make_install(tmp_path)
    assert done.returncode == 0, done
    for name in ("brokerd", "brokerctl"):
        program = tmp_path / "usr/local/bin" / name
        names, missing = libraries(program)
        assert not missing
        # Debian's packages that deploy/brokerd.service names, and the C and C++ runtimes.
        assert names <= {
            "linux-vdso.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libc.so.6", "libm.so.6",
            "libgcc_s.so.1", "libstdc++.so.6", "libcrypto.so.3", "libssl.so.3", "liblmdb.so.0", "libyaml-0.so.2",
            "libz.so.1", "libdl.so.2", "libpthread.so.0"}, names
        # No folder of the machine that built it is searched, either.
        dynamic = subprocess.run(["readelf", "-d", program], capture_output=True, text=True, check=True).stdout
        assert not re.search(r"R(UN)?PATH.*/(?!\$ORIGIN)[^\]]*swift", dynamic), dynamic
        version = subprocess.run(
            [program, "--version"], env={}, capture_output=True, text=True, check=True, timeout=START_DEADLINE)
        assert version.stdout.startswith(name)


def test_the_unit_starts_the_installed_program_and_a_configuration_is_kept(tmp_path):
    assert make_install(tmp_path, "PREFIX=/opt/broker").returncode == 0
    unit = (tmp_path / "opt/broker/lib/systemd/system/brokerd.service").read_text()
    assert "ExecStart=/opt/broker/bin/brokerd --config /etc/broker/broker.yaml" in unit
    assert (tmp_path / "opt/broker/lib/systemd/system/brokerd.socket").exists()
    assert os.access(tmp_path / "opt/broker/bin/brokerd", os.X_OK)
    config = tmp_path / "etc/broker/broker.yaml"
    assert config.read_text() == (REPOSITORY / "deploy/broker.yaml").read_text()
    config.write_text("# mine\n")
    assert make_install(tmp_path).returncode == 0
    assert config.read_text() == "# mine\n"
