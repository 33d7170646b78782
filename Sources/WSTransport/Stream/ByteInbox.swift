internal import Synchronization

/// Bytes that a connection received and a task has not read yet: filled on the reactor, read by a task.
final class ByteInbox: Sendable {
    private typealias Reader = CheckedContinuation<[UInt8]?, any Error>

    private struct State {
        var bytes: [UInt8] = []
        /// The bytes before it have been read.
        var first = 0
        var isFull = false
        var isEnded = false
        var reader: (continuation: Reader, maximum: Int?)?
        var enders: [CheckedContinuation<Void, Never>] = []

        /// The bytes that a reader gets now; `nil`: there are none.
        mutating func take(_ maximum: Int?) -> [UInt8]? {
            let rest = bytes.count - first
            guard rest > 0 else { return nil }
            let count = min(rest, max(1, maximum ?? rest))
            let part = Array(bytes[first..<first + count])
            first += count
            if first == bytes.count {
                bytes = []
                first = 0
            }
            return part
        }
    }

    private let state = Mutex(State())
    private let maximum: Int
    private let madeRoom: @Sendable () -> Void

    /// - Parameters:
    ///   - maximum: it is full from this many bytes on.
    ///   - madeRoom: called by a reader when it is no longer full.
    init(maximum: Int, madeRoom: @escaping @Sendable () -> Void) {
        self.maximum = maximum
        self.madeRoom = madeRoom
    }

    /// Takes bytes; `true` if no more should come for now.
    func append(_ bytes: [UInt8]) -> Bool {
        let (step, isFull) = state.withLock { state -> ((Reader, [UInt8]?)?, Bool) in
            state.bytes += bytes
            var step: (Reader, [UInt8]?)?
            if let reader = state.reader {
                step = (reader.continuation, state.take(reader.maximum))
                state.reader = nil
            }
            if state.bytes.count - state.first >= maximum { state.isFull = true }
            return (step, state.isFull)
        }
        if let step { step.0.resume(returning: step.1) }
        return isFull
    }

    /// Says that nothing more will come.
    func finish() {
        let (reader, enders) = state.withLock { state in
            state.isEnded = true
            defer {
                state.reader = nil
                state.enders = []
            }
            return (state.reader?.continuation, state.enders)
        }
        reader?.resume(returning: nil)
        for ender in enders { ender.resume() }
    }

    /// Waits until nothing more will come.
    func waitForEnd() async {
        await withCheckedContinuation { continuation in
            let isEnded = state.withLock { state in
                if !state.isEnded { state.enders.append(continuation) }
                return state.isEnded
            }
            if isEnded { continuation.resume() }
        }
    }

    private enum Step {
        case wait
        case cancelled
        case busy
        case bytes([UInt8]?, madeRoom: Bool)
    }

    /// Waits for bytes; `nil` at the end.
    ///
    /// Throws `CancellationError`, and ``WS/Error/busy`` where another task reads.
    func read(_ maximum: Int?) async throws -> [UInt8]? {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (reader: Reader) in
                switch step(reader, maximum) {
                case .wait: break
                case .cancelled: reader.resume(throwing: CancellationError())
                case .busy: reader.resume(throwing: WS.Error.busy)
                case .bytes(let bytes, let hasRoom):
                    reader.resume(returning: bytes)
                    if hasRoom { madeRoom() }
                }
            }
        } onCancel: {
            let reader = state.withLock { state in
                defer { state.reader = nil }
                return state.reader?.continuation
            }
            reader?.resume(throwing: CancellationError())
        }
    }

    private func step(_ reader: Reader, _ maximum: Int?) -> Step {
        state.withLock { state in
            // Checked under the lock: a later cancellation finds the reader.
            if Task.isCancelled { return .cancelled }
            guard state.reader == nil else { return .busy }
            if let bytes = state.take(maximum) {
                let hasRoom = state.isFull && state.bytes.count - state.first <= self.maximum / 2
                if hasRoom { state.isFull = false }
                return .bytes(bytes, madeRoom: hasRoom)
            }
            if state.isEnded { return .bytes(nil, madeRoom: false) }
            state.reader = (reader, maximum)
            return .wait
        }
    }
}
