package import WSTransport

/// The protocol of subscribers and publishers.
///
/// The protocols of four servers differ only in this. One value serves all connections of a run.
package protocol LoadDialect: Sendable {
    /// Whether connections are WebSockets; otherwise the dialect's messages are sent as they are.
    var isWebSocket: Bool { get }
    /// The target of the opening requests.
    var target: String { get }
    /// The target of one connection, if each has its own.
    func target(of number: Int) -> String
    /// The subprotocol to request; `nil` for none.
    var subprotocol: String? { get }
    /// The kind of its frames.
    var opcode: Opcode { get }

    /// The messages that a subscriber, or a publisher, sends once its WebSocket is open.
    func greeting(isSubscriber: Bool, number: Int) -> [[UInt8]]

    /// The bytes that the server sends once it has processed the greeting; `nil` if it is ready at once.
    func readyMark(isSubscriber: Bool) -> [UInt8]?

    /// The same for one connection, if each has its own.
    func readyMark(isSubscriber: Bool, number: Int) -> [UInt8]?

    /// The message that publishes `payload`.
    func publication(_ payload: [UInt8]) -> [UInt8]

    /// The same for one publisher, if each has its own topic.
    func publication(_ payload: [UInt8], of number: Int) -> [UInt8]

    /// Whether the server answers each publication, with something that contains ``acknowledgement``.
    var isAcknowledged: Bool { get }

    /// The bytes that the answer to an accepted publication contains.
    var acknowledgement: [UInt8] { get }

    /// Finds the payloads in what has arrived, passes each to `body`, and returns how many bytes were whole messages.
    ///
    /// - Parameter bytes: the payloads of a connection's WebSocket messages, the last of which may be cut.
    func read(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) -> Int
}

extension LoadDialect {
    package var isWebSocket: Bool { true }
    package func target(of number: Int) -> String { target }
    package func publication(_ payload: [UInt8], of number: Int) -> [UInt8] { publication(payload) }
    package func readyMark(isSubscriber: Bool, number: Int) -> [UInt8]? { readyMark(isSubscriber: isSubscriber) }
    package var isAcknowledged: Bool { false }
    package var acknowledgement: [UInt8] { [] }
}

/// A broker's topic socket, or any server that forwards the frames it receives.
package struct TopicDialect: LoadDialect {
    package let target: String
    package let subprotocol: String? = nil
    package let opcode = Opcode.text

    /// - Parameter target: the path, such as `/t/bench`.
    package init(target: String) { self.target = target }

    /// The topic sockets of a broker's listener; publishers do not receive their own messages, and no client gets a
    /// retained value.
    package init(prefix: String, topic: String) {
        target = "\(prefix)/t/\(PercentCoding.encodePath(topic))?echo=false&snapshot=false"
    }

    package func greeting(isSubscriber: Bool, number: Int) -> [[UInt8]] { [] }
    package func readyMark(isSubscriber: Bool) -> [UInt8]? { nil }
    package func publication(_ payload: [UInt8]) -> [UInt8] { payload }

    package func read(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) -> Int {
        unsafe body(bytes)
        return bytes.count
    }
}

/// `broker.v1.json`.
package struct JSONDialect: LoadDialect {
    package let target: String
    package let subprotocol: String? = "broker.v1.json"
    package let opcode = Opcode.text
    private let topic: String
    private let filter: String
    private let isRetaining: Bool
    package let isAcknowledged: Bool
    package let acknowledgement = Array(#""op":"ok""#.utf8)
    private let opening = Array(#""data":""#.utf8)

    /// - Parameters:
    ///   - prefix: the listener's path prefix.
    ///   - isRetaining: publications are retained, and so stored.
    ///   isAcknowledged: wait for the answer to each publication.
    package init(
        prefix: String = "", topic: String, filter: String, isRetaining: Bool = false, isAcknowledged: Bool = false
    ) {
        target = prefix + "/ws"
        self.topic = Self.escape(topic)
        self.filter = Self.escape(filter)
        self.isRetaining = isRetaining
        self.isAcknowledged = isAcknowledged
    }

    /// For a JSON string (RFC 8259 §7); topics contain no control characters.
    private static func escape(_ text: String) -> String {
        text.reduce(into: "") { $0 += $1 == "\"" || $1 == "\\" ? "\\\($1)" : "\($1)" }
    }

    package func greeting(isSubscriber: Bool, number: Int) -> [[UInt8]] {
        isSubscriber ? [Array(#"{"op":"subscribe","filter":"\#(filter)"}"#.utf8)] : []
    }

    package func readyMark(isSubscriber: Bool) -> [UInt8]? { isSubscriber ? Array(#""op":"live""#.utf8) : nil }

    package func publication(_ payload: [UInt8]) -> [UInt8] {
        let options = (isAcknowledged ? #","id":1"# : "") + (isRetaining ? #","retain":true,"# : ",")
        return Array(#"{"op":"publish","topic":"\#(topic)"\#(options)"#.utf8) + opening + payload + [0x22, 0x7D]
    }

    package func read(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) -> Int {
        // A load's payload contains nothing to escape.
        guard let start = unsafe bytes.firstRange(of: opening)?.upperBound,
            let end = unsafe bytes[start...].firstIndex(of: 0x22)
        else { return bytes.count }
        unsafe body(UnsafeRawBufferPointer(rebasing: bytes[start..<end]))
        return bytes.count
    }
}

extension UnsafeRawBufferPointer {
    /// Where `pattern`, which is not empty, first occurs.
    func firstRange(of pattern: [UInt8]) -> Range<Int>? {
        guard count >= pattern.count else { return nil }
        for start in 0...(count - pattern.count) where unsafe self[start] == pattern[0] {
            var length = 1
            while length < pattern.count, unsafe self[start + length] == pattern[length] { length += 1 }
            if length == pattern.count { return start..<start + length }
        }
        return nil
    }
}

/// A server that sends each message back to its sender.
package struct EchoDialect: LoadDialect {
    package let target: String
    package let subprotocol: String? = nil
    package let opcode = Opcode.text
    package let isAcknowledged = true
    /// A digit that is in every payload.
    package let acknowledgement = Array("0".utf8)

    /// - Parameter target: the path, such as `/echo`.
    package init(target: String) { self.target = target }

    package func greeting(isSubscriber: Bool, number: Int) -> [[UInt8]] { [] }
    package func readyMark(isSubscriber: Bool) -> [UInt8]? { nil }
    package func publication(_ payload: [UInt8]) -> [UInt8] { payload }
    package func read(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) -> Int { bytes.count }
}

/// A topic socket for each client, on its own topic with a retained value: clients that return after a broker's
/// restart.
package struct RetainedDialect: LoadDialect {
    package let target: String
    package let subprotocol: String? = nil
    package let opcode = Opcode.text

    /// - Parameter target: the path to which the clients' numbers are appended, such as `/t/storm`.
    package init(target: String) { self.target = target }

    /// The retained value of a client's topic.
    package static func value(_ number: Int) -> String { "value of client \(number)." }

    package func target(of number: Int) -> String { "\(target)/\(number)" }
    package func greeting(isSubscriber: Bool, number: Int) -> [[UInt8]] { [] }
    package func readyMark(isSubscriber: Bool) -> [UInt8]? { nil }
    package func readyMark(isSubscriber: Bool, number: Int) -> [UInt8]? { Array(Self.value(number).utf8) }
    package func publication(_ payload: [UInt8]) -> [UInt8] { payload }
    package func read(_ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) -> Int { bytes.count }
}
