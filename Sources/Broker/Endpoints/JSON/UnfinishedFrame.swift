package import WSTransport

/// How far the commands of a frame were executed.
package struct FrameProgress {
    /// The offset of the next command.
    package var offset = 0
    /// Whether the frame has contained a command, valid or not.
    package var hasBegun = false
    /// How many of its lines were malformed.
    package var broken = 0
    /// The time until which its next command waits for a position; `nil` if it does not wait.
    package var deadline: MonotonicTime?

    package init() {}

    /// Whether a command waits until this broker of a cluster has reached the position that it names.
    mutating func waits(_ object: borrowing JSONObject, on shard: Shard) -> Bool {
        let now = shard.reactor.now
        guard shard.isAhead(JSONCommand.resumePoint(of: object)), deadline.map({ now < $0 }) ?? true else {
            deadline = nil
            return false
        }
        deadline = deadline ?? now.advanced(byNanoseconds: Shard.reachPatience)
        return true
    }

    /// Skips to the end of the present line of the frame.
    package mutating func skipLine(of payload: Span<UInt8>) {
        while offset < payload.count, payload[offset] <= 32 { offset += 1 }
        while offset < payload.count, payload[offset] != 10 { offset += 1 }
    }
}

/// The rest of a frame, kept because the turn has no more time for it or the client has not read its answers.
///
/// The socket is not read meanwhile.
package final class UnfinishedFrame {
    package let bytes: [UInt8]
    package var progress: FrameProgress
    /// Whether a later turn will continue it.
    package var isScheduled = false
    private let counters: ReactorCounters

    /// Keeps the part of `payload`, a whole frame, that was not executed.
    package init(_ payload: Span<UInt8>, _ progress: FrameProgress, _ counters: ReactorCounters) {
        bytes = unsafe payload.extracting(progress.offset...).withUnsafeBytes { unsafe [UInt8]($0) }
        self.progress = progress
        self.progress.offset = 0
        self.counters = counters
        counters.heldBytes.add(bytes.count)
    }

    deinit { counters.heldBytes.add(-bytes.count) }
}
