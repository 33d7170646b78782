/// Resolves hosts on separate threads, because the system's resolver blocks its caller.
enum Resolver {
    private static let pool = WorkerPool(name: "ws-resolve", maximumThreads: 4, maximumWaiting: 1024)

    /// Resolves `endpoint`, and calls `completion` on one of those threads; addresses of both families alternate.
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

    /// RFC 8305 §4: the resolver's order within a family, with the families alternating.
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
