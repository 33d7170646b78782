internal import CLinux
internal import Glibc
internal import Synchronization

/// A few threads for work that would block a reactor; work is started in order.
///
/// Threads are started when there is work for them, and stay. Any thread.
package final class WorkerPool: Sendable {
    package typealias Work = @Sendable () -> Void

    private struct State {
        var waiting: [Work] = []
        /// The items before this index are done or under way.
        var first = 0
        var threads = 0
        var idle = 0
        var maximumThreads: Int

        /// Whether one more thread may work at the same time.
        var hasRoom: Bool { threads - idle < maximumThreads }

        var count: Int { waiting.count - first }

        mutating func take() -> Work? {
            guard first < waiting.count else { return nil }
            let work = waiting[first]
            first += 1
            if first == waiting.count || first >= 1024 {
                waiting.removeFirst(first)
                first = 0
            }
            return work
        }
    }

    private let state: Mutex<State>
    private let name: String
    private let maximumWaiting: Int
    private let isModest: Bool
    /// Counts wake-ups that idle threads have not received yet.
    private let semaphore: Int32

    /// Makes a pool without threads.
    ///
    /// - Parameters:
    ///   - name: the name of its threads, at most 15 bytes.
    ///   - maximumWaiting: how many pieces of work may wait for a thread.
    ///   - isModest: whether its threads run at low priority, as with `nice`.
    package init(name: String, maximumThreads: Int, maximumWaiting: Int, isModest: Bool = false) {
        self.name = name
        state = Mutex(State(maximumThreads: max(1, maximumThreads)))
        self.maximumWaiting = maximumWaiting
        self.isModest = isModest
        semaphore = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_SEMAPHORE))
    }

    /// How many pieces of work wait for a thread.
    package var waiting: Int { state.withLock { $0.count } }

    /// How many pieces of work have been refused since the start.
    package var refused: Int { turnedAway.load(ordering: .relaxed) }
    private let turnedAway = Atomic<Int>(0)

    /// The first work of a new thread, which takes it out, so that it is not retained as long as the thread lives.
    private final class First: Sendable {
        private let work: Mutex<Work?>

        init(_ work: @escaping Work) { self.work = Mutex(work) }

        func take() -> Work? { work.withLock { $0.take() } }
    }

    private enum Need { case nothing, wakeup, thread }

    /// Runs `work` on a thread; `false` if too much waits already, or no thread can be started.
    package func run(_ work: @escaping Work) -> Bool {
        let need = state.withLock { state -> Need? in
            guard state.count < maximumWaiting else { return nil }
            guard state.idle == 0, state.hasRoom else {
                state.waiting.append(work)
                guard state.idle > 0, state.hasRoom else { return .nothing }
                state.idle -= 1
                return .wakeup
            }
            state.threads += 1
            return .thread
        }
        switch need {
        case .none:
            turnedAway.add(1, ordering: .relaxed)
            return false
        case .nothing: return true
        case .wakeup:
            _ = eventfd_write(semaphore, 1)
            return true
        case .thread: return startOne(with: work)
        }
    }

    /// Sets the maximum number of threads that work at a time; work under way continues.
    package func adopt(maximumThreads count: Int) {
        let more = state.withLock { state -> [Work] in
            state.maximumThreads = max(1, count)
            let room = state.maximumThreads - (state.threads - state.idle)
            return (0..<max(0, room)).compactMap { _ in state.take() }
        }
        for work in more where !run(work) { work() }
    }

    private func startOne(with work: @escaping Work) -> Bool {
        let first = First(work)
        do throws(Errno) {
            try startThread(named: name) { [self] in serve(first) }.detach()
            return true
        } catch {
            return state.withLock { state in
                state.threads -= 1
                // The existing threads will do it.
                if state.threads > 0 { state.waiting.append(work) }
                return state.threads > 0
            }
        }
    }

    private func serve(_ first: First) {
        // On Linux each thread has its own priority; 0 is the calling thread.
        if isModest { _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10) }
        first.take()?()
        while true {
            enum Next { case work(Work), rest, end }
            let next = state.withLock { state -> Next in
                guard state.threads - state.idle <= state.maximumThreads else {
                    state.threads -= 1
                    return .end
                }
                if let work = state.take() { return .work(work) }
                state.idle += 1
                return .rest
            }
            switch next {
            case .work(let work): work()
            case .rest: rest()
            case .end: return
            }
        }
    }

    private func rest() {
        var value: eventfd_t = 0
        while unsafe eventfd_read(semaphore, &value) != 0, Errno.current == .interrupted {}
    }
}
