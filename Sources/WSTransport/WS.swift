/// The `ws` module's name, so that call sites read `ws.upgrade { … }`, `ws.TEXT`.
package typealias ws = WS

/// The `ws` module: its constants here, its verbs beside what they make.
package enum WS {
    package static let CONTINUE = Opcode.continuation
    package static let TEXT = Opcode.text
    package static let BINARY = Opcode.binary
    package static let CLOSE = Opcode.close
    package static let PING = Opcode.ping
    package static let PONG = Opcode.pong

    /// How far a socket has come.
    ///
    /// The numbers are those of the WHATWG API.
    package enum ReadyState: Int, Sendable {
        case connecting = 0
        case open = 1
        case closing = 2
        case closed = 3
    }

    package static let CONNECTING = ReadyState.connecting
    package static let OPEN = ReadyState.open
    package static let CLOSING = ReadyState.closing
    package static let CLOSED = ReadyState.closed
}
