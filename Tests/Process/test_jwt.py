"""JSON Web Tokens: `brokerctl token` against PyJWT, in both directions, and with tokens that both must refuse."""

import base64
import hmac
import json
import os
import random
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from command_line import run_control
from json_web_tokens import ALGORITHMS, Keys, keys

COUNT = 1000


def random_claims(chance):
    """Valid claims, and others of all types."""
    now = int(time.time())
    claims = {"iss": "login", "aud": chance.choice(["broker", ["broker"], ["other", "broker"]]), "sub": chance.choice(
        ["alice", "bob", "a/b", "é", "\U0001F600", "x" * 100]), "exp": now + chance.randint(600, 80_000), "iat": now - chance.randint(0, 60)}
    for _ in range(chance.randint(0, 5)):
        claims[f"c{chance.randint(0, 99)}"] = chance.choice(
            [1, -1.5, True, None, "text", "\"\\\n\u0001", [], {}, ["a", 1], {"roles": ["r"]}, {"a": {"b": ["c"]}}])
    if chance.random() < 0.3:
        claims["nbf"] = now - chance.randint(0, 1000)
    if chance.random() < 0.3:
        claims["jti"] = str(chance.random())
    return claims


def check(keys, kind, tokens):
    """The verdict of brokerctl on each token: `valid USER` or `refused REASON`."""
    source = keys.files["oct"] if kind == "oct" else keys.set
    done = run_control(
        "token", "check", "--keys", source, "--iss", "login", "--aud", "broker", input="".join(f"{each}\n" for each in tokens).encode(),
        timeout=120)
    lines = done.stdout.decode().splitlines()
    assert len(lines) == len(tokens), done
    return lines


def groups(keys, chance):
    for kind in sorted(set(ALGORITHMS.values())):
        names = [name for name, of in ALGORITHMS.items() if of == kind]
        yield kind, names, COUNT // len(set(ALGORITHMS.values()))


def made(keys, names, count, chance, kind):
    for _ in range(count):
        name = chance.choice(names)
        claims = random_claims(chance)
        headers = {} if kind == "oct" else {"kid": kind}
        yield name, claims, jwt.encode(claims, keys.signing(name), algorithm=name, headers=headers)


def test_tokens_of_pyjwt_are_accepted(keys):
    chance = random.Random(1)
    for kind, names, count in groups(keys, chance):
        tokens = list(made(keys, names, count, chance, kind))
        # The user as it is shown: only emoji and letters are in these names.
        assert check(keys, kind, [token for _, _, token in tokens]) == [f"valid {claims['sub']}" for _, claims, _ in tokens]


def test_pyjwt_accepts_tokens_of_brokerctl(keys):
    chance = random.Random(2)
    for kind, names, count in groups(keys, chance):
        for name in names:
            claims = [random_claims(chance) for _ in range(count // len(names))]
            done = run_control(
                "token", "sign", "--key", keys.files[kind], "--alg", name, "--kid", kind, "--lines",
                input="".join(f"{json.dumps(each)}\n" for each in claims).encode(), timeout=120)
            tokens = done.stdout.decode().split()
            assert len(tokens) == len(claims), done
            for token, expected in zip(tokens, claims):
                assert jwt.decode(token, keys.verifying(name), algorithms=[name], audience="broker") == expected


def mutated(token, chance):
    """The token with one character changed, one left out, one more, or two parts in each other's place."""
    kind = chance.randrange(4)
    place = chance.randrange(len(token))
    if kind == 0:
        other = chance.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=")
        return token[:place] + other + token[place + 1:]
    if kind == 1:
        return token[:place] + token[place + 1:]
    if kind == 2:
        return token[:place] + chance.choice("Aa0-_.") + token[place:]
    parts = token.split(".")
    one, two = chance.sample(range(3), 2)
    parts[one], parts[two] = parts[two], parts[one]
    return ".".join(parts)


def is_accepted_by_pyjwt(keys, kind, names, token):
    for name in names:
        try:
            jwt.decode(token, keys.verifying(name), algorithms=[name], audience="broker", issuer="login")
            return True
        except Exception:  # Whatever PyJWT raises, it does not accept the token.
            pass
    return False


def decoded(token):
    """The bytes of all parts, read as leniently as PyJWT does: the same bytes are the same token."""
    return [base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in token.split(".")]


def test_changed_tokens_are_refused_by_both(keys):
    chance = random.Random(3)
    refused = 0
    for kind, names, count in groups(keys, chance):
        tokens = []
        for _, _, token in made(keys, names, count, chance, kind):
            other = mutated(token, chance)
            while other == token:
                other = mutated(token, chance)
            tokens.append((token, other))
        for (token, other), line in zip(tokens, check(keys, kind, [other for _, other in tokens])):
            assert line.startswith("refused "), (line, other)
            refused += 1
            # PyJWT ignores surplus bits in the last character of a part, and characters of another alphabet.
            if is_accepted_by_pyjwt(keys, kind, names, other):
                assert decoded(other) == decoded(token)
    assert refused >= COUNT - 10


# Manipulated headers


def part(value):
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def sealed(message, name, key):
    algorithm = jwt.get_algorithm_by_name(name)
    return base64.urlsafe_b64encode(algorithm.sign(message.encode(), algorithm.prepare_key(key))).decode().rstrip("=")


class Attacker:
    """Knows the public keys, has other keys, and can offer those in a header."""

    def __init__(self, keys):
        self.own = Keys.__new__(Keys)
        self.own.secret = bytes(range(64, 128))
        self.own.private = {
            "RSA": rsa.generate_private_key(65537, 2048), "P-256": ec.generate_private_key(ec.SECP256R1()),
            "P-384": ec.generate_private_key(ec.SECP384R1()), "Ed25519": ed25519.Ed25519PrivateKey.generate()}
        self.sets = {key["kid"]: key for key in self.own.public_set()}
        # The bytes that a verifier would use as a secret if it trusted the algorithm in the header.
        public = list(keys.public_set())
        self.known = [b"", b"\0", json.dumps({"keys": public}).encode(), *(json.dumps(key).encode() for key in public)]
        for key in keys.private.values():
            for encoding in (Encoding.PEM, Encoding.DER):
                self.known.append(key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo))

    def header(self, header, kind, chance):
        """A header with a member changed, left out, or added; as text if a member is duplicated."""
        other = chance.choice([
            *sorted(ALGORITHMS), "none", "None", "NONE", "", "ES512", "ES256K", "RSA-OAEP", "dir", header["alg"].lower(), 1, None, ["none"]])
        key = self.sets.get(kind, {"kty": "oct", "k": part("x" * 64)})
        changes = [
            {"alg": other},
            {"kid": chance.choice(["", "none", "../../dev/null", "' OR 1=1", 7, None, ["RSA"], "RSA", "P-256", "P-384", "Ed25519"])},
            {"typ": chance.choice(["JWE", "JOSE", "", 1, "at+jwt", "jwt"])}, {"cty": "JWT"}, {"jwk": key}, {"jku": "https://evil.test/keys"},
            {"x5u": "https://evil.test/c"}, {"x5c": ["AAAA"]}, {"x5t": "AAAA"}, {"crit": chance.choice([[], ["exp"], ["b64"], "exp"])},
            {"b64": False, "crit": ["b64"]}, {"zip": "DEF"}, {"enc": "A256GCM"}]
        changed = {**header, **chance.choice(changes)}
        way = chance.randrange(8)
        if way == 0:
            del changed["alg"]
        elif way == 1:
            changed.pop("kid", None)
        elif way == 2:
            name = chance.choice(["alg", "kid", "typ"])
            return json.dumps(changed)[:-1] + f', "{name}": {json.dumps(other)}}}'
        elif way == 3:
            return json.dumps(changed).replace('"alg"', chance.choice(['"ALG"', '"\\u0061lg"', '"alg "']))
        elif way == 4:
            return json.dumps(changed) + chance.choice(["{}", " ", "\n", "\0", ","])
        return changed

    def signature(self, message, signature, name, chance):
        """The old signature, none, one by the attacker's key, or a code made with public data."""
        way = chance.randrange(4)
        if way == 0:
            return signature
        if way == 1:
            return chance.choice(["", part("\0" * 64), "A" * len(signature), signature[:-1], signature + "AAAA"])
        if way == 2:
            return sealed(message, name, self.own.signing(name))
        code = hmac.new(chance.choice(self.known), message.encode(), chance.choice(["sha256", "sha384", "sha512"])).digest()
        return base64.urlsafe_b64encode(code).decode().rstrip("=")

    def token(self, token, name, kind, chance):
        header, claims, signature = token.split(".")
        changed = self.header(json.loads(base64.urlsafe_b64decode(header + "==")), kind, chance)
        first = part(changed)
        if chance.random() < 0.3:
            claims = part({**json.loads(base64.urlsafe_b64decode(claims + "==")), "sub": "admin"})
        return f"{first}.{claims}.{self.signature(f'{first}.{claims}', signature, name, chance)}"


def test_tampered_headers_are_refused_by_both(keys):
    """Whatever the header says, only the holder of the key can sign it."""
    chance, attacker = random.Random(4), Attacker(keys)
    for kind, names, count in groups(keys, chance):
        rights = list(made(keys, names, count, chance, kind))
        tokens = [attacker.token(right, name, kind, chance) for name, _, right in rights]
        # Some changes have no effect, such as replacing the algorithm by itself.
        tokens = [token for token, (_, _, right) in zip(tokens, rights) if token != right]
        assert len(tokens) > count * 9 // 10
        for token, line in zip(tokens, check(keys, kind, tokens)):
            assert line.startswith("refused "), (line, token)
            assert not is_accepted_by_pyjwt(keys, kind, names, token), token


def test_signed_tokens_are_accepted_only_if_pyjwt_accepts_them(keys):
    """Headers that are changed and then signed by the right key: mistakes of a login server, or tokens of another one."""
    chance, attacker = random.Random(5), Attacker(keys)
    outcomes = set()
    for kind, names, count in groups(keys, chance):
        tokens = []
        for name, claims, right in made(keys, names, count // 2, chance, kind):
            header, body, _ = right.split(".")
            changed = attacker.header(json.loads(base64.urlsafe_b64decode(header + "==")), kind, chance)
            message = f"{part(changed)}.{body}"
            tokens.append((f"{message}.{sealed(message, name, keys.signing(name))}", name, claims))
        for (token, name, claims), line in zip(tokens, check(keys, kind, [each[0] for each in tokens])):
            outcomes.add(line.split()[0])
            if line.startswith("refused "):
                continue
            assert line == f"valid {claims['sub']}"
            assert is_accepted_by_pyjwt(keys, kind, names, token), token
            header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
            # It is accepted because of its signature, and nothing else is fetched.
            assert header["alg"] == name and not {"crit", "b64", "zip", "jwk", "jku", "x5u", "x5c"} & set(header)
            assert header.get("typ", "JWT").lower() in ("jwt", "at+jwt") and (kind == "oct" or header.get("kid") in (None, kind))
    assert outcomes == {"valid", "refused"}


def test_sign_writes_the_given_claims(keys):
    done = run_control(
        "token", "sign", "--key", keys.files["P-256"], "--iss", "login", "--aud", "broker", "--sub", "alice", "--ttl", "10m", "--claim",
        "tenant=t1", "--claim", "level=7", "--claim", 'broker={"publish":["a/#"]}')
    assert done.returncode == 0, done
    claims = jwt.decode(done.stdout.decode().strip(), keys.verifying("ES256"), algorithms=["ES256"], audience="broker")
    assert claims.pop("exp") - claims.pop("iat") == 600
    assert claims == {"iss": "login", "aud": "broker", "sub": "alice", "tenant": "t1", "level": 7, "broker": {"publish": ["a/#"]}}


@pytest.mark.parametrize("claim", ["sub=bob", "exp=1", "tenant=t2"])
def test_sign_rejects_duplicate_claims(keys, claim):
    done = run_control("token", "sign", "--key", keys.files["P-256"], "--sub", "alice", "--claim", "tenant=t1", "--claim", claim)
    assert (done.returncode, done.stdout) == (64, b"")
    assert f"--claim: {claim.split('=')[0]} is given twice, or has an option of its own".encode() in done.stderr


def test_sign_accepts_only_objects_as_lines(keys):
    done = run_control("token", "sign", "--key", keys.files["P-256"], "--lines", input=b'{"sub":"a"}\n["sub"]\n')
    assert done.returncode == 1 and done.stdout.count(b"\n") == 1
    assert b"line 2: expected a JSON object" in done.stderr


def test_sign_refuses_a_key_readable_by_others(keys, tmp_path):
    path = tmp_path / "open.pem"
    path.write_bytes(open(keys.files["P-256"], "rb").read())
    os.chmod(path, 0o644)
    done = run_control("token", "sign", "--key", str(path), "--sub", "alice")
    assert done.returncode == 1 and b"chmod go-rwx" in done.stderr, done


def test_check_says_why_a_token_is_refused(keys):
    now = int(time.time())
    right = {"iss": "login", "aud": "broker", "sub": "alice", "iat": now, "exp": now + 60}
    changes = {"expired": {"exp": now - 100}, "audience": {"aud": "other"}, "issuer": {"iss": "other"}, "future": {"iat": now + 1000},
               "lifetime": {"exp": now + 100_000}, "early": {"nbf": now + 1000}, "subject": {"sub": ""}}
    tokens = [jwt.encode({**right, **change}, keys.signing("ES256"), algorithm="ES256") for change in changes.values()]
    assert check(keys, "P-256", tokens) == [f"refused {reason}" for reason in changes]
