internal import Synchronization

/// The reactors of a server, each on a thread of its own, with a listener each.
///
/// Any thread.
final class ServerThreads: Sendable {
    /// Where it listens, with the port that the kernel chose.
    let address: SocketAddress
    private let remotes: [Remote]
    private let threads: [ThreadHandle]
    private let counters: [ReactorCounters]
    private let file: SocketFile?

    /// Binds `address` and begins to serve.
    ///
    /// - Parameters:
    ///   - count: of the reactors; they share the one socket that a path has.
    ///   - settings: called for each connection.
    init(
        listeningOn address: SocketAddress, reactors count: Int, handler: any Handler,
        settings: @escaping @Sendable () -> HTTPSettings
    ) throws(Errno) {
        let count = max(1, count)
        var file: SocketFile?
        var descriptors: [Int32] = []
        var chosen = address
        do throws(Errno) {
            try SocketFile.makeRoom(at: address)
            // SO_REUSEPORT would let a second server share the port unnoticed: the first bind is made without it.
            if count > 1, address.port != 0, address.path == nil {
                _ = try Socket.listening(on: address, sharesPort: false)
            }
            for index in 0..<count {
                if let first = descriptors.first, address.path != nil {
                    descriptors.append(try Socket.duplicate(first).release())
                    continue
                }
                // Port 0 lets the kernel choose, once: the other reactors share its choice.
                let descriptor = try Socket.listening(on: chosen, sharesPort: count > 1)
                if index == 0, address.path == nil {
                    chosen = Socket.localAddress(descriptor.rawValue) ?? address
                }
                if let path = address.path { file = try SocketFile(at: path) }
                descriptors.append(descriptor.release())
            }
        } catch {
            for descriptor in descriptors { Socket.close(descriptor) }
            file?.remove()
            throw error
        }
        self.address = chosen
        self.file = file
        var remotes: [Remote] = []
        var threads: [ThreadHandle] = []
        var counters: [ReactorCounters] = []
        let isShared = address.path != nil && descriptors.count > 1
        do throws(Errno) {
            for (index, descriptor) in descriptors.enumerated() {
                let remote = try Remote()
                let counter = ReactorCounters()
                threads.append(
                    try startThread(named: "http-\(index)") {
                        Self.serve(descriptor, isShared, index, remote, counter, handler, settings)
                    })
                remotes.append(remote)
                counters.append(counter)
            }
        } catch {
            for remote in remotes { remote.run { $0.stop() } }
            for thread in threads { thread.join() }
            for descriptor in descriptors[remotes.count...] { Socket.close(descriptor) }
            throw error
        }
        self.remotes = remotes
        self.threads = threads
        self.counters = counters
    }

    private static func serve(
        _ descriptor: Int32, _ isShared: Bool, _ index: Int, _ remote: Remote, _ counters: ReactorCounters,
        _ handler: any Handler,
        _ settings: @escaping @Sendable () -> HTTPSettings
    ) {
        let descriptor = FileDescriptor(adopting: descriptor)
        do throws(Errno) {
            let reactor = try Reactor(index: index, counters: counters, remote: remote)
            let state = ServingState()
            reactor[ServingState.self] = state
            state.listener = try HTTPListener(
                on: reactor, listening: descriptor, isShared: isShared, handler: HandlerBridge(handler)
            ) { [unowned state] in
                var settings = settings()
                settings.isDraining = { [unowned state] in state.isDraining }
                return settings
            }
            reactor.run()
        } catch {
            // No epoll set: the port is served by the other reactors, or refused.
            for task in remote.tasks.close() { withExtendedLifetime(task) {} }
        }
    }

    /// What a reactor's listener and its end have to know of each other.
    private final class ServingState {
        var listener: HTTPListener?
        var isDraining = false
    }

    /// Open connections.
    var connections: Int { counters.reduce(0) { $0 + $1.connections.current } }

    /// Accepts no more, and ends what has nothing under way; WebSockets are told that the server goes away (1001).
    func drain() {
        for remote in remotes {
            remote.run { reactor in
                guard let state = reactor[ServingState.self] else { return }
                state.listener?.stop()
                state.isDraining = true
                reactor.finishIdleConnections()
                for object in reactor.linkedObjects.byNumber.values {
                    (object as? SocketSession)?.close(.goingAway, reason: "")
                }
            }
        }
        file?.remove()
    }

    /// Ends the threads; what is still connected is cut off.
    func stop() {
        for remote in remotes { remote.run { $0.stop() } }
        for thread in threads { thread.join() }
    }
}
