import Testing

@testable import Broker
@testable import WSTransport

@Suite("Metrics in Prometheus's text format")
struct PrometheusTextTests {
    @Test func writesHelpTypeAndSamplesOfEachFamily() throws {
        var table = MetricTable()
        table.add("a_total", .counter, "Things.") { _ -> Int? in 5 }
        table.add("b", .gauge, "More.", by: "x", each: { _ in [("{x=\"1\"}", 1), ("{x=\"2\"}", -2)] })
        table.add("c_seconds", .gauge, "Time.", fraction: { _ in 0.25 })
        table.add("d", .gauge, "Nothing now.") { _ -> Int? in nil }
        let histograms = [3, 30].map { value in
            let histogram = Histogram(bounds: [10, 20])
            histogram.add(value)
            return histogram
        }
        table.add("e_seconds", "Times.", unit: 0.001) { _ in histograms }
        let harness = try ExchangeHarness(order: [0])
        let thread = StoreThread(store: harness.store, maximumQueuedBytes: 0, onSettled: { _ in })
        let figures = Figures(
            reactors: [], shards: [], sequencer: harness.sequencer, store: harness.store, storeThread: thread)
        let reading = MetricReading(figures: figures, store: nil, pending: nil)
        var text = PrometheusText()
        for metric in table.metrics { text.add(metric, metric.read(reading)) }
        let expected = """
            # HELP a_total Things.
            # TYPE a_total counter
            a_total 5
            # HELP b More.
            # TYPE b gauge
            b{x="1"} 1
            b{x="2"} -2
            # HELP c_seconds Time.
            # TYPE c_seconds gauge
            c_seconds 0.25
            # HELP e_seconds Times.
            # TYPE e_seconds histogram
            e_seconds_bucket{le="0.01"} 1
            e_seconds_bucket{le="0.02"} 1
            e_seconds_bucket{le="+Inf"} 2
            e_seconds_sum 0.033
            e_seconds_count 2

            """
        #expect(String(decoding: text.bytes, as: UTF8.self) == expected)
    }

    @Test func theBrokersMetricsAreWellFormedAndCorrect() throws {
        let harness = try ExchangeHarness(order: [0, 1])
        let stubs = try [0, 1].map { try harness.connectJSON(on: $0) }
        try stubs[1].ask(#"{"op":"subscribe","id":1,"filter":"+","snapshot":false}"#, id: 1)
        #expect(try harness.publish([draft("secret-topic", "12345", retained: true)])[0].error == nil)
        let thread = StoreThread(store: harness.store, maximumQueuedBytes: 0, onSettled: { _ in })
        #expect(try stubs[1].receive().op == "live" && stubs[1].receive().data == "12345")
        let figures = Figures(
            reactors: [ReactorCounters()], shards: harness.counters, sequencer: harness.sequencer, store: harness.store,
            storeThread: thread)
        let lines = String(decoding: figures.prometheus(pending: PendingBytes(bytes: 7, largest: 4)), as: UTF8.self)
            .split(separator: "\n")
        var families: Set<Substring> = []
        var family: Substring = ""
        var isHistogram = false
        let name = /[a-z_]+/
        for line in lines {
            if let match = line.wholeMatch(of: /# HELP ([a-z_]+) .*\./) {
                family = match.1
                #expect(families.insert(family).inserted, "a family twice")
            } else if let match = line.wholeMatch(of: /# TYPE ([a-z_]+) (counter|gauge|histogram)/) {
                #expect(match.1 == family && (match.2 == "counter") == family.hasSuffix("_total"))
                isHistogram = match.2 == "histogram"
            } else {
                let sample =
                    /([a-z_]+)(\{[a-z]+="[a-z0-9_.-]*"(?:,[a-z]+="[a-z_]+")*\}|\{le="(?:[0-9.]+|\+Inf)"\})? -?[0-9.e-]+/
                let match = try #require(line.wholeMatch(of: sample), "\(line)")
                let parts = isHistogram ? ["_bucket", "_sum", "_count"] : [""]
                #expect(parts.contains { match.1 == family + $0 }, "\(line)")
                #expect((match.2?.hasPrefix("{le=") ?? false) == match.1.hasSuffix("_bucket"), "\(line)")
            }
        }
        #expect(families.allSatisfy { $0.wholeMatch(of: name) != nil } && families.count > 20)
        #expect(!lines.contains { $0.contains("secret") })
        for expected in [
            "broker_clients 2", "broker_subscriptions 1", "broker_messages_published_total 1",
            "broker_published_bytes_total 5", "broker_messages_delivered_total 1", "broker_sequence_number 1",
            "broker_retained_messages 1", "broker_retained_bytes 5", "broker_pending_bytes 7",
            "broker_pending_bytes_largest 4", "broker_endpoint_clients{endpoint=\"json\"} 2",
            "broker_endpoint_sent_messages_total{endpoint=\"json\"} 1",
            "broker_endpoint_sent_bytes_total{endpoint=\"json\"} 5",
            "broker_endpoint_sent_messages_total{endpoint=\"topic\"} 0",
        ] {
            #expect(lines.contains { $0 == expected }, "\(expected)")
        }
    }
}
