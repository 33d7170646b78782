internal import Synchronization

/// The one thread of this process that runs its client connections; started on first use.
enum ClientReactor {
    /// Its sessions by number, so that tasks can name what must stay on the reactor.
    private final class Table {
        var sessions: [UInt64: ClientSession] = [:]
        /// Those that are not open yet.
        var openings: [UInt64: ClientOpening] = [:]
    }

    /// Whether the task that opens a WebSocket has been cancelled.
    private final class Patience: Sendable {
        let isOver = Atomic<Bool>(false)
    }

    private static let shared: Result<Remote, Errno> = start()
    private static let lastNumber = Atomic<UInt64>(0)

    private static func start() -> Result<Remote, Errno> {
        do throws(Errno) {
            let remote = try Remote()
            let reactor = try Reactor(index: 0, counters: ReactorCounters(), remote: remote)
            reactor.attachment = Table()
            _ = try startThread(named: "ws-client") { reactor.run() }
            return .success(remote)
        } catch {
            return .failure(error)
        }
    }

    /// A number for a client that is to be.
    static func makeNumber() -> UInt64 { lastNumber.wrappingAdd(1, ordering: .relaxed).newValue }

    /// Runs `task` with the session of that number, or `nil` when it is gone, on the reactor.
    static func run(_ number: UInt64, _ task: @escaping @Sendable (ClientSession?) -> Void) {
        guard case .success(let remote) = shared else { return task(nil) }
        remote.run { reactor in task((reactor.attachment as? Table)?.sessions[number]) }
    }

    /// Opens a WebSocket, and makes of it the session of that number; returns the subprotocol agreed upon.
    static func open(
        _ url: WebSocketURL, _ options: ClientOptions, number: UInt64, inbox: ClientInbox
    ) async -> Result<String, ConnectError> {
        let remote: Remote
        switch shared {
        case .success(let started): remote = started
        case .failure(let error): return .failure(.unreachable(error))
        }
        let patience = Patience()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                remote.run { reactor in
                    guard let table = reactor.attachment as? Table, !patience.isOver.load(ordering: .acquiring) else {
                        return continuation.resume(returning: .failure(.cancelled))
                    }
                    table.openings[number] = ClientOpening.begin(url, options, on: reactor) { [unowned table] result in
                        table.openings[number] = nil
                        continuation.resume(
                            returning: result.map { opened in
                                let socket = opened.makeWebSocket()
                                table.sessions[number] = ClientSession(
                                    socket: socket, inbox: inbox, maximumUnsent: options.maximumUnsent
                                ) { [weak table] in table?.sessions[number] = nil }
                                return socket.subprotocol
                            })
                    }
                }
            }
        } onCancel: {
            patience.isOver.store(true, ordering: .releasing)
            remote.run { reactor in (reactor.attachment as? Table)?.openings[number]?.cancel() }
        }
    }
}
