/// The name of the `ws` module, so that calls read `ws.connect(…)`, `ws.upgrade { … }`, `ws.TEXT`.
public typealias ws = WS

/// The `ws` module: its constants, types and functions.
public enum WS {
    /// The opcode of a continuation frame: 0.
    public static let CONTINUE = Opcode.continuation
    /// The opcode of a text message: 1.
    public static let TEXT = Opcode.text
    /// The opcode of a binary message: 2.
    public static let BINARY = Opcode.binary
    /// The opcode of a Close frame: 8.
    public static let CLOSE = Opcode.close
    /// The opcode of a PING: 9.
    public static let PING = Opcode.ping
    /// The opcode of a PONG: 10.
    public static let PONG = Opcode.pong

    /// The state of a socket whose opening handshake is in progress: 0.
    public static let CONNECTING = ReadyState.connecting
    /// The state of a socket that can send messages: 1.
    public static let OPEN = ReadyState.open
    /// The state of a socket whose closing handshake is in progress: 2.
    public static let CLOSING = ReadyState.closing
    /// The state of a socket that has ended: 3.
    public static let CLOSED = ReadyState.closed
}
