"""Certificates for one test run, made by the openssl command."""

import subprocess
from pathlib import Path


def _openssl(*arguments, cwd):
    subprocess.run(["openssl", *arguments], cwd=cwd, check=True, capture_output=True, timeout=60)


class Authority:
    """A certificate authority in a directory, and the certificates that it signs."""

    def __init__(self, directory, name="test authority"):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.file = self.directory / "ca.pem"
        self._serial = 1
        self._make_key("ca.key")
        _openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", f"/CN={name}", "-days", "2", "-out", "ca.pem",
                 "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign",
                 cwd=self.directory)

    def _make_key(self, name):
        _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", name,
                 cwd=self.directory)

    def sign(self, name, hosts="DNS:localhost,IP:127.0.0.1", days=2):
        """A certificate and its key, `NAME.pem` and `NAME.key`; with `days` -1 the certificate has expired."""
        self._serial += 1
        self._make_key(f"{name}.key")
        (self.directory / "extensions").write_text(f"subjectAltName={hosts}\nbasicConstraints=CA:FALSE\n")
        _openssl("req", "-new", "-key", f"{name}.key", "-subj", f"/CN={name}", "-out", f"{name}.csr",
                 cwd=self.directory)
        _openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", str(days),
                 "-set_serial", str(self._serial), "-extfile", "extensions", "-out", f"{name}.pem",
                 cwd=self.directory)
        return Identity(self.directory / f"{name}.pem", self.directory / f"{name}.key")


class Identity:
    def __init__(self, certificate, key):
        self.certificate = certificate
        self.key = key

    def copy_to(self, other):
        """Replaces the files of another identity, each atomically, as an ACME client does."""
        for mine, theirs in [(self.key, other.key), (self.certificate, other.certificate)]:
            fresh = theirs.with_suffix(theirs.suffix + ".new")
            fresh.write_bytes(mine.read_bytes())
            fresh.rename(theirs)
