internal import Synchronization

/// The response to a ``ServerRequest``, which the handlers fill in.
///
/// It is sent when the handlers have finished. Any thread.
public final class ServerResponse: Sendable {
    private struct State {
        var statusCode = 200
        var fields: HeaderFields = [:]
        var body: [UInt8] = []
        var isEnded = false
    }

    private let state = Mutex(State())

    init() {}

    /// The status; 200 by default.
    public var statusCode: Int {
        get { state.withLock { $0.statusCode } }
        set { state.withLock { $0.statusCode = newValue } }
    }

    /// The header fields, without `Content-Length`, `Connection` and `Date`, which the server adds.
    public var fields: HeaderFields {
        get { state.withLock { $0.fields } }
        set { state.withLock { $0.fields = newValue } }
    }

    /// The body; empty by default.
    public var body: [UInt8] {
        get { state.withLock { $0.body } }
        set { state.withLock { $0.body = newValue } }
    }

    /// Appends bytes to the body.
    public func write(_ bytes: [UInt8]) { state.withLock { $0.body += bytes } }

    /// Appends text to the body as UTF-8; sets `Content-Type` to `text/plain` if it is not set.
    public func write(_ text: String) {
        state.withLock { state in
            if state.fields.first("Content-Type") == nil {
                state.fields.append("Content-Type", "text/plain; charset=utf-8")
            }
            state.body += Array(text.utf8)
        }
    }

    /// Makes the response a redirect.
    ///
    /// - Parameters:
    ///   - location: a URL, or a path of this server.
    ///   - status: 301, 302, 303, 307 or 308.
    public func redirect(_ location: String, status: Int = 302) {
        state.withLock { state in
            state.statusCode = status
            state.fields.append("Location", location)
        }
    }

    /// Marks the response as finished; a ``Chain`` then stops before its next handler.
    public func end() { state.withLock { $0.isEnded = true } }

    /// Whether ``end()`` was called.
    public var isEnded: Bool { state.withLock { $0.isEnded } }

    /// The response in the form in which it is sent.
    var outgoing: OutgoingResponse {
        state.withLock { OutgoingResponse(status: $0.statusCode, fields: $0.fields, body: $0.body) }
    }
}
