import Testing

@testable import Load

@Suite("Latencies")
struct LatencyHistogramTests {
    @Test func startsEmpty() {
        let histogram = LatencyHistogram()
        #expect(histogram.count == 0 && histogram.quantile(0.5) == 0 && histogram.maximum == 0)
    }

    @Test func recordsSmallLatenciesExactly() {
        var histogram = LatencyHistogram()
        for microseconds in 1...60 as ClosedRange<Int64> { histogram.record(nanoseconds: microseconds * 1000) }
        #expect(histogram.quantile(0.5) == 30 && histogram.quantile(1) == 60 && histogram.quantile(0) == 1)
    }

    @Test(arguments: [64, 127, 128, 1000, 65_535, 1_000_003, 3_600_000_000] as [Int64])
    func recordsLargeLatenciesClosely(microseconds: Int64) {
        var histogram = LatencyHistogram()
        histogram.record(nanoseconds: microseconds * 1000)
        histogram.record(nanoseconds: 100_000_000_000_000)
        let found = histogram.quantile(0.5)
        #expect(found >= microseconds && Double(found) <= Double(microseconds) * 1.017, "\(found)")
    }

    @Test func findsTheTail() {
        var histogram = LatencyHistogram()
        for _ in 0..<9_990 { histogram.record(nanoseconds: 10_000) }
        for _ in 0..<10 { histogram.record(nanoseconds: 50_000_000) }
        #expect(histogram.quantile(0.99) == 10 && histogram.quantile(0.999) == 10)
        #expect(histogram.quantile(0.9995) == 50_000 && histogram.maximum == 50_000)
    }
}
