/// What a run found.
package struct LoadReport: Sendable {
    /// What ended a run.
    package enum Ending: String, Sendable {
        /// It was done.
        case done
        /// ``LoadPlan/isInterrupted``.
        case interrupted
        /// Something was due, and nothing came for the plan's patience.
        case stalled
    }

    package var ending = Ending.done
    /// The version of TLS that was spoken, such as `TLSv1.3`; `nil`: none.
    package var tlsVersion: String?
    /// How many connections were opened, and how long that took: of all together in nanoseconds, and each from its beginning until
    /// the server was ready for it.
    package var opened = 0
    package var openingNanoseconds: Int64 = 0
    package var openingLatency = LatencyHistogram()
    /// The server's CPU time in that, in nanoseconds; `nil`: not measured.
    package var serverOpeningNanoseconds: Int64?
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
    /// Those whose acknowledgement was waited for in vain.
    package var unacknowledged = 0
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

    /// Whether everything that was due arrived, once, whole and in order.
    package var isComplete: Bool {
        delivered == expected && wrong == 0 && unacknowledged == 0 && ending != .stalled
    }

    /// What was waited for: deliveries, or acknowledgements where nobody subscribes.
    package var arrivals: Int { subscribers > 0 ? delivered : acknowledged }

    package var arrivalsPerSecond: Double { Double(arrivals) / (Double(max(nanoseconds, 1)) / 1e9) }

    package var openedPerSecond: Double { Double(opened) / (Double(max(openingNanoseconds, 1)) / 1e9) }

    /// The server's CPU time for each connection that was opened, its TLS and what its subscription brings with it.
    package var serverNanosecondsPerOpening: Double? {
        serverOpeningNanoseconds.map { Double($0) / Double(max(1, opened)) }
    }

    /// The server's CPU time for each delivered message, or each acknowledged one where nobody subscribes.
    package var serverNanosecondsPerArrival: Double? {
        serverNanoseconds.map { Double($0) / Double(max(1, arrivals)) }
    }
}
