package import WSTransport

/// The load to put on a server.
package struct LoadPlan: Sendable {
    /// What paces the publishers.
    package enum Pace: Sendable, Equatable {
        /// Send the next burst when all of the last has arrived: measures what the server can do.
        case closed
        /// Send this many messages a second, whatever the server does. Latencies count from when a message was due, not
        /// from when it could be sent, so that a server that stalls cannot hide it (no coordinated omission).
        case open(messagesPerSecond: Double)
    }

    /// The identities of the server and the client for TLS.
    package struct Security: Sendable {
        /// The client's context.
        ///
        /// Each connection makes a full handshake; no ticket is kept, so that each is like a separate client.
        package let context: TLSContext
        /// The name, or numeric address, that the certificate must have.
        package let name: String

        /// Combines the parts.
        package init(context: TLSContext, name: String) {
            self.context = context
            self.name = name
        }
    }

    /// Where the server listens.
    package var server: SocketAddress
    /// The value of the requests' `Host`.
    package var host: String
    /// `nil` for no TLS.
    package var security: Security?
    /// The protocol of its WebSockets.
    package var dialect: any LoadDialect
    package var subscribers = 1
    package var publishers = 1
    /// Whether subscriber n receives what publisher n sends, and nothing else; there are as many of both then, and the
    /// dialect has a topic for each number.
    package var isPaired = false
    /// How many messages the publishers send in total, after ``warmUp`` more that are not measured.
    package var messages = 1000
    package var warmUp = 0
    /// The messages of a burst, sent by one `send`.
    package var burst = 1
    /// In bytes; at least ``LoadPayload/minimumSize``.
    package var payloadSize = 64
    package var pace = Pace.closed
    /// How much may wait to be sent on a connection, in bytes; a server that reads more slowly than the pace ends the
    /// run.
    package var maximumUnsent = 256 << 20
    /// How many connections are being opened at a time.
    package var openingAtOnce = 200
    /// Whether permessage-deflate is offered; the server must then accept it.
    package var offersCompression = false
    /// The server's process on this machine, whose CPU time is measured; `nil` if none is measured.
    package var serverProcess: Int32?
    /// The first of the loopback addresses that connections come from, in turns of 5,000; `nil` if the kernel chooses.
    package var spreadsAddresses = true
    /// How long nothing may arrive before the run is abandoned, in nanoseconds.
    package var patience: Int64 = 20_000_000_000
    /// How long the closing handshakes may take after a run that did not fail, in nanoseconds; 0 to reset each
    /// connection instead.
    package var closingPatience: Int64 = 0
    /// Asked in each turn whether to stop sending; outstanding messages are awaited for at most
    /// ``interruptedPatience``.
    package var isInterrupted: @Sendable () -> Bool = { false }
    /// Called about once a second with the progress so far; `nil` if that is not wanted.
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

/// Why a run has no result.
package struct LoadError: Error, CustomStringConvertible {
    /// A connection that could not be opened.
    package struct Opening: Sendable {
        package let cause: ConnectError
        /// How many were open at that time.
        package let done: Int
        /// How many should have been opened.
        package let total: Int
    }

    /// A sentence.
    package let description: String
    /// The connection that could not be opened; `nil` for another error.
    package let opening: Opening?

    package init(_ description: String) {
        self.description = description
        opening = nil
    }

    init(_ opening: Opening, server: SocketAddress) {
        description =
            "a connection to \(server) did not open: \(opening.cause) (\(opening.done) of \(opening.total) are open)"
        self.opening = opening
    }
}

/// The latest time at which a turn of the event loop returns.
struct Alarm {
    /// The earliest time that is set, in nanoseconds of the monotonic clock; `nil` if there is none.
    private var next: Int64?

    /// Whether an alarm at `time` must be set, because no earlier one is set.
    mutating func set(_ time: Int64) -> Bool {
        if let next, next <= time { return false }
        next = time
        return true
    }

    /// The alarm at `time` has gone off.
    mutating func rang(_ time: Int64) { if next == time { next = nil } }
}
