#!/usr/bin/env python3
"""Makes Vectors/signatures.json and keys.json with Python's cryptography: signatures at the edges of what each algorithm
allows, and keys of all kinds as PEM.

The keys are new each time. Run it after a case was added; needs python3-cryptography.
"""

import base64
import hashlib
import json
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, PublicFormat

MESSAGE = b"eyJhbGciOiJ9.e30"
CURVES = {
    "ES256": (ec.SECP256R1(), "P-256", 32, hashes.SHA256(), 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551),
    "ES384": (ec.SECP384R1(), "P-384", 48, hashes.SHA384(),
              int("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16)),
}
ED_ORDER = 2 ** 252 + 27742317777372353535851937790883648493
SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")


def text(number_or_bytes, size=None):
    value = number_or_bytes
    if isinstance(value, int):
        value = value.to_bytes(size or (value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def case(name, algorithm, key, signature, is_good=False, message=MESSAGE):
    return {"key": key, "message": message.decode(), "name": name, "algorithm": algorithm, "signature": text(signature), "isGood": is_good}


def points():
    for algorithm, (curve, name, size, function, order) in CURVES.items():
        private = ec.generate_private_key(curve)
        numbers = private.public_key().public_numbers()
        key = {"kty": "EC", "crv": name, "x": text(numbers.x, size), "y": text(numbers.y, size)}
        der = private.sign(MESSAGE, ec.ECDSA(function))
        r, s = decode_dss_signature(der)

        def pair(one, other, size=size):
            return one.to_bytes(size, "big") + other.to_bytes(size, "big")

        yield case("right", algorithm, key, pair(r, s), True)
        yield case("s mirrored, which ECDSA allows", algorithm, key, pair(r, order - s), True)
        yield case("another message", algorithm, key, pair(r, s), message=MESSAGE + b"x")
        yield case("no message", algorithm, key, pair(r, s), message=b"")
        yield case("as DER", algorithm, key, der)
        yield case("both 0", algorithm, key, bytes(2 * size))
        for label, one, other in [
                ("r is 0", 0, s), ("s is 0", r, 0), ("r is n", order, s), ("s is n", r, order), ("both n", order, order),
                ("r and s change places", s, r), ("both 1", 1, 1), ("s is n - 1", r, order - 1), ("r is n - 1", order - 1, s),
                ("all bits", 2 ** (8 * size) - 1, 2 ** (8 * size) - 1)]:
            yield case(label, algorithm, key, pair(one, other))
        yield case("r + n, the same modulo n", algorithm, key, pair((r + order) % 2 ** (8 * size), s))
        yield case("a byte short", algorithm, key, pair(r, s)[:-1])
        yield case("a byte more", algorithm, key, pair(r, s) + b"\0")
        yield case("a byte more, first", algorithm, key, b"\0" + pair(r, s))
        yield case("each a byte wider", algorithm, key, pair(r, s, size + 1))
        yield case("nothing", algorithm, key, b"")
        yield case("half of it", algorithm, key, pair(r, s)[:size])
        other = ec.generate_private_key(curve).public_key().public_numbers()
        yield case("another key", algorithm, {**key, "x": text(other.x, size), "y": text(other.y, size)}, pair(r, s))


def edwards():
    private = ed25519.Ed25519PrivateKey.generate()
    key = {"kty": "OKP", "crv": "Ed25519", "x": text(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))}
    signature = private.sign(MESSAGE)
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    yield case("right", "EdDSA", key, signature, True)
    yield case("right, of nothing", "EdDSA", key, private.sign(b""), True, message=b"")
    yield case("another message", "EdDSA", key, signature, message=MESSAGE + b"x")
    yield case("S + L, which is the same modulo L", "EdDSA", key, r + (s + ED_ORDER).to_bytes(32, "little"))
    yield case("S is 0", "EdDSA", key, r + bytes(32))
    yield case("S is L", "EdDSA", key, r + ED_ORDER.to_bytes(32, "little"))
    yield case("R is the identity, S is 0", "EdDSA", key, b"\1" + bytes(63))
    yield case("all 0", "EdDSA", key, bytes(64))
    yield case("all bits", "EdDSA", key, b"\xff" * 64)
    yield case("halves change places", "EdDSA", key, signature[32:] + r)
    for label, bad in [("a byte short", signature[:-1]), ("a byte more", signature + b"\0"), ("nothing", b""), ("half of it", r)]:
        yield case(label, "EdDSA", key, bad)


def powers(private, encoded):
    """RSA without any padding: what encodes a message, as a signature."""
    numbers = private.private_numbers()
    size = (private.key_size + 7) // 8
    return pow(int.from_bytes(encoded, "big"), numbers.d, numbers.public_numbers.n).to_bytes(size, "big")


def primes():
    for bits, exponent in [(2048, 65537), (2056, 3)]:
        private = rsa.generate_private_key(exponent, bits)
        numbers = private.public_key().public_numbers()
        size = bits // 8
        key = {"kty": "RSA", "n": text(numbers.n), "e": text(numbers.e)}
        functions = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
        label = f"RSA-{bits}, e = {exponent}: "
        for width, function in functions.items():
            pkcs = private.sign(MESSAGE, padding.PKCS1v15(), function)
            pss = private.sign(MESSAGE, padding.PSS(padding.MGF1(function), function.digest_size), function)
            yield case(label + "right", f"RS{width}", key, pkcs, True)
            yield case(label + "right", f"PS{width}", key, pss, True)
            yield case(label + "another message", f"RS{width}", key, pkcs, message=MESSAGE + b"x")
            yield case(label + "another message", f"PS{width}", key, pss, message=MESSAGE + b"x")
            yield case(label + "PKCS #1, taken for PSS", f"PS{width}", key, pkcs)
            yield case(label + "PSS, taken for PKCS #1", f"RS{width}", key, pss)
            yield case(label + "a shorter salt", f"PS{width}", key,
                       private.sign(MESSAGE, padding.PSS(padding.MGF1(function), function.digest_size - 1), function))
            yield case(label + "no salt", f"PS{width}", key,
                       private.sign(MESSAGE, padding.PSS(padding.MGF1(function), 0), function))
            yield case(label + "a longer salt", f"PS{width}", key,
                       private.sign(MESSAGE, padding.PSS(padding.MGF1(function), function.digest_size + 1), function))
            yield case(label + "MGF1 with SHA-1", f"PS{width}", key,
                       private.sign(MESSAGE, padding.PSS(padding.MGF1(hashes.SHA1()), function.digest_size), function))
        pkcs = private.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA256())
        yield case(label + "SHA-256, taken for SHA-384", "RS384", key, pkcs)
        yield case(label + "SHA-1", "RS256", key, private.sign(MESSAGE, padding.PKCS1v15(), hashes.SHA1()))
        digest = hashlib.sha256(MESSAGE).digest()
        tail = SHA256_INFO + digest
        full = b"\0\1" + b"\xff" * (size - 3 - len(tail)) + b"\0" + tail
        assert powers(private, full) == pkcs
        no_null = bytes.fromhex("302f300b06096086480165030402010420") + digest
        for words, encoded in [
                ("the digest alone", digest.rjust(size, b"\0")),
                ("padded with zeros", b"\0\1" + bytes(size - 3 - len(tail)) + b"\0" + tail),
                ("for encryption", b"\0\2" + b"\xff" * (size - 3 - len(tail)) + b"\0" + tail),
                ("little padding, and garbage after it", b"\0\1" + b"\xff" * 8 + b"\0" + tail + bytes(size - 11 - len(tail))),
                ("no padding", b"\0\1\0" + tail + bytes(size - 3 - len(tail))),
                ("no NULL for the algorithm", b"\0\1" + b"\xff" * (size - 3 - len(no_null)) + b"\0" + no_null),
                ("a byte after the digest", b"\0\1" + b"\xff" * (size - 4 - len(tail)) + b"\0" + tail + b"\0"),
                ("one bit of the padding", full[:9] + b"\xfe" + full[10:]), ("1", b"\1".rjust(size, b"\0"))]:
            yield case(label + words, "RS256", key, powers(private, encoded))
        number = int.from_bytes(pkcs, "big")
        if number + numbers.n < 2 ** bits:
            yield case(label + "plus the modulus", "RS256", key, (number + numbers.n).to_bytes(size, "big"))
        yield case(label + "negative", "RS256", key, (numbers.n - number).to_bytes(size, "big"))
        for words, bad in [
                ("a zero first", b"\0" + pkcs), ("a byte short", pkcs[:-1]), ("a byte more", pkcs + b"\0"), ("nothing", b""),
                ("all 0", bytes(size)), ("is 1", b"\1".rjust(size, b"\0")), ("the modulus", numbers.n.to_bytes(size, "big")),
                ("the modulus less 1", (numbers.n - 1).to_bytes(size, "big")), ("all bits", b"\xff" * size)]:
            yield case(label + words, "RS256", key, bad)
            yield case(label + words, "PS256", key, bad)


def keys():
    """Each with its kind, or with why it is not taken."""
    def public(private):
        return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def secret(private, form=PrivateFormat.PKCS8, encryption=NoEncryption()):
        return private.private_bytes(Encoding.PEM, form, encryption).decode()

    def certificate(private):
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "login")])
        begin = datetime(2026, 1, 1)
        builder = x509.CertificateBuilder(name, name, private.public_key(), 1, begin, begin + timedelta(days=1))
        return builder.sign(private, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    other = "a key of another kind than RSA, P-256, P-384 and Ed25519"
    curve, size = "a curve other than P-256 and P-384", "an RSA key has 2,048 to 8,192 bits"
    rsa_key, point = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
    wide, edwards_key = ec.generate_private_key(ec.SECP384R1()), ed25519.Ed25519PrivateKey.generate()
    for kind, private in [("rsa", rsa_key), ("p256", point), ("p384", wide), ("ed25519", edwards_key)]:
        yield {"name": kind, "kind": kind, "public": public(private), "private": secret(private)}
    yield {"name": "PKCS #1", "kind": "rsa", "public": public(rsa_key), "private": secret(rsa_key, PrivateFormat.TraditionalOpenSSL)}
    yield {"name": "SEC 1", "kind": "p256", "public": public(point),
           "private": "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
                      + secret(point, PrivateFormat.TraditionalOpenSSL)}
    yield {"name": "a certificate", "kind": "p256", "public": "words before it\n" + certificate(point), "private": secret(point)}
    for name, private, words in [
            ("RSA-1024", rsa.generate_private_key(65537, 1024), size), ("P-521", ec.generate_private_key(ec.SECP521R1()), curve),
            ("secp256k1", ec.generate_private_key(ec.SECP256K1()), curve), ("X25519", x25519.X25519PrivateKey.generate(), other),
            ("Ed448", ed448.Ed448PrivateKey.generate(), other)]:
        yield {"name": name, "words": words, "public": public(private)}
    yield {"name": "a certificate of RSA-1024", "words": size, "public": certificate(rsa.generate_private_key(65537, 1024))}
    private_words = "this is a private key: give the broker the public one (openssl pkey -pubout)"
    yield {"name": "private", "words": private_words, "public": secret(point)}
    yield {"name": "encrypted", "words": private_words,
           "public": secret(point, encryption=BestAvailableEncryption(b"secret"))}


def write(name, lines):
    joined = ",\n".join(lines)
    (Path(__file__).resolve().parent / f"Vectors/{name}.json").write_text(f"[\n{joined}\n]\n")


def main():
    groups = {}
    cases = [*points(), *edwards(), *primes()]
    for each in cases:
        key, message = each.pop("key"), each.pop("message")
        group = groups.setdefault(json.dumps([key, message]), {"key": key, "message": message, "cases": []})
        group["cases"].append(each)
    lines = []
    for group in groups.values():
        head = json.dumps({name: value for name, value in group.items() if name != "cases"})[:-1]
        lines.append(head + ', "cases": [\n  ' + ",\n  ".join(json.dumps(each) for each in group["cases"]) + "]}")
    write("signatures", lines)
    write("keys", [json.dumps(each) for each in keys()])
    print(f"{len(cases)} cases, {sum(each['isGood'] for each in cases)} of them good")


if __name__ == "__main__":
    main()
