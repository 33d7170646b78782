/// The state of a socket.
///
/// The numbers are those of the WebSocket API in browsers.
public enum ReadyState: Int, Comparable, Sendable, CustomStringConvertible {
    /// The opening handshake is in progress.
    case connecting = 0
    /// Messages can be sent.
    case open = 1
    /// The closing handshake is in progress.
    case closing = 2
    /// The socket has ended.
    case closed = 3

    /// Earlier states are smaller.
    public static func < (left: ReadyState, right: ReadyState) -> Bool { left.rawValue < right.rawValue }

    /// The state's name in the API, such as `OPEN`.
    public var description: String {
        switch self {
        case .connecting: "CONNECTING"
        case .open: "OPEN"
        case .closing: "CLOSING"
        case .closed: "CLOSED"
        }
    }
}
