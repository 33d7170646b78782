internal import Synchronization

/// One message as a client received it.
package struct ReceivedMessage: Equatable, Sendable {
    /// `.text`, which is valid UTF-8, or `.binary`.
    package let opcode: Opcode
    /// The whole payload.
    package let bytes: [UInt8]

    /// A message of these parts.
    package init(opcode: Opcode, bytes: [UInt8]) {
        self.opcode = opcode
        self.bytes = bytes
    }

    /// The payload as text.
    package var text: String { String(decoding: bytes, as: UTF8.self) }
}

/// What a client received and nobody has read yet: filled on the reactor, read by tasks.
final class ClientInbox: Sendable {
    private typealias Reader = CheckedContinuation<ReceivedMessage?, any Error>

    private struct State {
        var messages: [ReceivedMessage] = []
        /// Those before it have been read.
        var first = 0
        var heldBytes = 0
        var isFull = false
        var readers: [(id: UInt64, continuation: Reader)] = []
        var nextReader: UInt64 = 0
        var event: CloseEvent?
        var closeWaiters: [CheckedContinuation<CloseEvent, Never>] = []
    }

    private let state = Mutex(State())
    private let maximumHeld: Int
    private let madeRoom: @Sendable () -> Void

    /// What a message costs besides its bytes, so that empty ones are bounded too.
    private static let overhead = 64

    /// Makes an empty one; `madeRoom` is called, by a reader, when one that was full is no longer.
    init(maximumHeld: Int, madeRoom: @escaping @Sendable () -> Void) {
        self.maximumHeld = maximumHeld
        self.madeRoom = madeRoom
    }

    var closeEvent: CloseEvent? { state.withLock { $0.event } }

    var isFull: Bool { state.withLock { $0.isFull } }

    /// Takes a message; `true` when no more should come for now.
    func append(_ message: ReceivedMessage) -> Bool {
        let (reader, isFull) = state.withLock { state -> (Reader?, Bool) in
            if !state.readers.isEmpty { return (state.readers.removeFirst().continuation, false) }
            state.messages.append(message)
            state.heldBytes += message.bytes.count + Self.overhead
            if state.heldBytes > maximumHeld { state.isFull = true }
            return (nil, state.isFull)
        }
        reader?.resume(returning: message)
        return isFull
    }

    /// Says that nothing more will come.
    func finish(_ event: CloseEvent) {
        let (readers, waiters) = state.withLock { state in
            state.event = event
            defer {
                state.readers = []
                state.closeWaiters = []
            }
            return (state.readers, state.closeWaiters)
        }
        for reader in readers { Self.resume(reader.continuation, event) }
        for waiter in waiters { waiter.resume(returning: event) }
    }

    private static func resume(_ reader: Reader, _ event: CloseEvent) {
        if event.wasClean { reader.resume(returning: nil) } else { reader.resume(throwing: ClosedError(event: event)) }
    }

    /// Waits for the end.
    func waitForEnd() async -> CloseEvent {
        await withCheckedContinuation { continuation in
            let event = state.withLock { state in
                if state.event == nil { state.closeWaiters.append(continuation) }
                return state.event
            }
            if let event { continuation.resume(returning: event) }
        }
    }

    private enum Step {
        case wait
        case cancelled
        case message(ReceivedMessage, madeRoom: Bool)
        case ended(CloseEvent)
    }

    /// Waits for the next message; `nil` after both sides' CLOSE were exchanged.
    ///
    /// Throws ``ClosedError`` where the connection ended otherwise, and `CancellationError`.
    func next() async throws -> ReceivedMessage? {
        let id = state.withLock { state in
            state.nextReader += 1
            return state.nextReader
        }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (reader: Reader) in
                switch step(of: id, reader) {
                case .wait: break
                case .cancelled: reader.resume(throwing: CancellationError())
                case .message(let message, let hasRoom):
                    reader.resume(returning: message)
                    if hasRoom { madeRoom() }
                case .ended(let event): Self.resume(reader, event)
                }
            }
        } onCancel: {
            let reader = state.withLock { state -> Reader? in
                guard let index = state.readers.firstIndex(where: { $0.id == id }) else { return nil }
                return state.readers.remove(at: index).continuation
            }
            reader?.resume(throwing: CancellationError())
        }
    }

    private func step(of id: UInt64, _ reader: Reader) -> Step {
        state.withLock { state in
            // Asked under the lock: whoever cancels later finds the reader in the list.
            if Task.isCancelled { return .cancelled }
            guard state.first < state.messages.count else {
                if let event = state.event { return .ended(event) }
                state.readers.append((id, reader))
                return .wait
            }
            let message = state.messages[state.first]
            state.first += 1
            if state.first == state.messages.count || state.first >= 1024 {
                state.messages.removeFirst(state.first)
                state.first = 0
            }
            state.heldBytes -= message.bytes.count + Self.overhead
            let hasRoom = state.isFull && state.heldBytes <= maximumHeld / 2
            if hasRoom { state.isFull = false }
            return .message(message, madeRoom: hasRoom)
        }
    }
}
