/// Distinguishes a task from all others while it exists.
///
/// The task itself, the part of it that an executor runs, and a continuation for which it waits are all the address of
/// the same object of Swift's runtime. Asking the runtime for the caller's task costs a hundred times as much as
/// comparing two of these.
struct TaskMark: Equatable {
    private let address: UInt

    /// `nil` if such a value is not an address.
    private init?<Value>(bits value: Value) {
        guard MemoryLayout<Value>.size == MemoryLayout<UInt>.size else { return nil }
        address = unsafe unsafeBitCast(value, to: UInt.self)
    }

    init?<Value, Thrown>(_ task: Task<Value, Thrown>) { self.init(bits: task) }

    init?(_ job: UnownedJob) { self.init(bits: job) }

    init?<Value, Thrown>(_ waiter: UnsafeContinuation<Value, Thrown>) { unsafe self.init(bits: waiter) }
}
