// One record under one key in the database `meta`, numbers little-endian, eight bytes each: format (1), messages, payload
// bytes, complete up to, trimmed up to, trims, holes, rules; then low and high of each hole; then of each rule since,
// forgotten up to, and the length of the filter before the filter.

extension HistorySummary {
    static let key = Array("history".utf8)
    static let format: UInt64 = 1

    /// Reads a record; `nil` if these bytes are not one.
    init?(_ bytes: Span<UInt8>) {
        self.init()
        var offset = 0
        func number() -> UInt64? {
            guard bytes.count - offset >= 8 else { return nil }
            defer { offset += 8 }
            return bytes.littleEndian(UInt64.self, at: offset)
        }
        guard number() == Self.format, let messages = number().flatMap({ Int(exactly: $0) }),
            let payloadBytes = number().flatMap({ Int(exactly: $0) }), let completeUpTo = number(),
            let trimmedUpTo = number(), let trims = number(), let holes = number(), let rules = number()
        else { return nil }
        self.messages = messages
        self.payloadBytes = payloadBytes
        self.completeUpTo = completeUpTo
        self.trimmedUpTo = trimmedUpTo
        self.trims = trims
        for _ in 0..<holes {
            guard let low = number(), let high = number(), low < high else { return nil }
            add(HistoryHole(low: low, high: high))
        }
        for _ in 0..<rules {
            guard let since = number(), let forgotten = number(), let length = number().flatMap({ Int(exactly: $0) }),
                bytes.count - offset >= length,
                let name = String(validating: bytes.array(offset..<offset + length), as: UTF8.self),
                let filter = try? TopicFilter(name, limits: .none)
            else { return nil }
            offset += length
            coverages.append(HistoryCoverage(filter: filter, since: since, forgottenUpTo: forgotten))
        }
        guard offset == bytes.count else { return nil }
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for number in [
            Self.format, UInt64(max(messages, 0)), UInt64(max(payloadBytes, 0)), completeUpTo, trimmedUpTo, trims,
            UInt64(holes.count), UInt64(coverages.count),
        ] { bytes.appendLittleEndian(number) }
        for hole in holes {
            bytes.appendLittleEndian(hole.low)
            bytes.appendLittleEndian(hole.high)
        }
        for coverage in coverages {
            bytes.appendLittleEndian(coverage.since)
            bytes.appendLittleEndian(coverage.forgottenUpTo)
            bytes.appendLittleEndian(UInt64(coverage.filter.name.utf8.count))
            bytes.append(contentsOf: coverage.filter.name.utf8)
        }
        return bytes
    }
}
