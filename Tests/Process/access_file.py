"""The file of users and tokens, as a test writes it, with Python's own scrypt and SHA-256."""

import base64
import hashlib
import json
import os
import secrets
import string
import time

ALPHABET = string.digits + string.ascii_letters


def password_hash(password, logarithm=10):
    """A PHC string; cheap, because most tests are not about the cost."""
    salt = os.urandom(16)
    made = hashlib.scrypt(password.encode(), salt=salt, n=1 << logarithm, r=8, p=1, maxmem=256 << 20, dklen=32)
    texts = [base64.b64encode(part).decode().rstrip("=") for part in (salt, made)]
    return f"$scrypt$ln={logarithm},r=8,p=1${texts[0]}${texts[1]}"


class AccessFile:
    """Entries, and the file that they are written to, as the broker's own tools would write it."""

    def __init__(self, path):
        self.path = path
        self.entries = []

    def user(self, name, password=None, roles=(), **members):
        entry = {"user": name, "roles": list(roles), **members}
        if password is not None:
            entry["password"] = password_hash(password)
        self.entries.append(entry)
        return entry

    def token(self, user, lifetime=None, **members):
        """Adds a token, and returns it with its entry."""
        identifier, secret = (("".join(secrets.choice(ALPHABET) for _ in range(count))) for count in (8, 43))
        digest = base64.b64encode(hashlib.sha256(secret.encode()).digest()).decode()
        entry = {"token": identifier, "sha256": digest, "user": user, "created": int(time.time()), **members}
        if lifetime is not None:
            entry["expires"] = int(time.time()) + lifetime
        self.entries.append(entry)
        return f"bk_{identifier}_{secret}", entry

    def write(self):
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.path.with_suffix(".test")
        with open(new, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.writelines(json.dumps(entry) + "\n" for entry in self.entries)
        os.replace(new, self.path)
