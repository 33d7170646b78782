#!/usr/bin/env python3
"""Makes Vectors/edges.json: numbers that were chosen so that an implementation goes wrong, and keys that must not be taken.

The kinds of cases are those of Project Wycheproof's sets for ECDSA, Ed25519 and HMAC: numbers at the ends of their range, with
leading zeros, that are not reduced, of the wrong length or cut off; sums of points that are infinity or double one; digests
and keys with zeros; keys that are off their curve, of another one, of small order or in another encoding. The values are our
own. Each run makes the same file. Needs python3-cryptography.
"""

import base64
import hashlib
import hmac
import json
import random
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

MESSAGE = b"eyJhbGciOiJ9.e30"
chance = random.Random(14)


def text(value, size=None):
    if isinstance(value, int):
        value = value.to_bytes(size or (value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


class Curve:
    """y² = x³ − 3x + b modulo p, with a generator of order n; points are pairs, and infinity is None."""

    def __init__(self, name, algorithm, digest, p, b, n, generator):
        self.name, self.algorithm, self.digest, self.p, self.b, self.n, self.generator = name, algorithm, digest, p, b, n, generator
        self.size = (p.bit_length() + 7) // 8

    def add(self, one, other):
        if one is None or other is None:
            return one or other
        if one[0] == other[0]:
            if (one[1] + other[1]) % self.p == 0:
                return None
            slope = (3 * one[0] ** 2 - 3) * pow(2 * one[1], -1, self.p)
        else:
            slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, self.p)
        x = (slope ** 2 - one[0] - other[0]) % self.p
        return x, (slope * (one[0] - x) - one[1]) % self.p

    def times(self, factor, point=None):
        point, total = point or self.generator, None
        for bit in bin(factor % self.n)[2:]:
            total = self.add(total, total)
            if bit == "1":
                total = self.add(total, point)
        return total

    def at(self, x):
        """A point with this x, or None."""
        square = (x ** 3 - 3 * x + self.b) % self.p
        y = pow(square, (self.p + 1) // 4, self.p)
        return (x, y) if y * y % self.p == square else None

    def hash(self, message):
        return int.from_bytes(self.digest(message).digest(), "big")

    def key(self, point):
        return {"kty": "EC", "crv": self.name, "x": text(point[0], self.size), "y": text(point[1], self.size)}

    def pair(self, r, s):
        return r.to_bytes(self.size, "big") + s.to_bytes(self.size, "big")

    def sign(self, secret, message=MESSAGE, nonce=None):
        nonce = nonce or chance.randrange(1, self.n)
        r = self.times(nonce)[0] % self.n
        return r, pow(nonce, -1, self.n) * (self.hash(message) + r * secret) % self.n

    def key_for(self, r, s, point):
        """The key by which r and s are right, if `point` is what a check has to find."""
        inverse = pow(r, -1, self.n)
        back = self.times(-self.hash(MESSAGE) * inverse)
        return self.key(self.add(self.times(s * inverse, point), back))


P256 = Curve(
    "P-256", "ES256", hashlib.sha256, 0xffffffff00000001000000000000000000000000ffffffffffffffffffffffff,
    0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b,
    0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
    (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
     0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5))
P384 = Curve(
    "P-384", "ES384", hashlib.sha384,
    2 ** 384 - 2 ** 128 - 2 ** 96 + 2 ** 32 - 1,
    int("b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef", 16),
    int("ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973", 16),
    (int("aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7", 16),
     int("3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f", 16)))


def case(name, algorithm, key, signature, is_good=False, message=MESSAGE):
    return {"key": key, "message": message.decode(), "name": name, "algorithm": algorithm, "signature": text(signature), "isGood": is_good}


def chosen(curve):
    """Both numbers are chosen, and then the key for which they are right."""
    n, p = curve.n, curve.p
    small = next(x for x in range(1, 100) if curve.at(x))
    # Between n and p: a check has to reduce it before it compares.
    above = next(x for x in range(n + 1, p) if curve.at(x))
    usual = curve.times(chance.randrange(1, n))
    for label, s in [("1", 1), ("2", 2), ("n - 1", n - 1), ("n - 2", n - 2), ("half of n", n // 2), ("half of n, and 1", n // 2 + 1),
                     ("a power of 2", 2 ** (8 * curve.size - 1)), ("its inverse is 2", pow(2, -1, n)), ("its inverse is 3", pow(3, -1, n)),
                     ("of half the bits", 2 ** (4 * curve.size) - 1)]:
        for words, point in [("r is small", curve.at(small)), ("r is any", usual), ("r had to be reduced", curve.at(above))]:
            r = point[0] % n
            yield case(f"{words}, s is {label}", curve.algorithm, curve.key_for(r, s, point), curve.pair(r, s), True)
            if words == "r had to be reduced":
                yield case(f"r is not reduced, s is {label}", curve.algorithm, curve.key_for(r, s, point), curve.pair(point[0], s))
            elif words == "r is small" and r + n < 2 ** (8 * curve.size):
                yield case(f"r is small, and n more, s is {label}", curve.algorithm, curve.key_for(r, s, point), curve.pair(r + n, s))
    r = usual[0] % n
    yield case("r and s are the same", curve.algorithm, curve.key_for(r, r, usual), curve.pair(r, r), True)
    z = curve.hash(MESSAGE)
    # The two points that are added are the same.
    half = chance.randrange(1, n)
    double = curve.times(2 * half)
    r, s = double[0] % n, z * pow(half, -1, n) % n
    yield case("a point is doubled", curve.algorithm, curve.key_for(r, s, double), curve.pair(r, s), True)
    # Their sum is infinity, whatever r and s are.
    for words, r, s in [("", chance.randrange(1, n), chance.randrange(1, n)), (", r and s are 1", 1, 1), (", r is n - 1", n - 1, 7)]:
        key = curve.key(curve.times(-z * pow(r, -1, n)))
        yield case(f"the sum is infinity{words}", curve.algorithm, key, curve.pair(r, s))
    for words, secret in [("1", 1), ("2", 2), ("n - 1", n - 1), ("n - 2", n - 2), ("half of n", n // 2)]:
        key, (r, s) = curve.key(curve.times(secret)), curve.sign(secret)
        yield case(f"the private key is {words}", curve.algorithm, key, curve.pair(r, s), True)
        yield case(f"the private key is {words}, s is another", curve.algorithm, key, curve.pair(r, s % (n - 1) + 1))


def zeros(curve):
    """Zeros at the begin of numbers, digests and coordinates."""
    secret, size = chance.randrange(1, curve.n), curve.size
    key = curve.key(curve.times(secret))
    for index, name in enumerate(["r", "s"]):
        while True:
            found = curve.sign(secret)
            if found[index] >> (8 * (size - 1)) == 0:
                break
        r, s = (number.to_bytes(size, "big") for number in found)
        yield case(f"{name} begins with a zero", curve.algorithm, key, r + s, True)
        yield case(f"{name} begins with a zero, which is left out", curve.algorithm, key, (r[1:] if index == 0 else r) + (s if index == 0 else s[1:]))
        yield case(f"{name} begins with a zero, which is at its end", curve.algorithm, key,
                   (r[1:] + b"\0" if index == 0 else r) + (s if index == 0 else s[1:] + b"\0"))
    for words, fits in [("begins with zeros", lambda one: one[:2] == b"\0\0"), ("ends in zeros", lambda one: one[-2:] == b"\0\0"),
                        ("begins with ones", lambda one: one[:2] == b"\xff\xff"), ("ends in ones", lambda one: one[-2:] == b"\xff\xff")]:
        message = next(one for one in (b"e30.%d" % number for number in range(10 ** 7)) if fits(curve.digest(one).digest()))
        r, s = curve.sign(secret, message)
        yield case(f"the digest {words}", curve.algorithm, key, curve.pair(r, s), True, message)
        yield case(f"the digest {words}, s is another", curve.algorithm, key, curve.pair(r, s ^ 1), False, message)
    wanted, number, point = {"x": 0, "y": 1}, 1, curve.generator
    while wanted:
        number, point = number + 1, curve.add(point, curve.generator)
        for name, index in list(wanted.items()):
            if point[index] >> (8 * (size - 1)) == 0:
                del wanted[name]
                r, s = curve.sign(number)
                yield case(f"{name} of the key begins with a zero", curve.algorithm, curve.key(point), curve.pair(r, s), True)
                yield {"name": f"{name} of the key, without its zero", "key": {**curve.key(point), name: text(point[index])}}


def modified(curve):
    n, p, size = curve.n, curve.p, curve.size
    secret = chance.randrange(1, n)
    key, (r, s) = curve.key(curve.times(secret)), curve.sign(secret)
    most = 2 ** (8 * size)
    yield case("right", curve.algorithm, key, curve.pair(r, s), True)
    for name, index in [("r", 0), ("s", 1)]:
        number = (r, s)[index]
        for words, other in [
                ("and 1", number + 1), ("less 1", number - 1), ("less n", (number - n) % most), ("negative", n - number if index == 0 else -number % most),
                ("and n", (number + n) % most), ("by 2", number * 2 % most), ("squared", number * number % n), ("inverted", pow(number, -1, n)),
                ("n - 1", n - 1), ("n", n), ("n + 1", n + 1), ("p", p), ("p - 1", p - 1), ("p + 1", p + 1), ("0", 0), ("1", 1), ("most", most - 1),
                ("without its first byte", number % (most >> 8)), ("without its last byte", number >> 8), ("complemented", most - 1 - number)]:
            yield case(f"{name} {words}", curve.algorithm, key, curve.pair(*((other, s) if index == 0 else (r, other))))
        for bit in (0, 7, 8, 4 * size, 8 * size - 1):
            other = number ^ 1 << bit
            yield case(f"{name}, bit {bit} is another", curve.algorithm, key, curve.pair(*((other, s) if index == 0 else (r, other))))
    whole = curve.pair(r, s)
    for length in (1, size - 1, size, size + 1, 2 * size - 2, 2 * size - 1):
        yield case(f"{length} bytes of it", curve.algorithm, key, whole[:length])
    for words, wrong in [("twice", whole * 2), ("with two zeros first", b"\0\0" + whole), ("with zeros to the width of the other curve",
                         whole.rjust(96, b"\0") if size == 32 else whole[-64:]), ("of 132 bytes, as by P-521", whole.rjust(132, b"\0"))]:
        yield case(words, curve.algorithm, key, wrong)
    other = "ES384" if curve.algorithm == "ES256" else "ES256"
    yield case(f"said to be {other}", other, key, whole)
    digest = hashlib.sha384 if curve.algorithm == "ES256" else hashlib.sha256
    foreign = Curve(curve.name, curve.algorithm, digest, p, curve.b, n, curve.generator)
    yield case("of another digest", curve.algorithm, key, curve.pair(*foreign.sign(secret)))


def points(curve, foreign):
    """Keys that are not to be taken."""
    x, y = curve.times(chance.randrange(1, curve.n))
    size, p = curve.size, curve.p
    twist = next(one for one in range(1, 100) if curve.at(one) is None)
    rows = [("infinity, as zeros", 0, 0), ("x is 0, y is 1", 0, 1), ("off the curve", x, y ^ 1), ("y of another point", x, (y + 1) % p),
            ("coordinates change places", y, x), ("x of the twist", twist, 1), ("x is p", p, y), ("y is p", x, p), ("all bits", 2 ** (8 * size) - 1, 2 ** (8 * size) - 1)]
    small = next(one for one in range(100) if curve.at(one))
    rows.append(("x is not reduced", small + p, curve.at(small)[1]))
    for words, one, other in rows:
        if max(one, other) < 2 ** (8 * size):
            yield {"name": words, "key": {"kty": "EC", "crv": curve.name, "x": text(one, size), "y": text(other, size)}}
    right = curve.key((x, y))
    for words, change in [
            ("x with a zero more", {"x": text(x, size + 1)}), ("y with a zero more", {"y": text(y, size + 1)}), ("x is cut off", {"x": text(x.to_bytes(size, "big")[:-1])}),
            ("y is cut off", {"y": text(y.to_bytes(size, "big")[1:])}), ("no x", {"x": ""}), ("no y", {"y": ""}), ("named as of the other curve", {"crv": foreign.name}),
            ("compressed", {"x": text(bytes([2 + y % 2]) + x.to_bytes(size, "big")), "y": ""}),
            ("a point as DER has it", {"x": text(b"\4" + x.to_bytes(size, "big") + y.to_bytes(size, "big")), "y": ""})]:
        yield {"name": words, "key": {**right, **change}}
    # secp256k1, whose coordinates are as long as those of P-256.
    yield {"name": "the generator of secp256k1", "key": {
        "kty": "EC", "crv": curve.name, "x": text(0x79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798, size),
        "y": text(0x483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8, size)}}


ED_PRIME, ED_ORDER = 2 ** 255 - 19, 2 ** 252 + 27742317777372353535851937790883648493
# The y of the points whose order is 8.
EIGHTH = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826


def edwards():
    def web_key(raw):
        return {"kty": "OKP", "crv": "Ed25519", "x": text(raw)}

    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    raw = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    key, signature = web_key(raw), private.sign(MESSAGE)
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    yield case("right", "EdDSA", key, signature, True)
    for message in (b"", b"x", b"e30." * 300):
        yield case(f"right, of {len(message)} bytes", "EdDSA", key, private.sign(message), True, message)
    for factor in (1, 2, 4, 8, 15):
        yield case(f"S and {factor} L", "EdDSA", key, r + (s + factor * ED_ORDER).to_bytes(32, "little"))
    for words, other in [("0", 0), ("1", 1), ("L - 1", ED_ORDER - 1), ("L", ED_ORDER), ("L + 1", ED_ORDER + 1), ("2^252", 2 ** 252), ("2^255", 2 ** 255),
                         ("all bits", 2 ** 256 - 1), ("negative", ED_ORDER - s), ("and 1", s + 1), ("with the highest bit", s | 2 ** 255)]:
        yield case(f"S is {words}", "EdDSA", key, r + other.to_bytes(32, "little"))
    for number in (0, 1, 100, 254, 255):
        other = (int.from_bytes(r, "little") ^ 1 << number).to_bytes(32, "little")
        yield case(f"R, bit {number} is another", "EdDSA", key, other + signature[32:])
    for length in (0, 1, 31, 32, 33, 62, 63):
        yield case(f"{length} bytes of it", "EdDSA", key, signature[:length])
    for words, wrong in [("a byte first", b"\0" + signature), ("twice", signature * 2), ("of 114 bytes, as by Ed448", signature.ljust(114, b"\0")),
                         ("in the other order of bytes", signature[:32][::-1] + signature[32:][::-1])]:
        yield case(words, "EdDSA", key, wrong)
    for algorithm in ("ES256", "RS256", "HS256"):
        yield case("said to be another", algorithm, key, signature)
    # Everybody can sign for the first of these; all of them have another form.
    for words, y, sign in [
            ("0", 0, 0), ("0, odd", 0, 1), ("1, the neutral one", 1, 0), ("-1", ED_PRIME - 1, 0), ("of order 8", EIGHTH, 0), ("of order 8, odd", EIGHTH, 1),
            ("of order 8, mirrored", ED_PRIME - EIGHTH, 0), ("of order 8, mirrored and odd", ED_PRIME - EIGHTH, 1), ("p", ED_PRIME, 0), ("p, odd", ED_PRIME, 1), ("p + 1", ED_PRIME + 1, 0),
            ("1, odd", 1, 1), ("-1, odd", ED_PRIME - 1, 1), ("p + 1, odd", ED_PRIME + 1, 1)]:
        yield {"name": f"small order: y is {words}", "key": web_key((y | sign << 255).to_bytes(32, "little"))}
    yield case("a key off the curve", "EdDSA", web_key((2).to_bytes(32, "little")), b"\1" + bytes(63))
    for words, bad in [("not reduced", (ED_PRIME + 3).to_bytes(32, "little")), ("all bits", b"\xff" * 32),
                       ("31 bytes", raw[:31]), ("33 bytes", raw + b"\0"), ("nothing", b"")]:
        yield {"name": words, "key": web_key(bad)}


def codes():
    for bits in (256, 384, 512):
        function = getattr(hashlib, f"sha{bits}")
        # Of the digest's size, of the block's, and beyond it, where the key is hashed.
        for length in (32, bits // 8, 64, 128, 129, 300):
            secret = chance.randbytes(length)
            key, algorithm = {"kty": "oct", "k": text(secret)}, f"HS{bits}"
            code = hmac.new(secret, MESSAGE, function).digest()
            yield case(f"{length} bytes, right", algorithm, key, code, True)
            for number in (0, 7, bits // 2, bits - 1):
                other = (int.from_bytes(code, "big") ^ 1 << number).to_bytes(len(code), "big")
                yield case(f"{length} bytes, bit {number} is another", algorithm, key, other)
            for words, wrong in [("cut off", code[:-1]), ("half", code[:len(code) // 2]), ("one byte", code[:1]), ("nothing", b""), ("a byte more", code + b"\0"),
                                 ("zeros", bytes(len(code))), ("inverted", bytes(255 - one for one in code)),
                                 ("of another secret", hmac.new(secret[::-1], MESSAGE, function).digest()), ("of the plain digest", function(secret + MESSAGE).digest())]:
                yield case(f"{length} bytes, {words}", algorithm, key, wrong)
    for length in (0, 1, 31):
        yield {"name": f"a secret of {length} bytes", "key": {"kty": "oct", "k": text(chance.randbytes(length))}}


def main():
    groups, refused, count = {}, [], 0
    for each in [*(one for curve, other in [(P256, P384), (P384, P256)] for make in (chosen, zeros, modified) for one in make(curve)),
                 *points(P256, P384), *points(P384, P256), *edwards(), *codes()]:
        count += 1
        if "message" not in each:
            refused.append(each)
            continue
        key, message = each.pop("key"), each.pop("message")
        groups.setdefault(json.dumps([key, message]), {"key": key, "message": message, "cases": []})["cases"].append(each)
    lines = []
    for group in groups.values():
        head = json.dumps({name: value for name, value in group.items() if name != "cases"})[:-1]
        lines.append(head + ', "cases": [\n  ' + ",\n  ".join(json.dumps(each) for each in group["cases"]) + "]}")
    folder = Path(__file__).resolve().parent / "Vectors"
    (folder / "edges.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    (folder / "refused.json").write_text("[\n" + ",\n".join(json.dumps(each) for each in refused) + "\n]\n")
    print(f"{count - len(refused)} signatures, {len(refused)} keys that are none")


if __name__ == "__main__":
    main()
