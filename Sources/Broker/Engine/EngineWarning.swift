package import WSTransport

/// Something that should be set differently, although the engine can be used as it is.
///
/// It is never a reason to refuse the engine: a running cluster must also be able to use a replica that was promoted with
/// other settings.
package struct EngineWarning: Equatable, Sendable {
    package enum Cause: String, Sendable {
        /// The primary accepts writes that no replica gets.
        case replicas
        /// The clocks of the broker and of a server differ.
        case clock
    }

    package let cause: Cause
    package let server: Endpoint
    /// A sentence that says what to set.
    package let text: String

    /// The largest difference of two clocks that is not reported, in milliseconds.
    private static let tolerance: Int64 = 2000

    /// Asks a server for what should be set differently; `then` gets what is found, in parts.
    ///
    /// - Parameter readsAt: where the log is read.
    static func look(
        at link: EngineLink, as role: EngineRoute.Role, readsAt: EngineRoute.Role, _ then: @escaping ([Self]) -> Void
    ) {
        let began = WallClock.unixMilliseconds
        let server = link.endpoint
        link.ask(["TIME"]) { answer in
            let words = (try? answer.get())?.elements ?? []
            guard words.count == 2, let seconds = words[0].integer, let micros = words[1].integer else { return }
            let time = seconds * 1000 + micros / 1000
            if let warning = clock(time, (began, WallClock.unixMilliseconds), of: server) { then([warning]) }
        }
        guard role == .primary else { return }
        link.ask(["INFO", "replication"]) { answer in
            // Without any replica, which is allowed if the log is read at the primary, it could not write at all.
            let facts = (try? answer.get()).map { EngineInspection.facts($0) } ?? [:]
            guard readsAt == .replica || facts["connected_slaves"].map({ $0 != "0" }) ?? false else { return }
            link.ask(["CONFIG", "GET", "min-replicas-to-write"]) { answer in
                // A service that does not show its settings is trusted.
                guard (try? answer.get())?.elements?.last?.text == "0" else { return }
                then([writesAlone(server)])
            }
        }
    }

    private static func writesAlone(_ server: Endpoint) -> Self {
        Self(
            cause: .replicas, server: server,
            text: """
                The primary \(server) accepts records that no replica gets: set min-replicas-to-write 1 in it and in its \
                replicas, so that the smaller side of a divided network accepts nothing.
                """)
    }

    /// - Parameters:
    ///   - time: the server's, in Unix milliseconds.
    ///   - bounds: this broker's times before and after the server was asked.
    private static func clock(_ time: Int64, _ bounds: (Int64, Int64), of server: Endpoint) -> Self? {
        // The server read its clock at some moment in between.
        let ahead = max(0, bounds.0 - time)
        let behind = max(0, time - bounds.1)
        guard max(ahead, behind) > tolerance else { return nil }
        return Self(
            cause: .clock, server: server,
            text: """
                This broker's clock is \(max(ahead, behind) / 1000) s \(ahead > 0 ? "ahead of" : "behind") that of \(server): \
                synchronise both (NTP), because values expire by the engine's clock, and tokens by the broker's.
                """)
    }
}
