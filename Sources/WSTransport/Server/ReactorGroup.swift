internal import Synchronization

/// The reactors of one server, each on a thread of its own.
///
/// Any thread.
package final class ReactorGroup: Sendable {
    /// One for each reactor.
    package let remotes: [Remote]
    /// One for each reactor.
    package let counters: [ReactorCounters]
    private let threads = Mutex<[ThreadHandle]>([])

    /// Makes reactors that are not started yet.
    ///
    /// - Parameter count: the number of reactors; at least one is made.
    package init(count: Int) throws(Errno) {
        var remotes: [Remote] = []
        for _ in 0..<max(1, count) { remotes.append(try Remote()) }
        self.remotes = remotes
        counters = remotes.map { _ in ReactorCounters() }
    }

    /// Starts all reactors, and returns when each one serves.
    ///
    /// Throws the first failure; then none runs.
    ///
    /// - Parameters:
    ///   - name: the name of the threads, followed by their numbers.
    ///   - begin: sets up what a reactor serves, on its thread.
    package func start(
        named name: String, backend: ReactorBackend = .auto,
        _ begin: @escaping @Sendable (Reactor) throws(Errno) -> Void
    ) throws(Errno) {
        let started = Latch(count: remotes.count)
        let outcome = Outcome()
        for index in remotes.indices {
            do throws(Errno) {
                let thread = try startThread(named: "\(name)-\(index)") { [remotes, counters] in
                    do throws(Errno) {
                        let reactor = try Reactor(
                            index: index, counters: counters[index], remote: remotes[index], backend: backend)
                        try begin(reactor)
                        started.arrive()
                        reactor.run()
                    } catch {
                        outcome.fail(error)
                        // Tasks posted to it from now on are refused.
                        _ = remotes[index].tasks.close()
                        started.arrive()
                    }
                }
                threads.withLock { $0.append(thread) }
            } catch {
                outcome.fail(error)
                started.arrive()
            }
        }
        started.wait()
        guard let error = outcome.first else { return }
        stop()
        throw error
    }

    /// The first failure among several threads.
    private final class Outcome: Sendable {
        private let error = Mutex<Errno?>(nil)
        var first: Errno? { error.withLock { $0 } }
        func fail(_ new: Errno) { error.withLock { $0 = $0 ?? new } }
    }

    /// The number of open connections of all reactors.
    package var connections: Int { counters.reduce(0) { $0 + $1.connections.current } }

    /// Runs `body` in a turn of each reactor that still serves.
    package func run(_ body: @escaping @Sendable (Reactor) -> Void) { for remote in remotes { remote.run(body) } }

    /// Ends the threads, and waits for them; open connections are reset.
    package func stop() {
        run { $0.stop() }
        let ending = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        for thread in ending { thread.join() }
    }
}
