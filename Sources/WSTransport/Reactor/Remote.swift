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
    /// The thread that runs the reactor; 0 if none does.
    private let thread = Atomic<UInt>(0)

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

    /// Whether the reactor's own thread has posted tasks since the last call.
    ///
    /// Called on the reactor's thread.
    func takeOwnTasks() -> Bool { hasOwnTasks.exchange(false, ordering: .relaxed) }

    /// Ends the reactor's wait.
    ///
    /// Any thread.
    package func wake() { wakeup.descriptor.signal() }

    var rawDescriptor: Int32 { wakeup.descriptor.rawValue }

    func clear() { wakeup.descriptor.clear() }

    /// Records that the calling thread runs the reactor from now on.
    func enter() { thread.store(UInt(pthread_self()), ordering: .relaxed) }

    /// Whether the caller is on the reactor's thread.
    package var isCurrentThread: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    /// Runs a part of a Swift task on the reactor's thread; on the process's own executor if the reactor has ended.
    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isPosted = run { [self] _ in unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
        if !isPosted { globalConcurrentExecutor.enqueue(ExecutorJob(job)) }
    }
}
