/// The input of handlers: an HTTP request or a WebSocket message.
///
/// A reference type, shared by all handlers that process it. Any thread.
public protocol HandlerMessage: AnyObject, Sendable {
    /// The text that ``Routing`` matches; a matching route replaces it with what its pattern did not match.
    ///
    /// For an HTTP request this is the path, percent-encoded; for other messages it is empty until a handler sets it.
    var value: String { get set }

    /// The values of the parameters and groups in the matched pattern, in order.
    var params: [String] { get set }

    /// An error that a handler left for the error handler; empty if there is none.
    var lastError: String { get set }

    /// Marks the message as finished; a ``Chain`` then stops before its next handler.
    func end()

    /// Whether the message was marked as finished.
    var isEnded: Bool { get }
}
