internal import WSTransport

/// An event that an operator may need to know: a client that connected, left, was refused or is slow; the store; a
/// reload.
package struct BrokerEvent: Sendable {
    /// The kind of an event.
    ///
    /// The words are part of the interface: `$SYS/events/KIND`, `brokerctl events` and `broker_events_total`.
    package enum Kind: String, Sendable, CaseIterable {
        case connected
        case left
        /// A client, a request or a connection was refused; the detail `by` says what refused it.
        case refused
        /// A client receives more slowly than messages arrive, and its messages wait outside the connection.
        case slow
        /// A client stopped responding, and its connection was reset.
        case dead
        case kicked
        /// A client was told that it missed messages, which will not be delivered.
        case gap
        case storeFailed = "store-failed"
        case storeRecovered = "store-recovered"
        case certificate
        case keys
        case users
        case reload
        case drain

        /// The index of the kind's counters.
        var index: Int { Self.cases.firstIndex(of: self) ?? 0 }

        // There are so few that a dictionary would be slower.
        private static let cases = allCases

        /// The kind's message in the log.
        var sentence: String {
            switch self {
            case .connected: "a client connected"
            case .left: "a client left"
            case .refused: "refused"
            case .slow: "a client is slow"
            case .dead: "a client is dead"
            case .kicked: "clients were disconnected"
            case .gap: "a client missed messages"
            case .storeFailed: "the store does not accept messages"
            case .storeRecovered: "the store accepts messages again"
            case .certificate: "a certificate"
            case .keys: "keys of an issuer"
            case .users: "users and tokens"
            case .reload: "settings reloaded"
            case .drain: "shutting down"
            }
        }

        /// The level of the kind's line in the log; `nil` if another line of the log reports it.
        var level: Journal.Level? {
            switch self {
            case .connected, .left: .debug
            case .refused, .slow, .dead, .kicked, .gap, .storeRecovered: .info
            case .storeFailed: .error
            case .certificate, .keys, .users, .reload, .drain: nil
            }
        }
    }

    /// The value of a detail.
    package enum Detail: Sendable, Equatable {
        case text(String)
        case number(Int)

        var text: String {
            switch self {
            case .text(let text): text
            case .number(let number): String(number)
            }
        }
    }

    package let kind: Kind
    /// Unix milliseconds.
    package let time: Int64
    /// The broker's name for the client; `nil` if the event is not about a client.
    package var client: String?
    /// The client's user; `nil` if it has none.
    package var user: String?
    /// The client's address, with the port; `nil` if unknown.
    package var address: String?
    /// Whether the event is logged; `false` if another line of the log reports it and says what to do.
    package var isLogged = true
    /// The details, in the order in which they are shown.
    package private(set) var details: [(name: StaticString, value: Detail)] = []

    /// Creates an event with the current time.
    package init(_ kind: Kind) {
        self.kind = kind
        time = WallClock.unixMilliseconds
        // Most events have at most four details, which then take one allocation.
        details.reserveCapacity(4)
    }

    /// The maximum size of one text, in bytes, so that clients can fill neither memory nor log.
    private static let maximumText = 256

    /// Adds a detail; a long text is cut.
    package mutating func add(_ name: StaticString, _ text: String) {
        let isShort = text.utf8.count <= Self.maximumText
        details.append((name, .text(isShort ? text : String(text.prefix(Self.maximumText / 4)) + "…")))
    }

    /// Adds a detail that is a number.
    package mutating func add(_ name: StaticString, _ number: Int) { details.append((name, .number(number))) }

    /// The event as a JSON object.
    package var json: [UInt8] {
        var writer = JSONWriter(capacity: 192)
        writer.beginObject()
        writer.member("time", "\(Timestamp(unixMilliseconds: time))")
        writer.member("event", kind.rawValue)
        if let client { writer.member("client", client) }
        if let user { writer.member("user", user) }
        if let address { writer.member("address", address) }
        for (name, value) in details {
            switch value {
            case .text(let text): writer.member(name, text)
            case .number(let number): writer.member(name, number)
            }
        }
        writer.endObject()
        return writer.bytes
    }

    /// The event as a line of the log; `nil` if another line of the log reports it.
    var entry: Journal.Entry? {
        guard isLogged, let level = kind.level else { return nil }
        var metadata: [(name: String, value: String)] = []
        if let client { metadata.append(("client", client)) }
        if let user { metadata.append(("user", user)) }
        if let address { metadata.append(("address", address)) }
        for (name, value) in details { metadata.append(("\(name)", value.text)) }
        return Journal.Entry(level: level, message: kind.sentence, metadata: metadata)
    }
}
