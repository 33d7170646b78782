internal import Glibc
internal import Synchronization

/// Access to a reactor for other threads, which can post tasks to it and wake it.
///
/// Outlives the reactor. Swift tasks may use it as their executor: they then run on the reactor's thread, between its
/// turns' events and its sends.
package final class Remote: Sendable, TaskExecutor {
    let tasks: Mailbox<@Sendable (Reactor) -> Void>
    private let wakeup: Wakeup
    private let hasOwnTasks = Atomic<Bool>(false)
    /// The number of the reactor's turn, never 0.
    private let turnNumber = Atomic<UInt32>(1)
    /// The thread that runs the reactor; 0 if none does.
    private let thread = Atomic<UInt>(0)
    /// The parts of Swift tasks that the reactor runs next.
    ///
    /// The reactor's thread.
    @exclusivity(unchecked) nonisolated(unsafe) private var jobs: [UnownedJob] = []
    /// The task of which the reactor is running a part, so that nothing that it has begun is half done; `nil` if it is
    /// running none.
    ///
    /// The reactor's thread.
    @exclusivity(unchecked) nonisolated(unsafe) private var running: TaskMark?
    /// An object that its sockets keep for their next message.
    ///
    /// The reactor's thread.
    @exclusivity(unchecked) nonisolated(unsafe) var spare: AnyObject?

    private final class Wakeup: Sendable {
        let descriptor: WakeupDescriptor
        init() throws(Errno) { descriptor = try WakeupDescriptor() }
    }

    package init() throws(Errno) {
        let wakeup = try Wakeup()
        self.wakeup = wakeup
        tasks = Mailbox(wakeup: { wakeup.descriptor.signal() })
    }

    /// Runs `task` on the reactor's thread, in the order posted.
    ///
    /// Any thread.
    ///
    /// - Returns: `false` if the reactor has ended; then `task` is not run.
    @discardableResult
    package func run(_ task: @escaping @Sendable (Reactor) -> Void) -> Bool {
        // The reactor checks its mailbox before it waits, so its own thread need not wake it.
        guard isCurrentThread else { return tasks.post(task) }
        hasOwnTasks.store(true, ordering: .relaxed)
        return tasks.post(task, waking: false)
    }

    /// The same, for a caller that holds a lock: a reactor that woke now would wait for that lock.
    ///
    /// - Returns: whether the caller must call ``wake()`` when it has released the lock.
    func post(_ task: @escaping @Sendable (Reactor) -> Void) -> Bool {
        guard isCurrentThread else { return tasks.put(task).mustWake }
        hasOwnTasks.store(true, ordering: .relaxed)
        tasks.post(task, waking: false)
        return false
    }

    /// Whether the reactor's own thread has posted tasks since the last call.
    ///
    /// Called on the reactor's thread.
    func takeOwnTasks() -> Bool {
        // Only that thread sets it.
        guard hasOwnTasks.load(ordering: .relaxed) else { return false }
        hasOwnTasks.store(false, ordering: .relaxed)
        return true
    }

    /// The number of the reactor's turn, never 0; its bytes have been sent, or are in backlogs, when it changes.
    ///
    /// Any thread.
    var turn: UInt32 { turnNumber.load(ordering: .relaxed) }

    /// Records that a turn's bytes have been sent, or are in backlogs.
    ///
    /// Called on the reactor's thread.
    func endTurn() { turnNumber.store(max(1, turn &+ 1), ordering: .relaxed) }

    /// Ends the reactor's wait.
    ///
    /// Any thread.
    package func wake() { wakeup.descriptor.signal() }

    var rawDescriptor: Int32 { wakeup.descriptor.rawValue }

    func clear() { wakeup.descriptor.clear() }

    /// Records that the calling thread runs the reactor from now on.
    func enter() { thread.store(UInt(pthread_self()), ordering: .relaxed) }

    /// Records that no thread runs the reactor any more, and runs the parts of tasks that are left.
    func leave() {
        thread.store(0, ordering: .relaxed)
        // What these parts begin runs on the process's own executor.
        runJobs()
    }

    /// Whether the caller is on the reactor's thread.
    package var isCurrentThread: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    /// Runs a part of a Swift task on the reactor's thread; on the process's own executor if the reactor has ended.
    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        // The reactor looks for parts after everything else of a turn, and again before it waits.
        if isCurrentThread { return unsafe jobs.append(job) }
        // It runs after the tasks posted before it, so it can do at once what must not overtake them.
        if !tasks.post({ [self] _ in unsafe jobs.append(job) }) { globalConcurrentExecutor.enqueue(ExecutorJob(job)) }
    }

    /// Whether there are parts of Swift tasks to run.
    ///
    /// Called on the reactor's thread.
    var hasJobs: Bool { unsafe !jobs.isEmpty }

    /// Runs the parts of Swift tasks that there are now.
    ///
    /// Called on the reactor's thread, between other work.
    func runJobs() {
        var due: [UnownedJob] = []
        unsafe swap(&due, &jobs)
        for job in due {
            unsafe running = TaskMark(job)
            unsafe job.runSynchronously(on: asUnownedTaskExecutor())
        }
        unsafe running = nil
        // Its memory serves for the next ones.
        due.empty()
        if unsafe jobs.isEmpty { unsafe swap(&due, &jobs) }
    }

    /// Whether the caller may act on the reactor's connections at once, instead of posting a task: it is a part of a
    /// Swift task on the reactor's thread, and no task posted earlier still waits.
    package var actsAtOnce: Bool {
        unsafe isCurrentThread && running != nil && !tasks.hasElements
    }

    /// The task of which the reactor is running a part; `nil` if it is running none.
    ///
    /// Called on the reactor's thread.
    @inline(__always)
    var runningTask: TaskMark? { unsafe running }
}
