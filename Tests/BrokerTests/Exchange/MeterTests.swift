import Testing

@testable import Broker
@testable import WSTransport

@Suite("The counters")
struct MeterTests {
    @Test func aHistogramCountsUpToEachBound() {
        let histogram = Histogram(bounds: [1, 10, 100])
        for value in [0, 1, 2, 10, 11, 1000] { histogram.add(value) }
        #expect(histogram.reading == Histogram.Reading(counts: [2, 4, 5, 6], sum: 1024))
        var text = PrometheusText()
        let metric = Metric(
            name: "x_seconds", kind: .histogram, help: "How long.", section: .store, labels: [], read: { _ in .missing }
        )
        text.add(metric, .histogram(histogram.reading, bounds: histogram.bounds, unit: 1e-6))
        let lines = String(decoding: text.bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(
            lines == [
                "# HELP x_seconds How long.", "# TYPE x_seconds histogram", "x_seconds_bucket{le=\"1e-06\"} 2",
                "x_seconds_bucket{le=\"1e-05\"} 4", "x_seconds_bucket{le=\"0.0001\"} 5",
                "x_seconds_bucket{le=\"+Inf\"} 6", "x_seconds_sum 0.001024", "x_seconds_count 6",
            ])
    }

    @Test func aTopicMeterCountsMatchingMessages() throws {
        let meter = TopicMeter(filter: try filter("a/+"))
        for (name, length) in [("a/1", 3), ("a/2", 0), ("a/1", 4), ("b", 9)] {
            meter.count(Draft(topic: try topic(name), payload: [UInt8](repeating: 0, count: length), kind: .text))
        }
        let rows = meter.counts.map { "\($1.messages) \($1.bytes) \($0)" }
        #expect(rows.sorted() == ["1 0 a/2", "2 7 a/1"])
    }
}
