"""The package that `make deb` makes."""

import os
import subprocess

import pytest
from command_line import REPOSITORY
from deadlines import START_DEADLINE


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * START_DEADLINE, **options)
    assert done.returncode == 0, done
    return done.stdout


@pytest.fixture(scope="module")
def package():
    # Not compressed: that takes most of the time.
    made = run("make", "--no-print-directory", "deb", cwd=REPOSITORY, env=os.environ | {"DPKG_DEB_COMPRESSOR_LEVEL": "0"})
    return REPOSITORY / made.split()[-1]


def test_lintian_accepts_the_package(package):
    assert run("lintian", "--allow-root", "--fail-on", "error,warning", package) == ""


def test_the_installed_program_runs(package, tmp_path):
    run("dpkg-deb", "--extract", package, tmp_path)
    version = run(tmp_path / "usr/bin/brokerd", "--version").split()[1]
    assert run("dpkg-deb", "--field", package, "Version").strip() == f"{version}-1"
    unit = (tmp_path / "lib/systemd/system/brokerd.service").read_text()
    assert "ExecStart=/usr/bin/brokerd --config /etc/broker/broker.yaml" in unit
    user = (tmp_path / "usr/lib/sysusers.d/broker.conf").read_text()
    assert "\nu broker " in user and "\nUser=broker\n" in unit
    run(tmp_path / "usr/bin/brokerd", "--config", tmp_path / "etc/broker/broker.yaml", "--check", cwd=tmp_path,
        env={"BROKER_DATA_DIR": str(tmp_path / "data")})
    for file in (
            "man/man1/brokerctl.1.gz", "man/man8/brokerd.8.gz", "bash-completion/completions/brokerctl",
            "zsh/site-functions/_brokerctl", "fish/vendor_completions.d/brokerctl.fish", "doc/broker/copyright"):
        assert (tmp_path / "usr/share" / file).stat().st_size > 0


def test_a_changed_configuration_is_kept(package):
    assert run("dpkg-deb", "--info", package, "conffiles").split() == ["/etc/broker/broker.yaml"]


def test_the_manual_page_has_every_option_of_the_server():
    page = (REPOSITORY / "deploy/brokerd.8").read_text().replace("\\-", "-")
    options = {word.strip("[],.") for word in run(REPOSITORY / ".build/release/brokerd", "--help").split()
               if word.strip("[],.").startswith("--") and len(word) > 2}
    assert len(options) >= 7
    assert [option for option in options if option not in page] == []
