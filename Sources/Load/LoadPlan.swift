package import WSTransport

/// What load is put on a server.
package struct LoadPlan: Sendable {
    /// How the publishers go on.
    package enum Pace: Sendable, Equatable {
        /// The next burst begins when all of the last has arrived: what the server can do.
        case closed
        /// So many messages a second, whatever the server does; latencies count from when a message was due, not from
        /// when it could be sent, so that a server that stalls cannot hide it (no coordinated omission).
        case open(messagesPerSecond: Double)
    }

    /// Where the server listens.
    package var server: SocketAddress
    /// The value of the requests' `Host`.
    package var host: String
    /// What is spoken over its WebSockets.
    package var dialect: any LoadDialect
    package var subscribers = 1
    package var publishers = 1
    /// How many messages the publishers send altogether, before which ``warmUp`` more are sent and not measured.
    package var messages = 1000
    package var warmUp = 0
    /// The messages of a burst, which one `send` carries.
    package var burst = 1
    /// In bytes; ``LoadPayload/minimumSize`` at least.
    package var payloadSize = 64
    package var pace = Pace.closed
    /// How many connections are opened at a time.
    package var openingAtOnce = 200
    /// Whether permessage-deflate is offered, and so insisted on.
    package var offersCompression = false
    /// The server's process on this machine, whose CPU time is measured; `nil`: it is not.
    package var serverProcess: Int32?
    /// The first of the loopback addresses that connections come from, in turns of 5,000; `nil`: the kernel chooses.
    package var spreadsAddresses = true
    /// How long nothing may arrive before the run is given up, in nanoseconds.
    package var patience: Int64 = 20_000_000_000

    /// A plan with the defaults above.
    package init(server: SocketAddress, host: String, dialect: any LoadDialect) {
        self.server = server
        self.host = host
        self.dialect = dialect
    }
}

/// Why a run has no result.
package struct LoadError: Error, CustomStringConvertible {
    /// A sentence.
    package let description: String
    package init(_ description: String) { self.description = description }
}
