extension SplitMix {
    /// The numbers of one of many schedules.
    init(schedule: Int) { self.init(seed: UInt64(schedule) &* 0x9E37_79B9_7F4A_7C15) }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) }
    }
}
