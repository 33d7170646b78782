import Testing

@testable import Cryptography

@Suite("Password hashes")
struct PasswordHashTests {
    private static let salt12 = "AAECAwQFBgcICQoL"

    /// Made by Python's hashlib.
    @Test(arguments: [
        ("päss", "$scrypt$ln=4,r=8,p=1$AAECAwQFBgcICQoLDA0ODw$9OEgt90iOhk8tqLa37uXzDOkiujUqBKYRmNZOBq4noE"),
        ("correct horse", "$scrypt$ln=15,r=8,p=3$EBESExQVFhcYGRobHB0eHw$zGid6w3O+auB5s+A5Ja0MP6Bf+TqWzPmTOGZ4WLPiu8"),
        (
            "secret",
            "$7$101$AAECAwQFBgcICQoL$Xr99N9ym9ys8TWxis5ajETJq6EVYzmc6nb8t3pUYnPBbCAbICS4xejTltonXWCtJNBvA+By+TXUqU6qCblO00w=="
        ),
        (
            "secret",
            "$7$101$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==$nC5lZh4zXXL9YYwSBLXeQ4x6eVDLDThAXrkOTqlGFer3YWn3xud0lGeA18sh8JUkSvje98xCmwzQO8iSZd89Pw=="
        ),
    ])
    func verifiesHashesOfOtherPrograms(password: String, text: String) throws {
        let hash = try PasswordHash(parsing: text)
        #expect(try hash.matches(password))
        #expect(try !hash.matches(password + "!"))
        #expect(try !hash.matches(""))
        #expect(hash.text == text)
    }

    @Test func makesEachHashWithItsOwnSalt() throws {
        let cheap = try #require(Scrypt(logarithm: 4, blockSize: 8, parallelism: 1))
        let (one, other) = (try PasswordHash.make(for: "é", cost: cheap), try PasswordHash.make(for: "é", cost: cheap))
        #expect(one != other)
        #expect(one.text.hasPrefix("$scrypt$ln=4,r=8,p=1$"))
        #expect(try PasswordHash(parsing: one.text) == one)
        #expect(try one.matches("é") && !one.matches("e\u{301}"), "bytes count, not how they look")
        #expect(try !PasswordHash.ofNobody(cost: cheap).matches("é"))
    }

    @Test func recognizesWeakHashes() throws {
        let made = PasswordHash.Examples.standard
        #expect(try !PasswordHash(parsing: made).isWeak)
        #expect(try PasswordHash(parsing: made.replacing("ln=15", with: "ln=13")).isWeak)
        #expect(try PasswordHash(parsing: made.replacing("p=3", with: "p=1").replacing("ln=15", with: "ln=14")).isWeak)
        #expect(try PasswordHash(parsing: "$7$101$\(Self.salt12)$\(Self.salt12)AAECAwQF").isWeak)
        #expect(try !PasswordHash(parsing: "$7$210000$\(Self.salt12)$\(Self.salt12)AAECAwQF").isWeak)
    }

    @Test(arguments: [
        ("", "expected a password hash, such as $scrypt$ln=15,r=8,p=3$SALT$HASH"),
        ("secret", "expected a password hash, such as $scrypt$ln=15,r=8,p=3$SALT$HASH"),
        ("$", "expected $scrypt$, $argon2id$ or mosquitto's $7$"),
        ("$1$abc$def", "expected $scrypt$, $argon2id$ or mosquitto's $7$"),
        ("$6$abc$def", "expected $scrypt$, $argon2id$ or mosquitto's $7$"),
        ("$scrypt", "expected $scrypt$ln=15,r=8,p=3$SALT$HASH"),
        ("$scrypt$ln=15,r=8$S$H", "expected $scrypt$ln=15,r=8,p=3$SALT$HASH"),
        ("$scrypt$r=8,ln=15,p=3$S$H", "expected $scrypt$ln=15,r=8,p=3$SALT$HASH"),
        ("$scrypt$ln=015,r=8,p=3$S$H", "expected $scrypt$ln=15,r=8,p=3$SALT$HASH"),
        ("$scrypt$ln=-1,r=8,p=3$S$H", "expected $scrypt$ln=15,r=8,p=3$SALT$HASH"),
        ("$scrypt$ln=99999999999999999999,r=8,p=3$S$H", "expected $scrypt$ln=15,r=8,p=3$SALT$HASH"),
        ("$scrypt$ln=30,r=8,p=3$S$H", "scrypt with these parameters takes more than 128 MiB, or too long"),
        ("$argon2id$v=16$m=19456,t=2,p=1$S$H", "expected $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH"),
        (
            "$argon2id$v=19$m=999999999,t=2,p=1$S$H",
            "Argon2id with these parameters takes more than 128 MiB, or too long"
        ),
        ("$7$0$S$H", "expected $7$ITERATIONS$SALT$HASH with 2,000,000 iterations at most"),
        ("$7$2000001$S$H", "expected $7$ITERATIONS$SALT$HASH with 2,000,000 iterations at most"),
    ])
    func rejectsMalformedHashes(text: String, words: String) {
        #expect(throws: PasswordHash.FormatError(words)) { try PasswordHash(parsing: text) }
    }

    @Test(arguments: [
        ("EBESExQVFhcYGRobHB0eHw==", "keeps no padding"), ("EBESExQVFhcYGRobHB0eHx", "no bits left over"),
        ("EBESExQ", "too short a salt"), ("", "no salt"), ("EBES-xQVFhcYGRobHB0eHw", "the other alphabet"),
    ])
    func rejectsMalformedSalts(salt: String, why: Comment) {
        let text = PasswordHash.Examples.standard.replacing("EBESExQVFhcYGRobHB0eHw", with: salt)
        let words = "the salt and the hash must be Base64, of 8 to 64 and of 16 to 64 bytes"
        #expect(throws: PasswordHash.FormatError(words), why) { try PasswordHash(parsing: text) }
    }

    /// If libcrypto lacks Argon2, that is reported when the file is read, and not when a user connects.
    @Test func acceptsArgon2OnlyIfAvailable() throws {
        let text = "$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ$mx2rBTaVR6lH+0YORwyX5Wm2J+3lDTpzNrr6hTzhm50"
        #expect(((try? PasswordHash(parsing: text)) != nil) == Argon2.isAvailable)
    }
}

extension PasswordHash {
    fileprivate enum Examples {
        static let standard =
            "$scrypt$ln=15,r=8,p=3$EBESExQVFhcYGRobHB0eHw$zGid6w3O+auB5s+A5Ja0MP6Bf+TqWzPmTOGZ4WLPiu8"
    }
}
