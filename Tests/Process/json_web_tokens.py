"""Keys that sign JSON Web Tokens, for brokerctl, for PyJWT and as a key set."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

ALGORITHMS = {
    "HS256": "oct", "HS384": "oct", "HS512": "oct", "RS256": "RSA", "RS384": "RSA", "RS512": "RSA", "PS256": "RSA", "PS384": "RSA",
    "PS512": "RSA", "ES256": "P-256", "ES384": "P-384", "EdDSA": "Ed25519"}


def encoded(number, size):
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).decode().rstrip("=")


class Keys:
    """A key of each kind, as PyJWT takes it and as files for brokerctl."""

    def __init__(self, folder):
        self.secret = bytes(range(64))
        self.private = {
            "RSA": rsa.generate_private_key(65537, 2048), "P-256": ec.generate_private_key(ec.SECP256R1()),
            "P-384": ec.generate_private_key(ec.SECP384R1()), "Ed25519": ed25519.Ed25519PrivateKey.generate()}
        self.files = {}
        for kind, key in self.private.items():
            self.files[kind] = self.write(
                folder / f"{kind}.pem", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.files["oct"] = self.write(folder / "secret", self.secret)
        self.set = self.write(folder / "jwks.json", json.dumps({"keys": list(self.public_set())}).encode())

    @staticmethod
    def write(path, data):
        path.write_bytes(data)
        path.chmod(0o600)
        return str(path)

    def public_set(self):
        numbers = self.private["RSA"].public_key().public_numbers()
        yield {"kid": "RSA", "kty": "RSA", "n": encoded(numbers.n, 256), "e": encoded(numbers.e, 3), "use": "sig"}
        for name, size in [("P-256", 32), ("P-384", 48)]:
            point = self.private[name].public_key().public_numbers()
            yield {"kid": name, "kty": "EC", "crv": name, "x": encoded(point.x, size), "y": encoded(point.y, size)}
        raw = self.private["Ed25519"].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        yield {"kid": "Ed25519", "kty": "OKP", "crv": "Ed25519", "x": base64.urlsafe_b64encode(raw).decode().rstrip("=")}

    def signing(self, algorithm):
        kind = ALGORITHMS[algorithm]
        return self.secret if kind == "oct" else self.private[kind]

    def verifying(self, algorithm):
        kind = ALGORITHMS[algorithm]
        return self.secret if kind == "oct" else self.private[kind].public_key()


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    return Keys(tmp_path_factory.mktemp("keys"))
