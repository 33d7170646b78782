/// What a run found.
package struct LoadReport: Sendable {
    package var subscribers = 0
    package var publishers = 0
    package var payloadSize = 0
    package var burst = 0
    /// Messages sent, without those of the warm-up.
    package var sent = 0
    /// Messages that arrived at subscribers, of those.
    package var delivered = 0
    /// What should have arrived.
    package var expected = 0
    /// Publications that the server has acknowledged.
    package var acknowledged = 0
    /// Messages that came out of order, twice, or with another content.
    package var wrong = 0
    /// From the first message sent to the last that arrived, in nanoseconds.
    package var nanoseconds: Int64 = 0
    /// The server's CPU time in that, in nanoseconds; `nil`: not measured.
    package var serverNanoseconds: Int64?
    /// How much memory the server has for each of the connections, in bytes; `nil`: not measured.
    package var serverBytesPerConnection: Int?
    package var latency = LatencyHistogram()

    package init() {}

    /// Whether everything arrived, once, whole and in order.
    package var isComplete: Bool { delivered == expected && wrong == 0 }

    /// What was waited for: deliveries, or acknowledgements where nobody subscribes.
    package var arrivals: Int { subscribers > 0 ? delivered : acknowledged }

    package var arrivalsPerSecond: Double { Double(arrivals) / (Double(max(nanoseconds, 1)) / 1e9) }

    /// The server's CPU time for each delivered message, or each acknowledged one where nobody subscribes.
    package var serverNanosecondsPerArrival: Double? {
        serverNanoseconds.map { Double($0) / Double(max(1, arrivals)) }
    }
}
