package import WSTransport

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
