extension Duration {
    /// In nanoseconds, as far as 64 bits go: 292 years.
    package var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, isTooLong) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, isBeyond) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return isTooLong || isBeyond ? (seconds < 0 ? .min : .max) : sum
    }
}
