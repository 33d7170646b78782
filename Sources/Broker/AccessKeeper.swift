internal import Synchronization
internal import WSTransport

/// The result of re-reading the users file.
package enum AccessNews: Sendable, Equatable {
    /// The new content is in use.
    case takenOver(file: String, users: Int)
    /// The file has errors, which the value describes; the previous content stays in use.
    case refused(String)
}

/// Keeps the current access rights, which come from the settings and the users file, and notices when that file
/// changes.
///
/// Any thread but a reactor's; changes must be made in ``inTurn(_:)``, one at a time.
final class AccessKeeper: Sendable {
    struct State {
        var current: Access
        var settings: Settings
        var stamp: FileStamp
        /// The keys of the issuers, in the order of the settings.
        var keys: [JWTKeys]
        /// How often each of them has lost keys.
        var losses: [Int]
        /// What the brokers of a cluster share, and the version in use; `nil` if the broker is not in a cluster.
        var shared: SharedAccess?
        var version = 0
        /// The file as this broker last read or wrote it, if the cluster's users are in use.
        var copy: [UInt8]?
        /// Whether a change of the copy is on its way to the cluster.
        var isEditing = false
        /// Gets the errors of the copy.
        var complain: @Sendable (String) -> Void = { _ in }
    }

    let state: Mutex<State>
    private let turn = Mutex(())
    private let report: @Sendable (JWTKeysNews) -> Void
    /// The figures about JSON Web Tokens.
    let figures = JWTFigures()

    /// Reads the users file; if there is none, there are no users.
    ///
    /// - Parameter report: called with news about the keys of login servers, on any thread.
    init(_ settings: Settings, report: @escaping @Sendable (JWTKeysNews) -> Void) throws(AccessFileErrors) {
        self.report = report
        // Taken before the file is read: a change during the reading is noticed next time.
        let stamp = FileStamp(settings.accessFilePath)
        let users = try Self.users(settings)
        let keys = try Self.keys(settings, keeping: [], report)
        let current = Access(settings, users: users, webTokens: Self.authority(settings, keys, figures))
        state = Mutex(
            State(
                current: current, settings: settings, stamp: stamp, keys: keys, losses: keys.map(\.losses)))
        figures.adopt(keys)
    }

    /// The current access rights.
    var current: Access { state.withLock { $0.current } }

    private var keys: [JWTKeys] { state.withLock { $0.keys } }

    /// The path of the users file.
    var path: String { state.withLock { $0.settings.accessFilePath } }

    /// The path of the users file; throws if the file is missing although its users are in use: a change would create
    /// it again without them.
    func presentPath() throws(AccessFileErrors) -> String {
        let state = state.withLock { $0 }
        try Self.checkFile(state, FileStamp(state.settings.accessFilePath))
        return state.settings.accessFilePath
    }

    /// Runs `body` while no other thread changes the access rights; `body` also brings its change to every reactor.
    func inTurn<Value: Sendable>(_ body: () -> Value) -> Value { turn.withLock { _ in body() } }

    /// The keys of all issuers; keys from an unchanged source are kept, so that no client is refused meanwhile.
    private static func keys(
        _ settings: Settings, keeping old: [JWTKeys], _ report: @escaping @Sendable (JWTKeysNews) -> Void
    ) throws(AccessFileErrors) -> [JWTKeys] {
        var keys: [JWTKeys] = []
        for (number, issuer) in settings.access.jwt.enumerated() {
            do throws(SecretError) {
                let source = try JWTKeySource(issuer)
                if let known = old.first(where: { $0.issuer.exact == issuer.issuer.exact && $0.source == source }) {
                    keys.append(known)
                    continue
                }
                do throws(JWTKeySet.Mistake) {
                    let known = old.first {
                        $0.issuer.exact == issuer.issuer.exact && $0.source.mark == source.mark
                    }
                    keys.append(try JWTKeys(issuer.issuer, source, after: known, report: report))
                } catch {
                    throw SecretError(error.description)
                }
            } catch {
                for new in keys where !old.contains(where: { $0 === new }) { new.stop() }
                throw AccessFileErrors("access.jwt[\(number)]", error.description)
            }
        }
        return keys
    }

    private static func authority(_ settings: Settings, _ keys: [JWTKeys], _ figures: JWTFigures) -> JWTAuthority? {
        guard !keys.isEmpty else { return nil }
        let issuers = zip(settings.access.jwt, keys).map { settings, keys in
            var issuer = JWTIssuer(settings)
            issuer.keyPlace = keys.source.mark
            return (issuer, keys)
        }
        return JWTAuthority(issuers, figures: figures)
    }

    /// The errors in the keys that `settings` names, a sentence each; keys at a URL are not fetched.
    static func keyErrors(in settings: Settings) -> [String] {
        settings.access.jwt.enumerated().compactMap { number, issuer in
            do throws(SecretError) {
                let source = try JWTKeySource(issuer)
                if case .url = source { return nil }
                do throws(JWTKeySet.Mistake) { _ = try JWTKeys(issuer.issuer, source) { _ in } } catch {
                    throw SecretError(error.description)
                }
                return nil
            } catch {
                return "access.jwt[\(number)]: \(error)"
            }
        }
    }

    /// From now on uses the data that the brokers of a cluster share, once there is any, instead of the users file.
    ///
    /// - Parameter complain: gets the errors of the file, which then is only a copy.
    func share(_ shared: SharedAccess, complain: @escaping @Sendable (String) -> Void) {
        state.withLock { ($0.shared, $0.complain) = (shared, complain) }
    }

    /// The access rights by new settings and the present users, not yet in use.
    struct Next {
        fileprivate let settings: Settings
        fileprivate let stamp: FileStamp
        fileprivate let keys: [JWTKeys]
        fileprivate let access: Access
        /// The version of the cluster's users; 0 if they were not in use.
        fileprivate let version: Int
    }

    /// Reads the access rights by new settings; changes nothing.
    func next(_ settings: Settings) throws(AccessFileErrors) -> Next {
        let old = state.withLock { $0 }
        let stamp = FileStamp(settings.accessFilePath)
        if settings.accessFilePath == old.settings.accessFilePath { try Self.checkFile(old, stamp) }
        let version = old.shared.map { $0.isInForce ? $0.version : 0 } ?? 0
        let users = try Self.users(settings, old.shared)
        let keys = try Self.keys(settings, keeping: old.keys, report)
        // An unchanged authority is kept, with the tokens that it remembers.
        let isSame =
            settings.access.jwt.map(JWTIssuer.init) == old.settings.access.jwt.map(JWTIssuer.init)
            && keys.elementsEqual(old.keys, by: ===)
        let authority = isSame ? old.current.webTokens : Self.authority(settings, keys, figures)
        return Next(
            settings: settings, stamp: stamp, keys: keys,
            access: Access(settings, users: users, webTokens: authority), version: version)
    }

    /// Puts into use what ``next(_:)`` has read; users that have changed since then come by ``takeOverChange()``.
    ///
    /// - Returns: the keys that are no longer in use, to be stopped when no reactor checks tokens with them.
    @discardableResult
    func adopt(_ next: Next) -> [JWTKeys] {
        figures.adopt(next.keys)
        return state.withLock { state in
            let retired = state.keys.filter { old in !next.keys.contains { $0 === old } }
            // The copy of the cluster's users is written to the new path at the next check.
            let isMoved = state.settings.accessFilePath != next.settings.accessFilePath
            (state.current, state.settings, state.keys) = (next.access, next.settings, next.keys)
            state.losses = next.keys.map(\.losses)
            state.version = isMoved ? 0 : next.version
            if isMoved { state.copy = nil }
            if state.shared?.isInForce != true { state.stamp = next.stamp }
            return retired
        }
    }

    /// Stops the key fetching that ``next(_:)`` has started, because its result is not used.
    func discard(_ next: Next) {
        for new in next.keys where !keys.contains(where: { $0 === new }) { new.stop() }
    }

    /// Reads key files that have changed; returns whether keys from files or URLs were removed since the last call.
    func takeOverKeys() -> Bool {
        for one in keys { one.takeOverChange() }
        return state.withLock { state in
            let new = state.keys.map(\.losses)
            defer { state.losses = new }
            return new != state.losses
        }
    }

    /// Ends the threads that fetch keys.
    func stop() { for one in keys { one.stop() } }

    /// Puts the users file, or the cluster's users, into use if they have changed since the last call; otherwise `nil`.
    func takeOverChange() -> AccessNews? {
        let old = state.withLock { $0 }
        if let shared = old.shared, shared.isInForce { return takeOver(shared, old) }
        let new = FileStamp(old.settings.accessFilePath)
        guard new != old.stamp else { return nil }
        // Set also if the file has errors, so that they are reported only once.
        state.withLock { $0.stamp = new }
        do throws(AccessFileErrors) {
            try Self.checkFile(old, new)
            let access = Access(
                old.settings, users: try Self.users(old.settings), webTokens: old.current.webTokens)
            state.withLock { $0.current = access }
            return .takenOver(file: old.settings.accessFilePath, users: access.users.count)
        } catch {
            return .refused(error.description)
        }
    }

    /// Refuses a missing file while it has users in use: all of them would be disconnected by a mistake, or by an
    /// editor that is about to write the file again.
    private static func checkFile(_ old: State, _ stamp: FileStamp) throws(AccessFileErrors) {
        guard stamp.isMissing, old.current.users.count > 0, old.shared?.isInForce != true else { return }
        throw AccessFileErrors(
            old.settings.accessFilePath, "there is no such file any more; an empty one would remove all users")
    }

    private static func users(
        _ settings: Settings, _ shared: SharedAccess? = nil
    ) throws(AccessFileErrors) -> UserTable {
        if let shared, shared.isInForce { return UserTable(try shared.file(isKept: false)) }
        return UserTable(try AccessFile.read(settings.accessFilePath, isKept: false))
    }
}
