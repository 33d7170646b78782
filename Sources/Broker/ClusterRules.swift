internal import Synchronization
internal import WSTransport

/// The rules that are in force at all brokers of a cluster, and those of this broker's file.
///
/// The former are a retained value in the log, which each broker adopts at its place in the order. Any thread.
final class ClusterRules: Sendable {
    /// The rules of the cluster, and the broker that has set them.
    struct InForce: Sendable {
        let rules: SharedRules
        /// The name of the broker whose file had them.
        let node: String
        /// When, in Unix milliseconds.
        let time: Int64
        let digest: String
    }

    private struct State {
        var own: SharedRules
        var inForce: InForce?
        /// Why the current rules cannot be used.
        var trouble: String?
        /// Whether the reactors still have other rules.
        var isChanged = false
        /// The last lines for the program's log, and the next ones.
        var toldDifferences: [String] = []
        var toldTrouble: String?
        var news: [Journal.Entry] = []
    }

    private let state: Mutex<State>

    /// - Parameters:
    ///   - settings: of this broker's file.
    ///   - store: has the rules of the cluster, if it belongs to one of its brokers.
    init(_ settings: Settings, _ store: LMDBStore) throws(StorageError) {
        var state = State(own: SharedRules(settings))
        if try store.orderMark() != nil, let value = try store.value(of: SharedAccess.rules, now: .min) {
            do throws(ConfigurationErrors) { state.inForce = try Self.read(value.payload.array) } catch {
                state.trouble = error.description
            }
        }
        self.state = Mutex(state)
    }

    /// The rules of the cluster; `nil` if it has none yet, and each broker's file is in force.
    var inForce: InForce? { state.withLock { $0.inForce } }

    /// Why this broker cannot use the rules of the cluster; `nil` if it can.
    var trouble: String? { state.withLock { $0.trouble } }

    /// The paths at which this broker's file differs from the rules in force.
    var differences: [String] { state.withLock { Self.differences($0) } }

    private static func differences(_ state: borrowing State) -> [String] {
        state.inForce.map { $0.rules.differences(from: state.own) } ?? []
    }

    /// A digest of the rules of this broker's file, for comparison with other brokers.
    var digest: String { Self.digest(state.withLock { $0.own }.bytes) }

    private static func digest(_ bytes: [UInt8]) -> String {
        var digest = LogDigest()
        digest.add(bytes.span)
        return String(digest.value, radix: 16)
    }

    /// Settings of this broker, with the rules that are in force.
    func inForce(in settings: Settings) -> Settings { inForce?.rules.inForce(in: settings) ?? settings }

    // MARK: As a value of the log

    /// A line of JSON that names the broker that sets the rules, then the rules.
    static func bytes(_ rules: SharedRules, of node: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.beginObject()
        writer.member("node", node)
        writer.member("time", WallClock.unixMilliseconds)
        writer.endObject()
        return writer.bytes + [10] + rules.bytes
    }

    private static func read(_ bytes: [UInt8]) throws(ConfigurationErrors) -> InForce {
        let end = bytes.firstIndex(of: 10) ?? bytes.endIndex
        let object = try? JSONObject.parse(Array(bytes[..<end]).span)
        let node = (try? object?.string("node")) ?? ""
        let time: Int64 = (try? object?.integer("time")) ?? 0
        let rules = try SharedRules(Array(bytes[end...].dropFirst()))
        return InForce(rules: rules, node: node, time: time, digest: digest(rules.bytes))
    }

    /// The rules in a value of the log; `nil` if this broker cannot use them.
    static func rules(in bytes: [UInt8]) -> SharedRules? { (try? read(bytes))?.rules }

    /// Adopts a value of the log; returns the rules that the order must use from now on, or `nil` if they cannot be
    /// used.
    func take(_ bytes: [UInt8]) -> SharedRules? {
        do throws(ConfigurationErrors) {
            let new = try Self.read(bytes)
            state.withLock { ($0.inForce, $0.trouble, $0.isChanged) = (new, nil, true) }
            return new.rules
        } catch {
            state.withLock { $0.trouble = error.description }
            return nil
        }
    }

    /// Whether the reactors need other rules; `true` once for each change.
    func takeChange() -> Bool {
        state.withLock { state in
            defer { state.isChanged = false }
            return state.isChanged
        }
    }

    /// Records why the rules cannot be used at this broker.
    func refuse(_ reason: String) { state.withLock { $0.trouble = reason } }

    // MARK: This broker's file

    /// Puts the rules of this broker's file in force at all brokers; returns the refusal if that fails.
    ///
    /// Waits for the log.
    func share(_ settings: Settings, _ shared: SharedAccess, as node: String) -> Refusal? {
        let new = SharedRules(settings)
        let found = state.withLock { state -> InForce? in
            if state.inForce == nil || state.inForce?.rules == new { state.own = new }
            return state.inForce
        }
        guard let found, found.rules != new else { return nil }
        let refusal = shared.share(rules: Self.bytes(new, of: node), isFirst: false)
        return state.withLock { state in
            // Another broker may have set the same rules first.
            if let refusal, refusal.code != .conflict || state.inForce?.rules != new { return refusal }
            state.own = new
            return nil
        }
    }

    /// Contributes the rules of this broker's file to a cluster that has none.
    func contribute(to shared: SharedAccess, as node: String) {
        guard inForce == nil, trouble == nil else { return }
        // Another broker may do so first.
        _ = shared.share(rules: Self.bytes(state.withLock { $0.own }, of: node), isFirst: true)
    }

    /// Records that the reactors have the rules in force, and what that has changed, for the log.
    func tookOver(_ changed: String) {
        state.withLock { state in
            state.news.append(
                Journal.Entry(
                    level: .info, message: "adopted the rules of the cluster",
                    metadata: [("changed", changed), ("set_by", state.inForce?.node ?? "")]))
        }
    }

    /// The lines for the program's log since the last call.
    func takeNews() -> [Journal.Entry] {
        state.withLock { state in
            var news = state.news
            state.news = []
            let differences = Self.differences(state)
            if differences != state.toldDifferences, let inForce = state.inForce {
                news.append(
                    differences.isEmpty
                        ? Journal.Entry(
                            level: .info, message: "the rules of this broker's file are those of its cluster",
                            metadata: [])
                        : Journal.Entry(
                            level: .warning,
                            message: """
                                this broker's file has other rules than its cluster, whose are in force; a reload has the \
                                file's hold at all brokers
                                """,
                            metadata: [("differing", differences.joined(separator: " ")), ("set_by", inForce.node)]))
            }
            if state.trouble != state.toldTrouble, let trouble = state.trouble {
                news.append(
                    Journal.Entry(
                        level: .error, message: "cannot use the rules of the cluster", metadata: [("error", trouble)]))
            }
            (state.toldDifferences, state.toldTrouble) = (differences, state.trouble)
            return news
        }
    }
}
