/// Looks hosts up on threads of its own, since the system's resolver makes its caller wait.
enum Resolver {
    private static let pool = WorkerPool(name: "ws-resolve", maximumThreads: 4, maximumWaiting: 1024)

    /// Looks `endpoint` up, and tells `completion` on a thread of the resolver's; addresses of both families take turns.
    static func resolve(
        _ endpoint: Endpoint, _ completion: @escaping @Sendable (Result<[SocketAddress], ConnectError>) -> Void
    ) {
        let isTaken = pool.run {
            do throws(ConnectError) {
                completion(.success(takingTurns(try endpoint.resolve())))
            } catch {
                completion(.failure(error))
            }
        }
        if !isTaken { completion(.failure(.unknownHost("too many names are being looked up"))) }
    }

    /// RFC 8305 §4: the resolver's order within a family, the families by turns.
    static func takingTurns(_ addresses: [SocketAddress]) -> [SocketAddress] {
        guard let first = addresses.first else { return [] }
        var same = addresses.filter { $0.domain == first.domain }[...]
        var other = addresses.filter { $0.domain != first.domain }[...]
        var ordered: [SocketAddress] = []
        while !same.isEmpty || !other.isEmpty {
            if let next = same.popFirst() { ordered.append(next) }
            if let next = other.popFirst() { ordered.append(next) }
        }
        return ordered
    }
}
