internal import ArgumentParser
internal import Broker
internal import Cryptography
internal import WSTransport

/// `brokerctl token …`: credentials for machines.
struct TokenCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Creates, lists, checks and revokes tokens; signs JSON Web Tokens for development.",
        discussion: """
            Examples:
              brokerctl token mint --user sensor7 --ttl 90d
              brokerctl token revoke q7Xk2mP9
              brokerctl token sign --key private.pem --iss login --aud broker --sub alice
              brokerctl token check < token.txt
            """,
        subcommands: [MintToken.self, ListTokens.self, RevokeToken.self, SignToken.self, CheckToken.self])

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
}

/// `brokerctl token sign`.
struct SignToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sign",
        abstract: "Signs a JSON Web Token, for development.",
        discussion: """
            In production, a login server does this.

            Examples:
              openssl genpkey -algorithm ed25519 -out private.pem
              brokerctl token sign --key private.pem --iss login --aud broker --sub alice --claim tenant=t1 --ttl 10m
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Option(
        help: ArgumentHelp("A PEM file with a private key, or a file with a secret of 32 bytes.", valueName: "file"))
    var key: String

    @Option(help: ArgumentHelp("The user.", valueName: "name"))
    var sub: String?

    @Option(help: ArgumentHelp("The issuer.", valueName: "name"))
    var iss: String?

    @Option(help: ArgumentHelp("The user that the token is for.", valueName: "name"))
    var aud: String?

    @Option(help: ArgumentHelp("Another claim, as JSON or text; may be repeated.", valueName: "name=value"))
    var claim: [String] = []

    @Option(help: ArgumentHelp("How long it is valid, such as 90s, 10m, 1h or 7d.", valueName: "time"))
    var ttl: String = "1h"

    @Option(help: ArgumentHelp("The name of the key in the key set.", valueName: "name"))
    var kid: String?

    @Option(help: ArgumentHelp("The algorithm. (default: that of the key)", valueName: "name"))
    var alg: String?

    @Flag(help: "Read claims from standard input, one JSON object per line, and print a token for each.")
    var lines = false

    private func show(_ token: String) {
        guard connection.json else { return Output.print(token) }
        Output.printJSON { $0.member("token", token) }
    }

    func run() async throws {
        let signing = try SigningKey(file: key)
        let algorithm: SignatureAlgorithm
        if let alg {
            guard let found = SignatureAlgorithm(rawValue: alg), found.kind == signing.kind else {
                throw Failure.usage("--alg: the key is not for \(alg)")
            }
            algorithm = found
        } else {
            algorithm = signing.algorithm
        }
        guard lines else { return show(try sign(try claims(), by: signing, algorithm)) }
        var reader = try LineReader(path: "-")
        while let line = try reader.next() {
            guard case .line(let bytes) = line, (try? JSONObject.parse(bytes.span)) != nil else {
                throw Failure.failed("line \(reader.number): expected a JSON object")
            }
            show(try sign(bytes, by: signing, algorithm))
        }
    }

    private func sign(
        _ claims: [UInt8], by signing: SigningKey, _ algorithm: SignatureAlgorithm
    ) throws -> String {
        var header = JSONWriter()
        header.beginObject()
        header.member("alg", algorithm.rawValue)
        header.member("typ", "JWT")
        if let kid { header.member("kid", kid) }
        header.endObject()
        let message = "\(Base64.encode(header.bytes, alphabet: .url)).\(Base64.encode(claims, alphabet: .url))"
        do throws(CryptographyError) {
            let signature = try signing.sign(message.utf8Span.span, by: algorithm)
            return "\(message).\(Base64.encode(signature, alphabet: .url))"
        } catch {
            throw Failure.failed("\(error)")
        }
    }

    private func claims() throws -> [UInt8] {
        guard let sub else { throw Failure.usage("--sub is missing: the user that the token is for") }
        guard let life = Quantity.seconds(ttl), life > 0 else {
            throw Failure.usage("--ttl: expected a time such as 90s, 10m, 1h or 7d")
        }
        let now = WallClock.unixMilliseconds / 1000
        var writer = JSONWriter()
        writer.beginObject()
        if let iss { writer.member("iss", iss) }
        writer.member("sub", sub)
        if let aud { writer.member("aud", aud) }
        writer.member("iat", now)
        writer.member("exp", now + life)
        var names: Set<ExactText> = ["iss", "sub", "aud", "iat", "exp"]
        for each in claim {
            guard let equals = each.firstIndex(of: "="), equals > each.startIndex else {
                throw Failure.usage("--claim: expected NAME=VALUE")
            }
            let value = Array(each[each.index(after: equals)...].utf8)
            let name = String(each[..<equals])
            // A token with a duplicate claim would be refused.
            guard names.insert(name.exact).inserted else {
                throw Failure.usage("--claim: \(name) is given twice, or has an option of its own")
            }
            writer.name(escaping: name)
            if JSONScanner.validate(value.span) {
                writer.raw(value.span)
            } else {
                writer.string(String(decoding: value, as: UTF8.self))
            }
        }
        writer.endObject()
        return writer.bytes
    }
}

/// `brokerctl token check`.
struct CheckToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Says which user a token belongs to and what it allows, or why it is refused.",
        discussion: """
            Reads tokens from standard input or a file, one per line, because other users can see arguments. The running \
            broker checks them. With --file, the broker's own tokens are checked against a file of users and tokens; with \
            --keys, JSON Web Tokens against a key. The exit status is 1 if one of them is not valid.

            Examples:
              brokerctl token check < token.txt
              brokerctl token check --address 10.1.2.3 token.txt
              brokerctl token check --keys jwks.json --iss login --aud broker < token.txt
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions
    @OptionGroup var file: AccessFileOptions

    @Argument(help: "The file with the tokens; - is standard input.")
    var source: String = "-"

    @Option(help: ArgumentHelp("The address of the client that presents them.", valueName: "address"))
    var address: String?

    @Option(
        help: ArgumentHelp("A key set, a PEM file with public keys, or a file with a secret.", valueName: "file"))
    var keys: String?

    @Option(help: ArgumentHelp("With --keys: the issuer.", valueName: "name"))
    var iss: String?

    @Option(help: ArgumentHelp("With --keys: the audience.", valueName: "name"))
    var aud: String?

    @Option(
        help: ArgumentHelp(
            "With --keys: an accepted algorithm; may be repeated. (default: all)", valueName: "name"))
    var alg: [String] = []

    func validate() throws {
        // Do not repeat the token, because standard error may be logged.
        if OpaqueToken(source) != nil || OpaqueToken.isJWT(source) && source.hasPrefix("ey") {
            throw ValidationError(
                "other users can see arguments, so a token must not be one: give a file, or standard input with < token.txt"
            )
        }
        if keys == nil {
            guard iss == nil, aud == nil, alg.isEmpty else {
                throw ValidationError("--iss, --aud and --alg require --keys")
            }
        } else {
            guard iss != nil, aud != nil else { throw ValidationError("--keys: --iss and --aud are missing") }
            guard address == nil else { throw ValidationError("--address and --keys cannot be combined") }
        }
    }

    func run() async throws {
        var reader = try LineReader(path: source)
        var areValid = true
        var isEmpty = true
        if let keys {
            let check = try check(by: keys)
            while let text = try Self.next(&reader) {
                isEmpty = false
                switch check.judge(text, now: WallClock.unixMilliseconds / 1000) {
                case .known(let principal, _): print("valid", principal.user ?? "", true)
                case .rejected(let reason, _):
                    areValid = false
                    print("refused", reason.rawValue, false)
                case .unknownKey:
                    areValid = false
                    print("refused", JWTRejection.key.rawValue, false)
                }
            }
        } else if let path = file.path {
            let users = try Self.users(path)
            while let text = try Self.next(&reader) {
                isEmpty = false
                let request = CheckTokenRequest(token: text, address: address)
                let answer = request.answer(by: users, now: WallClock.unixMilliseconds / 1000)
                if !answer.isValid { areValid = false }
                if connection.json { [answer].printJSON(isAlone: true) } else { Self.print(answer) }
            }
        } else {
            let admin = try await AdminConnection(connection)
            while let text = try Self.next(&reader) {
                isEmpty = false
                let result = try await admin.ask(CheckTokenRequest(token: text, address: address))
                if !result.answer.isValid { areValid = false }
                if connection.json { result.print() } else { Self.print(result.answer) }
            }
            await admin.close()
        }
        // A script must not take an empty file for a valid token.
        guard !isEmpty else {
            throw Failure.failed("\(source == "-" ? "standard input" : source): expected a token on each line")
        }
        if !areValid { throw ExitCode(1) }
    }

    /// The next token; an empty text if the line is not UTF-8.
    private static func next(_ reader: inout LineReader) throws -> String? {
        guard let line = try reader.next() else { return nil }
        guard case .line(let bytes) = line else { return "" }
        return String(validating: bytes, as: UTF8.self) ?? ""
    }

    private static func users(_ path: String) throws(Failure) -> UserTable {
        do throws(AccessFileErrors) { return UserTable(try AccessFile.read(path, isKept: false)) } catch {
            throw .failed(error.description)
        }
    }

    private func check(by keys: String) throws -> JWTCheck {
        var algorithms = Set<SignatureAlgorithm>()
        for name in alg {
            guard let found = SignatureAlgorithm(rawValue: name) else {
                throw Failure.usage("--alg: there is no algorithm \(name)")
            }
            algorithms.insert(found)
        }
        if algorithms.isEmpty { algorithms = Set(SignatureAlgorithm.allCases) }
        let issuer = JWTIssuer(iss ?? "", audience: aud ?? "", algorithms: algorithms)
        return JWTCheck([JWTCheck.Judge(issuer, keys: try Self.keys(keys))])
    }

    private static func print(_ answer: CheckTokenRequest.Answer) {
        guard answer.isValid else { return Output.print("refused \(Output.printable(answer.reason))") }
        Output.print("valid \(Output.printable(answer.user))")
        let now = WallClock.unixMilliseconds / 1000
        var rows = [("kind", answer.kind)]
        if let id = answer.id { rows.append(("id", id)) }
        rows.append(("roles", answer.roles.isEmpty ? "-" : answer.roles.joined(separator: " ")))
        rows.append(("expires", answer.expires.map { "in " + Quantity.span(seconds: Int($0 - now)) } ?? "never"))
        rows += answer.rights.map { ("may", $0) } + answer.limits.map { ("at most", $0) }
        for (name, value) in rows {
            Output.print("  " + name + String(repeating: " ", count: 9 - name.count) + Output.printable(value))
        }
    }

    private func print(_ word: String, _ what: String, _ isValid: Bool) {
        guard connection.json else { return Output.print("\(word) \(Output.printable(what))") }
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("valid", isValid)
        writer.name(isValid ? "user" : "reason")
        writer.string(what)
        writer.endObject()
        Output.printJSON(writer.bytes)
    }

    private static func keys(_ path: String) throws -> JWTKeySet {
        let bytes = try KeyFile.read(path, isSecret: false)
        let isSet = bytes.first(where: { !" \n\r\t".utf8.contains($0) }) == UInt8(ascii: "{")
        if isSet || KeyFile.isPEM(bytes) {
            do throws(JWTKeySet.Mistake) { return try JWTKeySet(file: bytes) } catch {
                throw Failure.failed("\(path): \(error)")
            }
        }
        let secret = KeyFile.trimmed(try KeyFile.read(path, isSecret: true))
        do throws(KeyError) { return try JWTKeySet(secret: secret) } catch { throw Failure.failed("\(path): \(error)") }
    }
}

extension SigningKey {
    /// The private key of a PEM file, or the secret that a file holds.
    fileprivate init(file path: String) throws(Failure) {
        let bytes = try KeyFile.read(path, isSecret: true)
        do throws(KeyError) {
            if KeyFile.isPEM(bytes) {
                try self.init(pem: String(decoding: bytes, as: UTF8.self))
            } else {
                try self.init(secret: KeyFile.trimmed(bytes))
            }
        } catch {
            throw .failed("\(path): \(error)")
        }
    }
}

/// Files with keys.
enum KeyFile {
    static func read(_ path: String, isSecret: Bool) throws(Failure) -> [UInt8] {
        let found: [UInt8]?
        do throws(PrivateFile.Trouble) {
            found = try PrivateFile.read(path, atMost: JWTKeySet.maximumSize, isSecret: isSecret)
        } catch {
            throw .failed("\(path): \(error.message)")
        }
        guard let found else { throw .failed("\(path): there is no such file") }
        return found
    }

    static func isPEM(_ bytes: [UInt8]) -> Bool { bytes.starts(with: Array("-----BEGIN ".utf8)) }

    /// A secret without the line end that an editor adds.
    static func trimmed(_ bytes: [UInt8]) -> [UInt8] { bytes.last == 0x0A ? Array(bytes.dropLast()) : bytes }
}
