import Glibc
import Testing

@testable import Broker

@Suite("The file of users and tokens")
struct AccessFileTests {
    static let hash = "$scrypt$ln=15,r=8,p=3$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    static let digest = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    static let example = """
        {"user":"alice","password":"\(hash)","roles":["dashboard"],"created":1795850000}
        {"user":"device7","certificate":"sha256:\(String(repeating: "Ab", count: 32))","disabled":true}
        {"token":"q7Xk2mP9","sha256":"\(digest)","user":"ci","publish":["build/#"],"expires":1803626000,"from":["10.0.0.0/8"],"note":"Jenkins"}
        {"revoked":{"user":"bob","before":1795850000}}

        """

    static func errors(in text: String) -> [String] {
        do throws(AccessFileErrors) {
            _ = try AccessFile(Array(text.utf8), file: "a.jsonl")
            return []
        } catch {
            return error.errors.map(\.description)
        }
    }

    @Test func readsUsersTokensAndRevocations() throws {
        let file = try AccessFile(Array(Self.example.utf8), file: "a.jsonl")
        #expect(file.users.map(\.name) == ["alice", "device7"])
        let alice = try #require(file.users.first)
        #expect(alice.roles == ["dashboard"] && alice.created == 1_795_850_000 && alice.password?.text == Self.hash)
        #expect(file.users.last?.certificate == [UInt8](repeating: 0xAB, count: 32))
        #expect(file.users.last?.isDisabled == true)
        let token = try #require(file.tokens.first)
        #expect(token.id == "q7Xk2mP9" && token.user == "ci" && token.expires == 1_803_626_000)
        #expect(token.limits == AccessToken.Limits(publish: ["build/#"]))
        #expect(token.from == ["10.0.0.0/8"] && token.note == "Jenkins")
        #expect(file.entries.last?.content == .revoked(.user("bob", before: 1_795_850_000)))
    }

    @Test func keepsUnknownMembersWhenRewritten() throws {
        let text = Self.example.replacing("\"note\"", with: "\"future\" : [1, 2],\"note\"")
        var file = try AccessFile(Array(text.utf8), file: "a.jsonl")
        #expect(String(decoding: file.bytes, as: UTF8.self) == text)
        let place = try #require(file.place(ofToken: "q7Xk2mP9"))
        guard case .token(var token) = file.entries[place].content else { return }
        token.note = "GitHub"
        file.entries[place].content = .token(token)
        let line = String(decoding: file.bytes, as: UTF8.self).split(separator: "\n")[2]
        #expect(line.contains(#""note":"GitHub","future":[1, 2]}"#))
        #expect(try AccessFile(file.bytes, file: "a.jsonl").tokens == [token])
    }

    @Test(
        arguments: [
            ("[]", "expected a JSON object: expected '{', found '[' at byte 0"),
            ("{}", "expected user, token or revoked, found none of them"),
            (#"{"user":7}"#, #""user": expected a string, found number at byte 8"#),
            (#"{"user":"a/b"}"#, "user: \(Principal.nameExpectation)"),
            (#"{"user":"$a"}"#, "user: \(Principal.nameExpectation)"),
            (#"{"user":"a","roles":["+"]}"#, "roles: \(Principal.nameExpectation)"),
            (
                #"{"user":"a","password":"secret"}"#,
                "password: expected a password hash, such as $scrypt$ln=15,r=8,p=3$SALT$HASH"
            ),
            (#"{"user":"a","certificate":"ab"}"#, "certificate: expected sha256: and 64 hexadecimal digits"),
            (#"{"token":"short","user":"a"}"#, "token: expected an id of 8 letters and digits"),
            (#"{"token":"q7Xk2mP9","sha256":"AA==","user":"a"}"#, "sha256: expected 32 bytes in base64"),
            (
                #"{"token":"q7Xk2mP9","sha256":"\#(digest)","user":"a","publish":["a/#/b"]}"#,
                "publish: The wildcard '#' in level 2 must stand alone, and in the last level of the filter."
            ),
            (
                #"{"token":"q7Xk2mP9","sha256":"\#(digest)","user":"a","from":["10.0.0.1/8"]}"#,
                "from: expected addresses and networks such as 10.0.0.0/8, found \"10.0.0.1/8\""
            ),
            (
                #"{"token":"q7Xk2mP9","sha256":"\#(digest)","user":"a","expires":9223372036854775807}"#,
                "expires: expected a time in Unix seconds"
            ),
            (#"{"revoked":{}}"#, "revoked: expected token, user or jti, found none of them"),
            (#"{"revoked":{"user":"a"}}"#, "revoked: expected before, a time in seconds, with user"),
            (#"{"user":"a","user":"b"}"#, "expected a JSON object: a second member \"user\" at byte 12"),
        ])
    func reportsTheErrorOfALine(line: String, message: String) {
        #expect(Self.errors(in: "\n" + line) == ["a.jsonl:2: \(message)"])
    }

    @Test func reportsAllErrors() {
        let text = "{\"user\":\"a\"}\n{\n{\"user\":\"b\"}\n{\"user\":\"a\"}\n{}"
        let errors = Self.errors(in: text)
        #expect(errors.map { $0.split(separator: ":")[1] } == ["2", "4", "5"])
        #expect(errors[1] == "a.jsonl:4: expected each name once, found \"a\" a second time (first in line 1)")
    }

    @Test func parsesOpaqueTokens() throws {
        let text = "bk_q7Xk2mP9_" + String(repeating: "aZ09", count: 10) + "abc"
        let token = try #require(OpaqueToken(text))
        #expect(token.id == "q7Xk2mP9" && token.secret.utf8.count == 43 && token.text == text)
        for wrong in [text.dropLast() + "", text + "a", "bk-" + text.dropFirst(3), text.dropLast() + "=", "a.b.c"] {
            #expect(OpaqueToken(String(wrong)) == nil)
        }
        let made = try OpaqueToken.make()
        #expect(OpaqueToken(made.text) == made && made.id != made.secret.prefix(8))
        #expect(try made.digest().count == 32)
    }

    // MARK: On disk

    /// A directory that is removed with the test.
    final class Place {
        let path: String
        init() {
            var name = Array("/tmp/broker-access-XXXXXX".utf8CString)
            _ = mkdtemp(&name)
            path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        var file: String { path + "/access.jsonl" }
        deinit {
            for name in ["access.jsonl", "access.jsonl.new", "link", "other.jsonl"] { unlink("\(path)/\(name)") }
            rmdir(path)
        }
        func mode() -> UInt32 {
            var status = stat()
            stat(file, &status)
            return status.st_mode & 0o777
        }
    }

    static func add(_ name: String, to path: String) throws(AccessFileErrors) {
        try AccessFile.update(path) { file in file.entries.append(AccessEntry(.user(AccessUser(name)))) }
    }

    @Test func replacesTheFile() throws {
        let place = Place()
        #expect(try AccessFile.read(place.file).entries.isEmpty)
        try Self.add("alice", to: place.file)
        let first = FileStamp(place.file)
        try Self.add("bob", to: place.file)
        #expect(FileStamp(place.file) != first)
        #expect(place.mode() == 0o600)
        #expect(try AccessFile.read(place.file).users.map(\.name) == ["alice", "bob"])
        #expect(access(place.file + ".new", F_OK) != 0)
    }

    @Test func followsASymbolicLink() throws {
        let place = Place()
        #expect(symlink("other.jsonl", place.file) == 0)
        try Self.add("alice", to: place.path + "/other.jsonl")
        try Self.add("bob", to: place.file)
        #expect(try AccessFile.read(place.path + "/other.jsonl").users.count == 2)
    }

    @Test func refusesAFileThatOthersCanRead() throws {
        let place = Place()
        try Self.add("alice", to: place.file)
        #expect(chmod(place.file, 0o604) == 0)
        #expect(throws: AccessFileErrors.self) { try AccessFile.read(place.file) }
    }

    @Test func keepsTheChangesOfConcurrentWriters() async throws {
        let place = Place()
        let path = place.file
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<8 { group.addTask { try? Self.add("user\(number)", to: path) } }
        }
        #expect(try AccessFile.read(path).users.count == 8)
        withExtendedLifetime(place) {}
    }
}
