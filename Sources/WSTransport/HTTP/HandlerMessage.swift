/// What handlers are given: an HTTP request or a WebSocket message.
///
/// A reference type, shared by all handlers that it passes. Any thread.
public protocol HandlerMessage: AnyObject, Sendable {
    /// What ``Routing`` compares with its patterns, and replaces by the rest that the pattern leaves.
    ///
    /// The path of an HTTP request, percent-encoded; for other messages a value that was set, empty at first.
    var value: String { get set }

    /// The values of the groups in the matched pattern.
    var params: [String] { get set }

    /// A value that a handler left for the error handler; empty: none.
    var lastError: String { get set }

    /// Marks it as finished: a ``Chain`` stops before its next handler.
    func end()

    /// Whether it was marked as finished.
    var isEnded: Bool { get }
}
