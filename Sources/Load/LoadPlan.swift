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

    /// How the server is known, and a client to it, where TLS is spoken.
    package struct Security: Sendable {
        /// A client's.
        ///
        /// Each connection shakes hands in full: no ticket is kept, as if each were a client of its own.
        package let context: TLSContext
        /// The name, or numeric address, that the certificate must have.
        package let name: String

        /// Of these parts.
        package init(context: TLSContext, name: String) {
            self.context = context
            self.name = name
        }
    }

    /// Where the server listens.
    package var server: SocketAddress
    /// The value of the requests' `Host`.
    package var host: String
    /// `nil`: without TLS.
    package var security: Security?
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
    /// How much of a connection may wait to be sent, in bytes: a server that takes less than the pace brings ends the run.
    package var maximumUnsent = 256 << 20
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
    /// How long the closing handshakes may take, at the end of a run that has not failed, in nanoseconds; 0: there are none, each
    /// connection is reset.
    package var closingPatience: Int64 = 0
    /// Asked in each turn whether to send nothing more; what is under way is waited for, ``interruptedPatience`` at most.
    package var isInterrupted: @Sendable () -> Bool = { false }
    /// Told about once a second how far it has come; `nil`: nobody wants to know.
    package var onProgress: (@Sendable (LoadProgress) -> Void)?
    /// How long nothing may arrive after that, in nanoseconds.
    package var interruptedPatience: Int64 = 2_000_000_000

    /// A plan with the defaults above.
    package init(server: SocketAddress, host: String, dialect: any LoadDialect) {
        self.server = server
        self.host = host
        self.dialect = dialect
    }
}
