// One record under one key in the database `meta`, numbers little-endian: format of the store (4 bytes; StoreFormat.swift),
// newest format of a message's record in it (4 bytes; 0 in stores of format 1), epoch, reserved seq, payload bytes, probes
// (8 bytes each).

/// The store's own record.
struct StoreState: Equatable {
    static let key = Array("state".utf8)
    private static let length = 40

    var epoch: UInt64
    /// Whether it is part of a cluster.
    var isShared = false
    var reservedSeq: UInt64 = 0
    /// The payloads of all retained values, in bytes.
    var payloadBytes: Int = 0
    /// How many times ``MessageStore/probe()`` has written.
    var probes: UInt64 = 0
    /// The state of the history, which is stored in a separate record (HistoryState.swift).
    var history = HistorySummary()

    /// The state of a new store.
    static func new() -> StoreState {
        // JSON clients read numbers exactly up to 2⁵³-1.
        StoreState(epoch: UInt64.random(in: 1..<1 << 53))
    }

    /// A number above those of any store up to `time`, in Unix seconds, unless the store used more than a million a
    /// second.
    ///
    /// JSON reads them exactly until 2242.
    static func seq(ofTime time: Int) -> UInt64 { UInt64(max(time, 0)) << 20 }

    /// The state of a restored store: the same values, a new epoch, and numbers above `reservedSeq`.
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
        guard bytes.count == Self.length,
            (StoreFormat.oldest...StoreFormat.newest).contains(bytes.littleEndian(UInt32.self, at: 0)),
            bytes.littleEndian(UInt32.self, at: 4) <= UInt32(RecordHeader.format),
            let payloadBytes = Int(exactly: bytes.littleEndian(UInt64.self, at: 24))
        else { return nil }
        isShared = bytes.littleEndian(UInt32.self, at: 0) == StoreFormat.newest
        epoch = bytes.littleEndian(UInt64.self, at: 8)
        reservedSeq = bytes.littleEndian(UInt64.self, at: 16)
        self.payloadBytes = payloadBytes
        probes = bytes.littleEndian(UInt64.self, at: 32)
    }

    /// Whether the store's own record has the newest format.
    static func isCurrent(_ bytes: Span<UInt8>) -> Bool {
        bytes.count >= 8 && bytes.littleEndian(UInt32.self, at: 0) >= StoreFormat.single
            && bytes.littleEndian(UInt32.self, at: 4) == UInt32(RecordHeader.format)
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(isShared ? StoreFormat.newest : StoreFormat.single)
        bytes.appendLittleEndian(UInt32(RecordHeader.format))
        for number in [epoch, reservedSeq, UInt64(max(payloadBytes, 0)), probes] { bytes.appendLittleEndian(number) }
        return bytes
    }
}
