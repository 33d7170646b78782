/// The thread of this process that runs its client connections; started on first use.
enum ClientReactor {
    /// Access to the thread, or why there is none.
    static let shared: Result<Remote, Errno> = start()

    /// Access to the thread; `nil` if the system provided no thread or no descriptors.
    static var remote: Remote? { try? shared.get() }

    private static func start() -> Result<Remote, Errno> {
        do throws(Errno) {
            let remote = try Remote()
            let reactor = try Reactor(index: 0, counters: ReactorCounters(), remote: remote, backend: .epoll)
            _ = try startThread(named: "ws-client") { reactor.run() }
            return .success(remote)
        } catch {
            return .failure(error)
        }
    }
}

extension Reactor {
    /// Makes two connections that are each other's peers.
    func adoptPair() throws(Errno) -> (StreamConnection, StreamConnection) {
        let ends = try Socket.pair()
        return (
            adopt(FileDescriptor(adopting: ends.0), peer: nil), adopt(FileDescriptor(adopting: ends.1), peer: nil)
        )
    }
}
