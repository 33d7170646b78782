/// A property of clients, by which they can be sorted and selected; also a column of the table of clients.
package enum ClientField: String, Sendable, CaseIterable {
    case id, node, user, address, listener
    case protocolName = "protocol"
    case origin, agent, tls, age, subscriptions, published, rate, policy, behind, pending, waiting, kernel
    case roundTrip = "rtt"
    case received, sent, reactor

    /// The type of a field's values.
    package enum Kind: Sendable {
        case text
        case count
        /// In bytes.
        case bytes
        /// In milliseconds.
        case time
    }

    /// The type of the field's values, which decides what they can be compared with.
    package var kind: Kind {
        switch self {
        case .id, .node, .user, .address, .listener, .protocolName, .origin, .agent, .tls, .policy, .behind: .text
        case .subscriptions, .published, .rate, .reactor: .count
        case .pending, .kernel, .received, .sent: .bytes
        case .age, .waiting, .roundTrip: .time
        }
    }

    /// Whether the value requires a system call or a look at each subscription.
    package var isDetail: Bool { self == .received || self == .sent || self == .policy }

    /// The value of a numeric field for a client; `nil` if it has none, or if the field is text.
    ///
    /// - Parameter now: Unix milliseconds.
    package func number(of client: ClientSummary, now: Int64) -> Double? {
        switch self {
        case .age: client.connectedAt.map { Double(max(0, now - max(0, $0))) }
        case .subscriptions: Double(client.subscriptions)
        case .published: Double(client.published)
        // A client that has just connected counts as connected for a second.
        case .rate:
            client.connectedAt.map { Double(client.published) / Double(max(1000, now - max(0, $0))) * 1000 }
        case .pending: Double(client.pendingBytes)
        case .waiting: client.waitingMilliseconds
        case .kernel: Double(client.kernelBytes)
        case .roundTrip: client.roundTripMilliseconds
        case .received: client.receivedBytes.map(Double.init)
        case .sent: client.sentBytes.map(Double.init)
        case .reactor: Double(client.reactor)
        case .id, .node, .user, .address, .listener, .protocolName, .origin, .agent, .tls, .policy, .behind: nil
        }
    }

    /// The value of a text field for a client; `nil` if it has none, or if the field is a number.
    package func text(of client: ClientSummary) -> String? {
        switch self {
        case .id: client.id
        case .node: client.node
        case .user: client.user
        case .address: client.address
        case .listener: client.listener
        case .protocolName: client.protocolName
        case .origin: client.origin
        case .agent: client.agent
        case .tls: client.tls
        case .policy: client.policy
        case .behind: client.isBehind ? "yes" : "no"
        default: nil
        }
    }

    /// Whether one client sorts before another: larger numbers first, texts alphabetically, missing values last.
    package func precedes(_ first: ClientSummary, _ second: ClientSummary, now: Int64) -> Bool {
        guard kind == .text else {
            switch (number(of: first, now: now), number(of: second, now: now)) {
            case (let first?, let second?) where first != second: return first > second
            case (_?, nil): return true
            case (nil, _?): return false
            default: return first.id < second.id
            }
        }
        switch (text(of: first), text(of: second)) {
        case (let one?, let other?) where one != other: return one < other
        case (_?, nil): return true
        case (nil, _?): return false
        default: return first.id < second.id
        }
    }
}

/// A condition on clients, such as `pending > 64KiB`, `user = bob` or `address ~ 10.0.`.
package struct ClientCondition: Sendable {
    /// The maximum number of conditions in one request.
    package static let maximumCount = 8

    /// Why a text is not a condition: a phrase.
    package struct ParseError: Error, Sendable { package let description: String }

    private enum Comparison: String, CaseIterable {
        // Operators of two characters come first, because their first character is an operator, too.
        case atLeast = ">="
        case atMost = "<="
        case isNot = "!="
        case more = ">"
        case less = "<"
        case equals = "="
        case contains = "~"

        func holds(_ left: Double, _ right: Double) -> Bool {
            switch self {
            case .atLeast: left >= right
            case .atMost: left <= right
            case .more: left > right
            case .less: left < right
            case .isNot: left != right
            case .equals, .contains: left == right
            }
        }
    }

    /// The field that the condition is about.
    package let field: ClientField
    private let comparison: Comparison
    private let text: String
    private let number: Double

    /// Parses a condition.
    package init(parsing source: String) throws(ParseError) {
        let start = source.firstIndex { "<>=!~".contains($0) } ?? source.endIndex
        let name = Self.trimmed(source[..<start])
        guard let field = ClientField(rawValue: name) else {
            let known = ClientField.allCases.map(\.rawValue).joined(separator: ", ")
            throw ParseError(description: "there is no field \"\(name)\"; expected one of \(known)")
        }
        guard let comparison = Comparison.allCases.first(where: { source[start...].hasPrefix($0.rawValue) }) else {
            throw ParseError(description: "expected FIELD, one of > >= < <= = != ~, and a value")
        }
        self.field = field
        self.comparison = comparison
        text = Self.trimmed(source[start...].dropFirst(comparison.rawValue.count))
        guard field.kind == .text else {
            guard comparison != .contains, let number = Self.number(text, field.kind) else {
                throw ParseError(description: "\(field.rawValue): expected \(Self.example(field.kind))")
            }
            self.number = number
            return
        }
        number = 0
        guard [.equals, .isNot, .contains].contains(comparison) else {
            throw ParseError(description: "\(field.rawValue): expected = != or ~, as it is text")
        }
    }

    /// Whether the condition holds for a client; if the value is missing, only `!=` holds.
    ///
    /// - Parameter now: Unix milliseconds.
    package func holds(for client: ClientSummary, now: Int64) -> Bool {
        guard field.kind == .text else {
            guard let value = field.number(of: client, now: now) else { return comparison == .isNot }
            return comparison.holds(value, number)
        }
        guard let value = field.text(of: client) else { return comparison == .isNot }
        return switch comparison {
        case .contains: value.contains(text)
        case .isNot: value != text
        default: value == text
        }
    }

    private static func trimmed(_ text: Substring) -> String {
        var text = text
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }

    private static func example(_ kind: ClientField.Kind) -> String {
        switch kind {
        case .text: "text"
        case .count: "a number"
        case .bytes: "a number of bytes such as 512 or 64KiB"
        case .time: "a time such as 20ms, 1.5s, 10m or 1h"
        }
    }

    /// The units of a type, longer names first.
    private static func units(_ kind: ClientField.Kind) -> [(name: String, factor: Double)] {
        switch kind {
        case .text: []
        case .count: [("", 1)]
        case .bytes:
            [("KiB", 1024), ("MiB", 1_048_576), ("GiB", 1_073_741_824), ("TiB", 1_099_511_627_776), ("B", 1), ("", 1)]
        case .time: [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
        }
    }

    private static func number(_ text: String, _ kind: ClientField.Kind) -> Double? {
        guard let unit = units(kind).first(where: { text.hasSuffix($0.name) }) else { return nil }
        let digits = trimmed(text.dropLast(unit.name.count))
        guard digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 || $0 == 0x2E }), let number = Double(digits) else {
            return nil
        }
        return number.isFinite ? number * unit.factor : nil
    }
}
