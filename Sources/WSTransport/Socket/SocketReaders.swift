extension SocketCore {
    /// The task of a server's closure, which throws no error.
    ///
    /// Its type says that it may: Swift makes an object for each task of the other type, to adapt its function.
    typealias ClosureTask = Task<Void, any Swift.Error>

    /// How much is unsent, as only the reactor knows.
    struct Unsent {
        let count: Int
        /// The reactor's turn after which nothing of it is unsent, unless the reactor tells otherwise; 0 if there is a
        /// backlog.
        let turn: UInt32
    }

    /// Whether the reactor must tell at the end of a turn how much is unsent; if a backlog begins, it tells so anyway.
    enum Update {
        case none
        /// If there is a backlog already.
        case dueIfBehind
        case due
    }

    /// A task that waits for a message, and is resumed once.
    ///
    /// Not a checked continuation, which would need an object for each wait.
    @safe struct Reader: Sendable {
        private let continuation: WebSocket.Waiter

        init(_ continuation: WebSocket.Waiter) { unsafe self.continuation = continuation }

        nonisolated(nonsending) static func wait(_ body: (Reader) -> Void) async throws -> WebSocketMessage? {
            try await unsafe withUnsafeThrowingContinuation { unsafe body(Reader($0)) } ?? nil
        }

        /// A reader or none, in the 8 bytes of a reader: the address of its task is never 0.
        struct Stored {
            private var bits: UInt = 0

            init() {}

            fileprivate init(_ continuation: WebSocket.Waiter) {
                bits = unsafe unsafeBitCast(continuation, to: UInt.self)
            }

            var isNone: Bool { bits == 0 }

            var reader: Reader? {
                bits == 0 ? nil : unsafe Reader(unsafeBitCast(bits, to: WebSocket.Waiter.self))
            }
        }

        var stored: Stored { unsafe Stored(continuation) }

        /// The task that waits.
        var task: TaskMark? { unsafe TaskMark(continuation) }

        func resume(returning message: WebSocketMessage?) { unsafe continuation.resume(returning: .some(message)) }

        /// Resumes the task because it must wait in another way.
        func refuse() { unsafe continuation.resume(returning: .none) }

        func resume(throwing error: any Swift.Error) { unsafe continuation.resume(throwing: error) }
    }
}

/// The tasks that wait for messages, in order; usually at most one, which needs no additional memory.
struct ReaderQueue {
    private var others: [(number: UInt64, reader: SocketCore.Reader)] = []
    /// The number of the first one.
    private var number: UInt64 = 0
    /// The first one, if there is one; an optional reader would take 8 bytes more.
    private var first = SocketCore.Reader.Stored()

    var isEmpty: Bool { first.isNone }

    mutating func append(_ number: UInt64, _ reader: SocketCore.Reader) {
        if isEmpty { (self.number, first) = (number, reader.stored) } else { others.append((number, reader)) }
    }

    @inline(__always)
    mutating func popFirst() -> SocketCore.Reader? {
        guard let reader = first.reader else { return nil }
        first = SocketCore.Reader.Stored()
        if !others.isEmpty { moveUp() }
        return reader
    }

    private mutating func moveUp() {
        let next = others.removeFirst()
        (number, first) = (next.number, next.reader.stored)
    }

    /// Removes and returns the reader with this number; `nil` if it does not wait (any more).
    mutating func remove(_ number: UInt64) -> SocketCore.Reader? {
        if !isEmpty, self.number == number { return popFirst() }
        guard let index = others.firstIndex(where: { $0.number == number }) else { return nil }
        return others.remove(at: index).reader
    }

    /// Removes and returns all.
    mutating func removeAll() -> [SocketCore.Reader] {
        defer { self = ReaderQueue() }
        return (first.reader.map { [$0] } ?? []) + others.map(\.reader)
    }
}
