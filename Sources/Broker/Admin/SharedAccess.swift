internal import Cryptography
internal import Synchronization
package import WSTransport

/// The users, tokens and bans that the brokers of a cluster share.
///
/// Each is a retained value below `$cluster`, so every broker gets every change from the log, in one order, and a copy
/// of a store includes them. Clients can neither publish nor read there (``Topic/isPrivate``). Any thread.
package final class SharedAccess: Sendable {
    /// A value, and the number of the message that set it.
    struct Line: Sendable {
        let bytes: [UInt8]
        let seq: UInt64
    }

    private struct State {
        /// The lines of the file of users and tokens, by their topics.
        var lines: [String: Line] = [:]
        var bans: [String: Line] = [:]
        /// The rules of the cluster, in each log.
        var rules: [Int: Line] = [:]
        /// Topics of bans that an administrator is adding at this broker; the request reports when they are in force.
        var beingAdded: Set<String> = []
        /// Whether the shared data is in force, instead of the brokers' own files.
        var isInForce = false
        /// Rises with each change of the lines.
        var version = 0
        /// The number of the newest applied message.
        var position: UInt64 = 0
        /// Topics in the store from another cluster, to which this broker belonged before.
        var stale: [Topic] = []
        var publisher: Remote?
        var onChange: @Sendable () -> Void = {}
        var onBans: @Sendable (BanList) -> Void = { _ in }
        var onRules: @Sendable ([UInt8], Int) -> Void = { _, _ in }
    }

    private static let access = "$cluster/access/"
    private static let bans = "$cluster/bans/"
    /// Has a value when a broker's users and tokens are in the log.
    private static let inForceMark = Topic(unchecked: "$cluster/founded")
    /// The topic of the rules that are in force at all brokers.
    package static let rules = Topic(unchecked: "$cluster/rules")

    /// The topic of the rules in one of several logs.
    ///
    /// Each log after the first has a copy, which applies to its messages.
    package static func rules(of partition: Int) -> Topic {
        partition == 0 ? rules : Topic(unchecked: "\(Partitions.prefix)\(partition)/rules")
    }

    /// The log whose rules have this topic; `nil` if it is not a topic of rules.
    private static func partition(ofRules topic: Topic) -> Int? {
        if topic == rules { return 0 }
        guard topic.name.hasPrefix(Partitions.prefix), topic.name.hasSuffix("/rules") else { return nil }
        return Int(topic.name.dropFirst(Partitions.prefix.count).dropLast("/rules".count))
    }
    /// How often a change is tried if it conflicts with one of another broker.
    private static let attempts = 8
    /// How many lines are published at once.
    private static let piece = 500

    private let state = Mutex(State())
    /// The bans in force at this broker.
    private let inForce: Bans
    /// How long a publication waits for the engine, plus a margin, in nanoseconds.
    private let patience: Int64

    /// - Parameters:
    ///   - inForce: receives the bans.
    ///   - patience: the maximum time that a publication waits for the engine, in nanoseconds.
    package init(_ inForce: Bans, patience: Int64) {
        (self.inForce, self.patience) = (inForce, patience + 5_000_000_000)
    }

    /// The filter that matches all shared data.
    package static let filter = TopicFilter(unchecked: "$cluster/#", isLiteral: false)

    /// Begins to report changes, and to publish on a reactor.
    ///
    /// - Parameters:
    ///   - onChange: users or tokens have changed; must not block.
    ///   - onBans: bans have changed, and not by an administrator of this broker; must not block.
    ///   - onRules: gets new rules of a log, before any message that comes after them; must not block.
    package func begin(
        publishingOn remote: Remote, onChange: @escaping @Sendable () -> Void,
        onBans: @escaping @Sendable (BanList) -> Void,
        onRules: @escaping @Sendable (_ rules: [UInt8], _ partition: Int) -> Void = { _, _ in }
    ) {
        let known = state.withLock {
            ($0.publisher, $0.onChange, $0.onBans, $0.onRules) = (remote, onChange, onBans, onRules)
            return $0.rules
        }
        // The rules of the first log have been in force since the start.
        for (partition, line) in known where partition > 0 { onRules(line.bytes, partition) }
    }

    // MARK: Messages of the log

    /// Takes the topics that the store has at the start, which belong to another cluster or to none.
    package func forgo(_ topics: [Topic]) { state.withLock { $0.stale = topics } }

    /// Applies messages of private topics, in the order of their log.
    package func take(_ messages: [Message]) {
        // Before the position is set, for which callers wait.
        for message in messages where !message.isRemoval {
            guard let partition = Self.partition(ofRules: message.topic) else { continue }
            let tell = state.withLock { state in
                state.rules[partition] = Line(bytes: message.payload.array, seq: message.number)
                return state.onRules
            }
            tell(message.payload.array, partition)
        }
        // Everything else is in the first log.
        guard let last = messages.last(where: { !$0.topic.name.hasPrefix(Partitions.prefix) }) else { return }
        let (isChanged, areBansChanged, mustReport, tell) = state.withLock { state in
            let version = state.version
            var (areBansChanged, mustReport) = (false, false)
            for message in messages {
                let name = message.topic.name
                let line = message.isRemoval ? nil : Line(bytes: message.payload.array, seq: message.number)
                if message.topic == Self.inForceMark {
                    state.isInForce = line != nil
                    state.version += 1
                } else if name.hasPrefix(Self.access) {
                    state.lines[name] = line
                    state.version += 1
                } else if name.hasPrefix(Self.bans) {
                    state.bans[name] = line
                    areBansChanged = true
                    if !state.beingAdded.contains(name) { mustReport = true }
                }
            }
            if areBansChanged { inForce.replace(with: state.bans.values.compactMap { Ban(shared: $0) }) }
            state.position = last.number
            let isChanged = state.version != version && state.isInForce
            return (isChanged, areBansChanged, mustReport, (state.onChange, state.onBans))
        }
        if isChanged { tell.0() }
        if areBansChanged, mustReport { tell.1(inForce.list) }
    }

    /// Whether the shared data is in force; until a broker has contributed its file, each broker uses its own.
    package var isInForce: Bool { state.withLock { $0.isInForce } }

    /// Rises with each change of users and tokens.
    package var version: Int { state.withLock { $0.version } }

    /// The users and tokens as a file; throws if a line cannot be read.
    ///
    /// - Parameter isKept: whether the file will be changed.
    package func file(isKept: Bool = true) throws(AccessFileErrors) -> AccessFile {
        try Self.file(of: state.withLock { $0.lines }, isKept: isKept)
    }

    private static func file(of lines: [String: Line], isKept: Bool = true) throws(AccessFileErrors) -> AccessFile {
        var bytes: [UInt8] = []
        // The same order at all brokers.
        for line in lines.values.map(\.bytes).sorted(by: { $0.lexicographicallyPrecedes($1) }) {
            bytes += line
            bytes.append(10)
        }
        return try AccessFile(bytes, file: "the users of the cluster", isKept: isKept)
    }

    // MARK: Changes

    /// A change to publish: a new line, or the removal of one.
    private struct Change: Sendable {
        let topic: String
        let bytes: [UInt8]?
        var condition = Draft.Condition.none
        var timeToLive: Int64?
    }

    private static let unready = Refusal(
        .unavailable, "The brokers of the cluster do not share their users yet; try again.")

    /// Changes users and tokens at all brokers; returns when this one has the change.
    ///
    /// Not for reactors: it waits for the log. `edit` is called again if another broker's change came first.
    package func change<Value>(
        _ edit: (inout AccessFile) throws(AccessFileErrors) -> Value
    ) -> Result<Value, Refusal> {
        for _ in 0..<Self.attempts {
            let (lines, isInForce) = state.withLock { ($0.lines, $0.isInForce) }
            guard isInForce else { return .failure(Self.unready) }
            do throws(AccessFileErrors) {
                var file = try Self.file(of: lines)
                let value = try edit(&file)
                let changes = try Self.changes(from: lines, to: file)
                if let refusal = publish(changes) {
                    if refusal.code == .conflict { continue }
                    return .failure(refusal)
                }
                try tidy(after: changes, file)
                return .success(value)
            } catch {
                return .failure(Refusal(error))
            }
        }
        return .failure(Refusal(.unavailable, "Other brokers change users at the same time; try again."))
    }

    /// The changes that turn `lines` into those of `file`.
    private static func changes(
        from lines: [String: Line], to file: AccessFile
    ) throws(AccessFileErrors) -> [Change] {
        let wanted = try topics(of: file)
        var (puts, removals): ([Change], [Change]) = ([], [])
        for (topic, bytes) in wanted where lines[topic]?.bytes != bytes {
            let condition = lines[topic].map { Draft.Condition.matches([$0.seq]) } ?? .absent
            puts.append(Change(topic: topic, bytes: bytes, condition: condition))
        }
        // A token that is already gone is not a conflict. A user is removed last, so that a failed request can be
        // repeated.
        for (topic, line) in lines where wanted[topic] == nil {
            let isUser = line.bytes.starts(with: Self.userStart)
            let change = Change(topic: topic, bytes: nil, condition: isUser ? .matches([line.seq]) : .none)
            removals.insert(change, at: isUser ? removals.endIndex : 0)
        }
        return puts + removals
    }

    private static let userStart = Array(#"{"user""#.utf8)

    /// The lines of a file, by their topics.
    private static func topics(of file: AccessFile) throws(AccessFileErrors) -> [String: [UInt8]] {
        var (lines, size) = ([String: [UInt8]](), 0)
        var revoked: [String: Int64] = [:]
        for entry in file.entries {
            let topic = try topic(access, entry.content.identity)
            // Of several revocations of a user, the last one counts.
            if case .revoked(.user(_, let before)) = entry.content {
                guard before >= revoked[topic] ?? .min else { continue }
                revoked[topic] = before
            }
            let bytes = entry.bytes
            size += bytes.count + 1
            lines[topic] = bytes
        }
        guard size <= AccessFile.maximumSize else {
            throw AccessFileErrors("", "expected at most \(AccessFile.maximumSize) bytes of users and tokens")
        }
        return lines
    }

    /// The topic for an identity, which it does not reveal.
    private static func topic(_ prefix: String, _ identity: String) throws(AccessFileErrors) -> String {
        do throws(CryptographyError) {
            let digest = try HashFunction.sha256.digest(of: identity.utf8Span.span)
            return prefix + digest.prefix(16).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        } catch {
            throw AccessFileErrors("", error.description)
        }
    }

    /// Removes tokens whose user another broker has removed at the same time.
    private func tidy(after changes: [Change], _ file: AccessFile) throws(AccessFileErrors) {
        let made = Set(changes.filter { $0.bytes != nil }.map(\.topic))
        let removed = Set(changes.filter { $0.bytes == nil && $0.condition != .none }.map(\.topic))
        let lines = state.withLock { $0.lines }
        var (orphans, isOwn): ([Change], Bool) = ([], false)
        for token in removed.isEmpty ? file.tokens : try Self.file(of: lines, isKept: false).tokens {
            let topic = try Self.topic(Self.access, AccessEntry.Content.token(token).identity)
            guard lines[topic] != nil, !removed.isEmpty || made.contains(topic) else { continue }
            let user = try Self.topic(Self.access, AccessEntry.Content.user(AccessUser(token.user)).identity)
            guard lines[user] == nil, made.contains(topic) || removed.contains(user) else { continue }
            isOwn = isOwn || made.contains(topic)
            orphans.append(Change(topic: topic, bytes: nil))
        }
        guard !orphans.isEmpty else { return }
        _ = publish(orphans)
        if isOwn { throw AccessFileErrors(absent: "the user was removed at the same time") }
    }

    /// Publishes the contents of this broker's file; from then on the shared data is in force instead of the files.
    ///
    /// Not for reactors.
    package func contribute(_ file: AccessFile) {
        guard !isInForce, let lines = try? Self.topics(of: file) else { return }
        let (stale, known) = state.withLock { state in
            (Set(state.stale.map(\.name)), Set(state.lines.keys).union(state.bans.keys))
        }
        // Values of another cluster are only in this broker's store, not in the log.
        var changes = stale.subtracting(lines.keys).subtracting(known).map { Change(topic: $0, bytes: nil) }
        changes += lines.map { topic, bytes in
            let isStale = stale.contains(topic) && !known.contains(topic)
            return Change(topic: topic, bytes: bytes, condition: isStale ? .none : .absent)
        }
        for start in stride(from: 0, to: changes.count, by: Self.piece) {
            // An entry that another broker has published already stays.
            let refusal = publish(Array(changes[start..<min(start + Self.piece, changes.count)]))
            guard refusal.map({ $0.code == .conflict }) ?? true else { return }
        }
        _ = publish([Change(topic: Self.inForceMark.name, bytes: Array("{}".utf8), condition: .absent)])
    }

    /// Whether the cluster has rules.
    package var hasRules: Bool { state.withLock { $0.rules[0] != nil } }

    /// Puts rules in force at all brokers, and waits until this one has them; returns the refusal if that fails.
    ///
    /// Not for reactors.
    ///
    /// - Parameter isFirst: whether to do so only if the cluster has no rules yet.
    package func share(rules bytes: [UInt8], isFirst: Bool) -> Refusal? {
        let known = state.withLock { $0.rules[0] }
        let condition = isFirst ? .absent : known.map { Draft.Condition.matches([$0.seq]) } ?? .absent
        return publish([Change(topic: Self.rules.name, bytes: bytes, condition: condition)])
    }

    /// The changes that give each log a correct copy of the rules.
    private func changesOfCopies(_ partitions: Partitions) -> [Change] {
        state.withLock { state in
            guard partitions.count > 1, let rules = state.rules[0] else { return [] }
            return (1..<partitions.count).compactMap { partition in
                let copy = state.rules[partition]
                guard copy?.bytes != rules.bytes else { return nil }
                return Change(
                    topic: Self.rules(of: partition).name, bytes: rules.bytes,
                    condition: copy.map { .matches([$0.seq]) } ?? .absent)
            }
        }
    }

    /// Whether a log does not have its copy of the rules yet.
    package func owesRules(_ partitions: Partitions) -> Bool { !changesOfCopies(partitions).isEmpty }

    /// Copies the rules to the logs that have other ones; another broker may do so first.
    ///
    /// Not for reactors.
    package func copyRules(to partitions: Partitions) { _ = publish(changesOfCopies(partitions), isAwaited: false) }

    // MARK: Bans

    /// Adds bans at all brokers; returns when this one has them, before they are in force at its reactors.
    ///
    /// Not for reactors.
    package func ban(
        _ subjects: [Ban.Subject], seconds: Int64?, note: String, atMost most: Int
    ) -> Result<Bans.Added, Refusal> {
        var added = Bans.Added(list: inForce.list)
        var changes: [Change] = []
        let now = WallClock.unixMilliseconds
        let life = seconds.map { min($0, Bans.longest) * 1000 }
        var chosen: [Ban.Subject] = []
        for subject in subjects {
            guard added.list.contains(subject) || added.list.count + chosen.count < most else {
                added.left += 1
                continue
            }
            guard let topic = try? Self.topic(Self.bans, subject.description) else { continue }
            chosen.append(subject)
            let bytes = Ban.bytes(shared: subject, added: now, expires: life.map { now + $0 }, note: note)
            changes.append(Change(topic: topic, bytes: bytes, timeToLive: life))
        }
        inForce.refused.add(added.left, ordering: .relaxed)
        let topics = changes.map(\.topic)
        state.withLock { $0.beingAdded.formUnion(topics) }
        defer { state.withLock { $0.beingAdded.subtract(topics) } }
        if let refusal = publish(changes) { return .failure(refusal) }
        added.list = inForce.list
        added.bans = chosen.compactMap { added.list.ban(of: $0) }
        return .success(added)
    }

    /// Removes a ban at all brokers; `nil` if there is no such ban.
    ///
    /// Not for reactors.
    package func removeBan(_ id: String) -> Result<(ban: Ban, list: BanList)?, Refusal> {
        guard let ban = inForce.list.all.first(where: { $0.id == id }),
            let topic = try? Self.topic(Self.bans, ban.subject.description)
        else { return .success(nil) }
        if let refusal = publish([Change(topic: topic, bytes: nil)]) { return .failure(refusal) }
        return .success((ban, inForce.list))
    }

    // MARK: Publishing

    /// The results of drafts, from the reactor's thread.
    private final class Outcome: Sendable {
        private struct State {
            var missing: Int
            var newest: UInt64 = 0
            var refusal: Refusal?
        }

        private let state: Mutex<State>
        private let semaphore = Semaphore()

        init(_ count: Int) { state = Mutex(State(missing: count)) }

        func add(_ result: Result<Receipt, Refusal>) {
            let isLast = state.withLock { state in
                state.missing -= 1
                switch result {
                case .success(let receipt): state.newest = max(state.newest, receipt.seq)
                // A refusal by the engine takes precedence over a conflict with another broker.
                case .failure(let refusal): if state.refusal?.code ?? .conflict == .conflict { state.refusal = refusal }
                }
                return state.missing == 0
            }
            if isLast { semaphore.signal() }
        }

        func wait(until deadline: MonotonicTime) -> (newest: UInt64, refusal: Refusal?)? {
            semaphore.wait(until: deadline)
            return state.withLock { $0.missing == 0 ? ($0.newest, $0.refusal) : nil }
        }
    }

    /// Publishes, and waits until this broker has the results; returns the refusal if not all was accepted.
    ///
    /// - Parameter isAwaited: whether to wait until they are in force; only in the first log.
    private func publish(_ changes: [Change], isAwaited: Bool = true) -> Refusal? {
        guard !changes.isEmpty else { return nil }
        let outcome = Outcome(changes.count)
        let isPosted = state.withLock { $0.publisher }?.run { reactor in
            guard let shard = reactor[Shard.self], !shard.isDraining else {
                let refusal = Refusal(.unavailable, "The broker is shutting down.")
                for _ in changes { outcome.add(.failure(refusal)) }
                return
            }
            for change in changes {
                var draft = Draft(topic: Topic(unchecked: change.topic), payload: change.bytes ?? [], kind: .json)
                draft.isRetained = true
                draft.condition = change.condition
                draft.timeToLive = change.timeToLive
                draft.completion = { outcome.add($0) }
                shard.publish(draft, from: nil)
            }
        }
        guard isPosted == true else { return Refusal(.unavailable, "The broker is shutting down.") }
        let deadline = MonotonicTime.now.advanced(byNanoseconds: patience)
        guard let (newest, refusal) = outcome.wait(until: deadline) else { return Self.unsure(nil) }
        // The messages have already been applied; the tail's thread passes them on next.
        while isAwaited, state.withLock({ $0.position }) < newest, MonotonicTime.now < deadline {
            pause(milliseconds: 1)
        }
        guard let refusal, refusal.code != .conflict else { return refusal }
        return Self.unsure(refusal)
    }

    private static func unsure(_ refusal: Refusal?) -> Refusal {
        let reason = refusal.map { " (\($0.message))" } ?? ""
        return Refusal(
            .unavailable,
            "The cluster has not confirmed the change\(reason). Check whether it is in force when the engine is back.")
    }
}

extension AccessEntry.Content {
    /// The identity of an entry: a line replaces another one with the same identity.
    var identity: String {
        switch self {
        case .user(let user): "user \(user.name)"
        case .token(let token): "token \(token.id)"
        case .revoked(.token(let id)): "revoked token \(id)"
        case .revoked(.user(let user, _)): "revoked user \(user)"
        case .revoked(.jti(let identifier)): "revoked jti \(identifier)"
        }
    }
}

extension Ban {
    /// The shared form of a ban.
    fileprivate static func bytes(shared subject: Subject, added: Int64, expires: Int64?, note: String) -> [UInt8] {
        var writer = JSONWriter(capacity: 200)
        writer.beginObject()
        writer.member("kind", subject.kind.rawValue)
        writer.member("name", subject.name)
        writer.member("added", added)
        if let expires { writer.member("expires", expires) }
        if !note.isEmpty { writer.member("note", note) }
        writer.endObject()
        return writer.bytes
    }

    /// Reads a shared ban; `nil` if it has ended, or cannot be read.
    fileprivate init?(shared line: SharedAccess.Line) {
        guard let object = try? JSONObject.parse(line.bytes.span), let kind = try? object.string("kind"),
            let kind = Subject.Kind(rawValue: kind), let name = try? object.string("name"),
            let subject = Subject(kind, name)
        else { return nil }
        let added: Int64? = try? object.integer("added")
        let expires: Int64? = try? object.integer("expires")
        let now = WallClock.unixMilliseconds
        let left = expires.map { min(max($0, 0), Bans.longest * 1000 + now) - now }
        if let left, left <= 0 { return nil }
        self.init(
            id: "b\(line.seq)", subject: subject,
            end: left.map { MonotonicTime.now.advanced(byNanoseconds: $0 * 1_000_000) }, expires: expires,
            added: added ?? 0, note: (try? object.string("note")) ?? "")
    }
}
