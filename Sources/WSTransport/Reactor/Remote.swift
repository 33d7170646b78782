/// What other threads may hold of a reactor: they can post it tasks and wake it.
///
/// Outlives the reactor.
package final class Remote: Sendable {
    let tasks: Mailbox<@Sendable (Reactor) -> Void>
    private let wakeup: Wakeup

    private final class Wakeup: Sendable {
        let descriptor: WakeupDescriptor
        init() throws(Errno) { descriptor = try WakeupDescriptor() }
    }

    package init() throws(Errno) {
        let wakeup = try Wakeup()
        self.wakeup = wakeup
        tasks = Mailbox(wakeup: { wakeup.descriptor.signal() })
    }

    /// Has the reactor run `task` on its thread, in the order posted.
    ///
    /// Any thread.
    package func run(_ task: @escaping @Sendable (Reactor) -> Void) { tasks.post(task) }

    /// Ends the reactor's wait.
    ///
    /// Any thread.
    package func wake() { wakeup.descriptor.signal() }

    var rawDescriptor: Int32 { wakeup.descriptor.rawValue }

    func clear() { wakeup.descriptor.clear() }
}
