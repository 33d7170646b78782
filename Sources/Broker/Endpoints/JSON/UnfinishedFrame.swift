package import WSTransport

/// How far the commands of a frame are done.
package struct FrameProgress {
    /// Where the next command begins.
    package var offset = 0
    /// Whether the frame has held a command, or something that should have been one.
    package var hasBegun = false
    /// How many of its lines were no JSON.
    package var broken = 0

    package init() {}

    /// Goes to the end of a line of the frame.
    package mutating func skipLine(of payload: Span<UInt8>) {
        while offset < payload.count, payload[offset] <= 32 { offset += 1 }
        while offset < payload.count, payload[offset] != 10 { offset += 1 }
    }
}

/// What is left of a frame when a turn has no more time for it, or its client has not taken the answers.
///
/// Its socket is not read meanwhile.
package final class UnfinishedFrame {
    package let bytes: [UInt8]
    package var progress: FrameProgress
    /// Whether it goes on in a later turn by itself.
    package var isScheduled = false
    private let counters: ReactorCounters

    /// Keeps what is left of `payload`, which holds the frame.
    package init(_ payload: Span<UInt8>, _ progress: FrameProgress, _ counters: ReactorCounters) {
        bytes = unsafe payload.extracting(progress.offset...).withUnsafeBytes { unsafe [UInt8]($0) }
        self.progress = progress
        self.progress.offset = 0
        self.counters = counters
        counters.heldBytes.add(bytes.count)
    }

    deinit { counters.heldBytes.add(-bytes.count) }
}
