/// What handlers are handed: an HTTP request or a WebSocket message.
///
/// A reference, shared by all the handlers that it passes through. Any thread.
public protocol HandlerMessage: AnyObject, Sendable {
    /// What ``Routing`` compares with its patterns, and replaces by what the pattern leaves over.
    ///
    /// The path of an HTTP request, percent-encoded; of other messages whatever was set, empty at first.
    var value: String { get set }

    /// What the groups of the matched pattern stood for.
    var params: [String] { get set }

    /// What a handler left for the one that handles errors; empty: nothing.
    var lastError: String { get set }

    /// Says that it is finished: a ``Chain`` stops before its next handler.
    func end()

    /// Whether somebody has said so.
    var isEnded: Bool { get }
}
