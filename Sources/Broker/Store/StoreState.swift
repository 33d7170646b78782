// One record under one key in the database `meta`, numbers little-endian:
// format (4 bytes, 1), 0 (4 bytes), epoch, reserved seq, payload bytes, probes (8 bytes each).

/// What a store knows about itself.
struct StoreState: Equatable {
    static let key = Array("state".utf8)
    private static let format: UInt32 = 1
    private static let length = 40

    let epoch: UInt64
    var reservedSeq: UInt64 = 0
    /// The payloads of all retained values, in bytes.
    var payloadBytes: Int = 0
    /// How often ``RetainedStore/probe()`` wrote.
    var probes: UInt64 = 0
    /// In a record of its own (HistoryState.swift).
    var history = HistorySummary()

    /// The state of a store that is just made.
    static func new() -> StoreState {
        // JSON clients read numbers exactly up to 2⁵³-1.
        StoreState(epoch: UInt64.random(in: 1..<1 << 53))
    }

    /// The same values in a store of its own, whose numbers begin above `reservedSeq`.
    func restored(reservedSeq: UInt64) -> StoreState {
        var state = Self.new()
        state.reservedSeq = reservedSeq
        state.payloadBytes = payloadBytes
        state.probes = probes
        return state
    }
}

extension StoreState {
    init?(_ bytes: Span<UInt8>) {
        guard bytes.count == Self.length, bytes.littleEndian(UInt32.self, at: 0) == Self.format,
            let payloadBytes = Int(exactly: bytes.littleEndian(UInt64.self, at: 24))
        else { return nil }
        epoch = bytes.littleEndian(UInt64.self, at: 8)
        reservedSeq = bytes.littleEndian(UInt64.self, at: 16)
        self.payloadBytes = payloadBytes
        probes = bytes.littleEndian(UInt64.self, at: 32)
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(Self.format)
        bytes.appendLittleEndian(UInt32(0))
        for number in [epoch, reservedSeq, UInt64(max(payloadBytes, 0)), probes] { bytes.appendLittleEndian(number) }
        return bytes
    }
}
