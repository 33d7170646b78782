internal import Synchronization
internal import WSTransport

/// What became of a changed file of users and tokens.
package enum AccessNews: Sendable, Equatable {
    /// It holds now.
    case takenOver(file: String, users: Int)
    /// It has errors, and what it said before still holds.
    case refused(String)
}

/// Makes what holds of settings and the file of users and tokens, and notices when the file changes.
///
/// Any thread but the reactors', one at a time by ``inTurn(_:)``.
final class AccessKeeper: Sendable {
    struct State {
        var current: Access
        var settings: Settings
        var stamp: FileStamp
        /// Of the issuers, in their order.
        var keys: [JWTKeys]
        /// How often each of them has lost some.
        var losses: [Int]
        /// What the brokers of a cluster share, and which version of it holds; `nil`: the broker is by itself.
        var shared: SharedAccess?
        var version = 0
        /// The file as this broker has read or written it last, where its cluster's users hold.
        var copy: [UInt8]?
        /// Whether somebody's change of the copy is on its way to the cluster.
        var isEditing = false
        /// Gets what is wrong with the copy.
        var complain: @Sendable (String) -> Void = { _ in }
    }

    let state: Mutex<State>
    private let turn = Mutex(())
    private let report: @Sendable (JWTKeysNews) -> Void
    /// What is counted of JSON Web Tokens.
    let figures = JWTFigures()

    /// Reads the file, whose absence means that there are no users.
    ///
    /// - Parameter report: is told what happens to the keys of login servers, on any thread.
    init(_ settings: Settings, report: @escaping @Sendable (JWTKeysNews) -> Void) throws(AccessFileErrors) {
        self.report = report
        // Before it is read: a change while it is read is found the next time.
        let stamp = FileStamp(settings.accessFilePath)
        let users = try Self.users(settings)
        let keys = try Self.keys(settings, keeping: [], report)
        let current = Access(settings, users: users, webTokens: Self.authority(settings, keys, figures))
        state = Mutex(
            State(
                current: current, settings: settings, stamp: stamp, keys: keys, losses: keys.map(\.losses)))
        figures.adopt(keys)
    }

    /// What holds now.
    var current: Access { state.withLock { $0.current } }

    private var keys: [JWTKeys] { state.withLock { $0.keys } }

    /// Where the file of users and tokens is.
    var path: String { state.withLock { $0.settings.accessFilePath } }

    /// Has no other thread change what holds, until `body` has brought its change to every reactor.
    func inTurn<Value: Sendable>(_ body: () -> Value) -> Value { turn.withLock { _ in body() } }

    /// The keys of all issuers; those that are at the same place as before stay, and nobody is turned away meanwhile.
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

    /// What is wrong with the keys that `settings` names: a sentence each; what is elsewhere is not fetched.
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

    /// Has what the brokers of a cluster share hold, as soon as there is any, instead of the file.
    ///
    /// - Parameter complain: gets what is wrong with the file, which is a copy then.
    func share(_ shared: SharedAccess, complain: @escaping @Sendable (String) -> Void) {
        state.withLock { ($0.shared, $0.complain) = (shared, complain) }
    }

    /// What is to hold by other settings, and the file as it is now.
    struct Next {
        fileprivate let settings: Settings
        fileprivate let stamp: FileStamp
        fileprivate let keys: [JWTKeys]
        fileprivate let access: Access
    }

    /// Reads what is to hold by other settings; nothing changes by it.
    func next(_ settings: Settings) throws(AccessFileErrors) -> Next {
        let old = state.withLock { $0 }
        let stamp = FileStamp(settings.accessFilePath)
        let users = try Self.users(settings, old.shared)
        let keys = try Self.keys(settings, keeping: old.keys, report)
        // One that is as it was keeps the tokens that it remembers.
        let isSame =
            settings.access.jwt.map(JWTIssuer.init) == old.settings.access.jwt.map(JWTIssuer.init)
            && keys.elementsEqual(old.keys, by: ===)
        let authority = isSame ? old.current.webTokens : Self.authority(settings, keys, figures)
        return Next(
            settings: settings, stamp: stamp, keys: keys,
            access: Access(settings, users: users, webTokens: authority))
    }

    /// Takes over what was read.
    func adopt(_ next: Next) {
        for old in keys where !next.keys.contains(where: { $0 === old }) { old.stop() }
        figures.adopt(next.keys)
        state.withLock { state in
            // A copy of what the cluster has is written to another place when it is looked at next.
            let isMoved = state.settings.accessFilePath != next.settings.accessFilePath
            (state.current, state.settings, state.keys) = (next.access, next.settings, next.keys)
            state.losses = next.keys.map(\.losses)
            if isMoved { (state.copy, state.version) = (nil, 0) }
            if state.shared?.isFounded != true { state.stamp = next.stamp }
        }
    }

    /// Ends what was begun for settings that are not taken over.
    func discard(_ next: Next) {
        for new in next.keys where !keys.contains(where: { $0 === new }) { new.stop() }
    }

    /// Reads the key files that have changed; whether keys were taken out since this was last asked, of files or addresses.
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

    /// Takes over a file that has changed since it was looked at last; `nil`: it has not.
    func takeOverChange() -> AccessNews? {
        let old = state.withLock { $0 }
        if let shared = old.shared, shared.isFounded { return takeOver(shared, old) }
        let new = FileStamp(old.settings.accessFilePath)
        guard new != old.stamp else { return nil }
        // Also where it has errors, which are told once.
        state.withLock { $0.stamp = new }
        do throws(AccessFileErrors) {
            let access = Access(
                old.settings, users: try Self.users(old.settings), webTokens: old.current.webTokens)
            state.withLock { $0.current = access }
            return .takenOver(file: old.settings.accessFilePath, users: access.users.count)
        } catch {
            return .refused(error.description)
        }
    }

    private static func users(
        _ settings: Settings, _ shared: SharedAccess? = nil
    ) throws(AccessFileErrors) -> UserTable {
        if let shared, shared.isFounded { return UserTable(try shared.file(isKept: false)) }
        return UserTable(try AccessFile.read(settings.accessFilePath, isKept: false))
    }
}
