import WSTransport

/// The sessions of a client and a server, and the wire between them.
final class TLSPair {
    let client: TLSSession
    let server: TLSSession
    /// The plaintext that each has received.
    private(set) var atClient: [UInt8] = []
    private(set) var atServer: [UInt8] = []
    /// The bytes on the wire in each direction.
    private(set) var sentToServer = 0
    private(set) var sentToClient = 0
    /// How a flight is cut; its first byte has that number in its direction.
    var cut: (_ first: Int, _ flight: [UInt8]) -> [ArraySlice<UInt8>] = { [$1[...]] }
    private var toServer: [UInt8] = []
    private var toClient: [UInt8] = []

    struct OutOfMemory: Error {}

    init(
        client: TLSContext? = nil, server: TLSContext? = nil, host: String = "localhost", ticket: TLSTicket? = nil
    ) throws {
        let clientContext = try client ?? .client(TestAuthority.shared.get().trust)
        let serverContext = try server ?? .server(TestAuthority.server.get())
        // One pipe for both, as all the connections of a reactor share one.
        let pipe = TLSPipe()
        guard let clientEnd = TLSSession(client: clientContext, host: host, pipe: pipe, ticket: ticket),
            let serverEnd = TLSSession(server: serverContext, pipe: pipe)
        else { throw OutOfMemory() }
        self.client = clientEnd
        self.server = serverEnd
    }

    /// Performs the handshake as far as possible.
    @discardableResult
    func shakeHands() -> TLSPair {
        client.start()
        toServer += Self.output(of: client)
        settle()
        return self
    }

    /// Transfers bytes in both directions until there are no more.
    func settle() {
        while !toServer.isEmpty || !toClient.isEmpty {
            let flights = (toServer, toClient)
            (toServer, toClient) = ([], [])
            for part in cut(sentToServer, flights.0) {
                atServer += Self.feed(server, part)
                toClient += Self.output(of: server)
            }
            for part in cut(sentToClient, flights.1) {
                atClient += Self.feed(client, part)
                toServer += Self.output(of: client)
            }
            sentToServer += flights.0.count
            sentToClient += flights.1.count
        }
    }

    func clientSends(_ bytes: [UInt8]) -> Bool {
        defer { toServer += Self.output(of: client) }
        return bytes.withUnsafeBytes { client.send($0) }
    }

    func serverSends(_ bytes: [UInt8]) -> Bool {
        defer { toClient += Self.output(of: server) }
        return bytes.withUnsafeBytes { server.send($0) }
    }

    func clientCloses() {
        client.close()
        toServer += Self.output(of: client)
    }

    func serverCloses() {
        server.close()
        toClient += Self.output(of: server)
    }

    /// Changes a byte on its way to the server.
    func damage(at offset: Int) { toServer[offset] ^= 1 }

    /// Gives a session bytes, and returns its plaintext.
    static func feed(_ session: TLSSession, _ bytes: ArraySlice<UInt8>) -> [UInt8] {
        bytes.withUnsafeBytes { Array(session.receive($0)) }
    }

    /// The output of a session's last verb.
    static func output(of session: TLSSession) -> [UInt8] {
        defer { session.pipe.clearOutput() }
        return session.pipe.withOutput { Array($0) }
    }
}
