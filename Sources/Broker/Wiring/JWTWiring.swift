internal import Cryptography
internal import Glibc
internal import WSTransport

extension JWTIssuer {
    /// What the settings of an issuer say, but for its keys.
    init(_ settings: Settings.Access.JWT) {
        self.init(settings.issuer, audience: settings.audience, algorithms: Set(settings.acceptedAlgorithms))
        leeway = settings.leeway.components.seconds
        maximumLifetime = settings.maximumLifetime.components.seconds
        userClaim = settings.userClaim
        rolesClaim = settings.rolesClaim
        grantsClaim = settings.grantsClaim
        mayGrant = settings.mayGrant.compactMap { try? TopicFilter($0, limits: .none) }
    }
}

extension JWTKeySource {
    /// Where the settings of an issuer say that its keys are; reads a secret.
    init(_ settings: Settings.Access.JWT) throws(SecretError) {
        if let secret = settings.secret {
            self = .secret(try SecretText.read(secret))
        } else if let keys = settings.keys, keys.hasPrefix("file:") {
            self = .file(path: SecretText.expanded(String(keys.dropFirst(5))))
        } else {
            do throws(WebSocketURL.ParseError) {
                let url = try WebSocketURL(parsing: settings.keys ?? "")
                self = .url(url, ca: settings.ca, refresh: settings.refresh)
            } catch {
                throw SecretError("expected the address of a key set: \(error)")
            }
        }
    }
}

/// Why a secret is not available: a phrase that does not repeat it.
struct SecretError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// Secrets of the configuration: `file:PATH`, `env:NAME`, or the text itself.
enum SecretText {
    private static let maximumSize = 64 << 10

    /// The bytes of a secret, without the line end that an editor leaves.
    static func read(_ text: String) throws(SecretError) -> [UInt8] {
        if text.hasPrefix("env:") {
            let name = String(text.dropFirst(4))
            guard let value = unsafe getenv(name) else { throw SecretError("there is no variable \(name)") }
            return Array(unsafe String(cString: value).utf8)
        }
        guard text.hasPrefix("file:") else { return Array(text.utf8) }
        let path = expanded(String(text.dropFirst(5)))
        let found: [UInt8]?
        do throws(PrivateFile.Trouble) { found = try PrivateFile.read(path, atMost: maximumSize) } catch {
            throw SecretError("\(path): \(error.message)")
        }
        guard let found else { throw SecretError("\(path): there is no such file") }
        return found.last == 0x0A ? Array(found.dropLast()) : found
    }

    /// The one variable that stands for something: where systemd puts credentials.
    static func expanded(_ path: String) -> String {
        let variable = "${CREDENTIALS_DIRECTORY}"
        guard path.hasPrefix(variable), let value = unsafe getenv("CREDENTIALS_DIRECTORY") else { return path }
        return unsafe String(cString: value) + path.dropFirst(variable.count)
    }
}
