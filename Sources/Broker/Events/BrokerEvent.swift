internal import WSTransport

/// Something that an operator may have to know: a client that came, left, was refused or is slow; the store; a reload.
package struct BrokerEvent: Sendable {
    /// What happened.
    ///
    /// The words are part of the contract: of `$SYS/events/KIND`, `brokerctl events` and `broker_events_total`.
    package enum Kind: String, Sendable, CaseIterable {
        case connected
        case left
        /// A client, a request or a connection was refused: the detail `by` says what refused it.
        case refused
        /// A client takes less than it is sent, and messages for it are put aside.
        case slow
        /// A client gave no sign of life, and its connection was reset.
        case dead
        case kicked
        /// A client was told that messages were not delivered to it and will not be.
        case gap
        case storeFailed = "store-failed"
        case storeRecovered = "store-recovered"
        case certificate
        case keys
        case users
        case reload
        case drain

        /// The place of its counters.
        var index: Int { Self.cases.firstIndex(of: self) ?? 0 }

        // There are few: a dictionary would hash the word.
        private static let cases = allCases

        /// What the log says of it.
        var sentence: String {
            switch self {
            case .connected: "a client connected"
            case .left: "a client left"
            case .refused: "refused"
            case .slow: "a client is slow"
            case .dead: "a client is dead"
            case .kicked: "clients were disconnected"
            case .gap: "a client missed messages"
            case .storeFailed: "the store does not take messages"
            case .storeRecovered: "the store takes messages again"
            case .certificate: "a certificate"
            case .keys: "keys of an issuer"
            case .users: "users and tokens"
            case .reload: "settings read again"
            case .drain: "shutting down"
            }
        }

        /// How urgent its line in the log is; `nil`: the log has another line for it.
        var level: Journal.Level? {
            switch self {
            case .connected, .left: .debug
            case .refused, .slow, .dead, .kicked, .gap, .storeRecovered: .info
            case .storeFailed: .error
            case .certificate, .keys, .users, .reload, .drain: nil
            }
        }
    }

    /// One thing that is known of an event.
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
    /// The broker's own name for the client; `nil`: it is about none.
    package var client: String?
    /// The client's user; `nil`: it has none.
    package var user: String?
    /// Where the client connects from, with the port; `nil`: not known.
    package var address: String?
    /// Whether the log gets a line; `false`: it has one that says what to do.
    package var isLogged = true
    /// What else is known, in the order in which it is shown.
    package private(set) var details: [(name: StaticString, value: Detail)] = []

    /// An event of this moment.
    package init(_ kind: Kind) {
        self.kind = kind
        time = WallClock.unixMilliseconds
        // As many as most have, in one piece of memory.
        details.reserveCapacity(4)
    }

    /// The most bytes of one text: what strangers send fills neither memory nor log.
    private static let maximumText = 256

    /// Adds what is known; a long text is cut.
    package mutating func add(_ name: StaticString, _ text: String) {
        let isShort = text.utf8.count <= Self.maximumText
        details.append((name, .text(isShort ? text : String(text.prefix(Self.maximumText / 4)) + "…")))
    }

    /// Adds a number that is known.
    package mutating func add(_ name: StaticString, _ number: Int) { details.append((name, .number(number))) }

    /// The event as an object of JSON.
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

    /// The event as a line of the log; `nil`: the log has another line for it.
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
