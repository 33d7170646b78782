internal import Synchronization

/// The body: bytes with a cursor.
extension WebSocketMessage {
    /// The whole body, regardless of the cursor; `nil`: there is none yet.
    ///
    /// An empty message has an empty body.
    public var data: Data? {
        state.withLock { state in
            guard let body = state.body else { return nil }
            state.position = body.count
            return state.type == .text ? .text(String(decoding: body, as: UTF8.self)) : .binary(body)
        }
    }

    /// The whole body; empty if there is none.
    ///
    /// Setting it moves the cursor to its start.
    public var body: [UInt8] {
        get { state.withLock { $0.body ?? [] } }
        set {
            state.withLock { state in
                state.body = newValue
                state.position = 0
            }
        }
    }

    /// The whole body; `nil`: there is none yet.
    package var bodyIfAny: [UInt8]? { state.withLock { $0.body } }

    /// The size of the body in bytes; 0 if there is none.
    public var length: Int { state.withLock { $0.body?.count ?? 0 } }

    /// The next bytes of the body, at most `count`; `nil` at its end, or if there is none.
    ///
    /// - Parameter count: negative: all that is left.
    public func read(_ count: Int = -1) -> [UInt8]? {
        state.withLock { state in
            guard let body = state.body, state.position < body.count else { return nil }
            let rest = body.count - state.position
            let part = body[state.position..<state.position + (count < 0 ? rest : min(count, rest))]
            state.position += part.count
            return Array(part)
        }
    }

    /// The rest of the body; `nil` if nothing is left.
    public func readAll() -> [UInt8]? { read() }

    /// Moves the cursor to the body's first byte.
    public func rewind() { state.withLock { $0.position = 0 } }

    /// Appends to the body, which is created if there is none; the cursor stays.
    public func write(_ bytes: [UInt8]) {
        state.withLock { state in
            if state.body == nil { state.body = bytes } else { state.body?.append(contentsOf: bytes) }
        }
    }

    /// Appends text, as UTF-8, to the body.
    public func write(_ text: String) { write(Array(text.utf8)) }
}
