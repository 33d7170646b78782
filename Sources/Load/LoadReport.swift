/// The result of a run.
package struct LoadReport: Sendable {
    /// Why a run has ended.
    package enum Ending: String, Sendable {
        /// It was complete.
        case done
        /// ``LoadPlan/isInterrupted``.
        case interrupted
        /// Something was due, and nothing arrived for as long as the plan allows.
        case stalled
    }

    package var ending = Ending.done
    /// The version of TLS that was spoken, such as `TLSv1.3`; `nil` without TLS.
    package var tlsVersion: String?
    /// How many connections were opened, and how long it took in nanoseconds: all together, and each from its beginning
    /// until the server was ready for it.
    package var opened = 0
    package var openingNanoseconds: Int64 = 0
    package var openingLatency = LatencyHistogram()
    /// The server's CPU time during that, in nanoseconds; `nil` if it was not measured.
    package var serverOpeningNanoseconds: Int64?
    package var subscribers = 0
    package var publishers = 0
    package var payloadSize = 0
    package var burst = 0
    /// Messages sent, without those of the warm-up.
    package var sent = 0
    /// How many of those arrived at subscribers.
    package var delivered = 0
    /// What should have arrived.
    package var expected = 0
    /// Publications that the server has acknowledged.
    package var acknowledged = 0
    /// Publications whose acknowledgement never arrived.
    package var unacknowledged = 0
    /// Messages that arrived out of order, twice, or with the wrong content.
    package var wrong = 0
    /// From the first message sent to the last one received, in nanoseconds.
    package var nanoseconds: Int64 = 0
    /// The server's CPU time during that, in nanoseconds; `nil` if it was not measured.
    package var serverNanoseconds: Int64?
    /// The server's memory for each connection, in bytes; `nil` if it was not measured.
    package var serverBytesPerConnection: Int?
    package var latency = LatencyHistogram()

    package init() {}

    /// Whether everything that was due arrived: once, complete and in order.
    package var isComplete: Bool {
        delivered == expected && wrong == 0 && unacknowledged == 0 && ending != .stalled
    }

    /// What was expected: deliveries, or acknowledgements if there are no subscribers.
    package var arrivals: Int { subscribers > 0 ? delivered : acknowledged }

    package var arrivalsPerSecond: Double { Double(arrivals) / (Double(max(nanoseconds, 1)) / 1e9) }

    package var openedPerSecond: Double { Double(opened) / (Double(max(openingNanoseconds, 1)) / 1e9) }

    /// The server's CPU time for each connection that was opened, including TLS and its subscription.
    package var serverNanosecondsPerOpening: Double? {
        serverOpeningNanoseconds.map { Double($0) / Double(max(1, opened)) }
    }

    /// The server's CPU time for each delivered message, or for each acknowledged one if there are no subscribers.
    package var serverNanosecondsPerArrival: Double? {
        serverNanoseconds.map { Double($0) / Double(max(1, arrivals)) }
    }
}
