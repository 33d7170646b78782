internal import Synchronization
package import WSTransport

/// The audit log: one JSON object a line, written by a separate thread, so that no reactor waits for a disk.
///
/// Any thread.
package final class AuditLog: Sendable {
    /// Where the lines go.
    package enum Place: Sendable, Equatable {
        case none
        /// The process's standard output.
        case output
        /// A file to append to; created for its owner only if it does not exist.
        case file(String)
    }

    private struct State {
        var waiting: [AuditEvent] = []
        /// Events lost since the last batch was taken, because too many were waiting.
        var missing = 0
        /// The new sink; `nil` if it does not change.
        var next: Sink?
        /// Whether the thread has been scheduled, and has not finished.
        var isScheduled = false
    }

    /// How many lines may wait for the thread; further ones are lost, and a line says how many.
    static let maximumWaiting = 10_000
    /// How many lines are written at once.
    private static let batch = 256

    private let state = Mutex(State())
    private let isOpen = Atomic<Bool>(false)
    private let lost = Atomic<Int>(0)
    /// Used by the thread only.
    private let sink = Mutex(Sink.nowhere)
    private let pool = WorkerPool(name: "audit", maximumThreads: 1, maximumWaiting: 16)
    private let report: @Sendable (String) -> Void
    /// The last lines, kept while the log is on.
    package let memory = LineMemory()

    /// Creates a log that writes nothing until ``adopt(_:)``.
    ///
    /// - Parameter report: called with the error if a line cannot be written, on the log's thread.
    package init(report: @escaping @Sendable (String) -> Void = { _ in }) { self.report = report }

    /// Whether the log is written.
    package var isOn: Bool { isOpen.load(ordering: .relaxed) }

    /// How many lines were lost since the start.
    package var dropped: Int { lost.load(ordering: .relaxed) }

    /// An open place for lines, for ``adopt(_:)``.
    package struct Opened: Sendable {
        fileprivate let sink: Sink
        fileprivate let isWanted: Bool

        /// Opens a place; opens or creates its file.
        ///
        /// May take long: not for reactors.
        package init(_ place: Place) throws(Errno) {
            sink = try Sink(place)
            isWanted = place != .none
        }
    }

    /// Writes to a new place from now on, and closes the old one.
    package func adopt(_ opened: Opened) {
        let isFirst = state.withLock { state in
            state.next = opened.sink
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        isOpen.store(opened.isWanted, ordering: .relaxed)
        if isFirst { schedule() }
    }

    /// Adds a line; never blocks.
    package func write(_ event: @autoclosure () -> AuditEvent) {
        guard isOn else { return }
        let event = event()
        let isFirst = state.withLock { state in
            guard state.waiting.count < Self.maximumWaiting else {
                state.missing += event.count
                lost.add(event.count, ordering: .relaxed)
                return false
            }
            state.waiting.append(event)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if isFirst { schedule() }
    }

    /// Returns when all earlier lines are written.
    ///
    /// Not for reactors.
    package func flush() {
        let done = Latch(count: 1)
        guard
            pool.run({ [self] in
                writeAll()
                done.arrive()
            })
        else { return }
        done.wait()
    }

    private func schedule() {
        guard !pool.run({ [self] in writeAll() }) else { return }
        // No thread could be started, and perhaps none ever will.
        state.withLock { state in
            state.isScheduled = false
            lost.add(state.waiting.count, ordering: .relaxed)
            state.waiting = []
        }
    }

    private func writeAll() {
        while true {
            let (events, missing, next) = state.withLock { state -> ([AuditEvent], Int, Sink?) in
                defer { (state.waiting, state.missing, state.next) = ([], 0, nil) }
                if state.waiting.isEmpty, state.missing == 0, state.next == nil { state.isScheduled = false }
                return (state.waiting, state.missing, state.next)
            }
            if events.isEmpty, missing == 0, next == nil { return }
            sink.withLock { sink in
                if let next { sink.replace(by: next) }
                var start = 0
                while start < events.count {
                    let end = min(events.count, start + Self.batch)
                    write(events[start..<end], to: &sink)
                    start = end
                }
                sink.missing += missing
            }
            sayWhatIsMissing()
        }
    }

    private func write(_ events: ArraySlice<AuditEvent>, to sink: inout Sink) {
        sayWhatIsMissing(&sink)
        var lines: [UInt8] = []
        for event in events {
            let start = lines.count
            event.write(to: &lines)
            if isOn { memory.add(Array(lines[start..<lines.count - 1]), at: event.time, about: event.users) }
        }
        do throws(Errno) {
            try sink.write(lines)
        } catch {
            sink.missing += events.count
            lost.add(events.count, ordering: .relaxed)
            report("\(error)")
        }
    }

    private func sayWhatIsMissing() { sink.withLock { sayWhatIsMissing(&$0) } }

    private func sayWhatIsMissing(_ sink: inout Sink) {
        guard sink.missing > 0 else { return }
        var event = AuditEvent(.missing)
        event.count = sink.missing
        var line: [UInt8] = []
        event.write(to: &line)
        // If this fails, it is tried again with the next line.
        do throws(Errno) {
            try sink.write(line)
            sink.missing = 0
        } catch {
            report("\(error)")
        }
    }
}

/// The place that lines are written to, and its state.
fileprivate struct Sink: Sendable {
    private enum Target: Sendable {
        case nowhere
        case standard
        case file(OpenFile)
    }

    private var target: Target
    /// Whether the last line was written only in part.
    private var isTorn = false
    /// Lines that were lost, and not reported in the log yet.
    var missing = 0

    static let nowhere = Sink(.nowhere)

    private init(_ target: Target) { self.target = target }

    init(_ place: AuditLog.Place) throws(Errno) {
        switch place {
        case .none: self.init(.nowhere)
        case .output: self.init(.standard)
        case .file(let path): self.init(.file(OpenFile(try FileDescriptor.appending(to: path))))
        }
    }

    mutating func replace(by next: Sink) {
        (target, isTorn) = (next.target, false)
        if case .nowhere = target { missing = 0 }
    }

    mutating func write(_ lines: [UInt8]) throws(Errno) {
        switch target {
        case .nowhere: return
        case .standard: StandardStreams.writeOutput(String(decoding: lines, as: UTF8.self))
        case .file(let file):
            // A line end, so that the next line does not continue a partial one.
            let lines = isTorn ? [UInt8(ascii: "\n")] + lines : lines
            isTorn = true
            try file.descriptor.writeAll(lines)
            isTorn = false
        }
    }
}

/// An open file; closed with its last reference.
private final class OpenFile: Sendable {
    let descriptor: FileDescriptor
    init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
}

extension AuditEvent {
    /// The users that the event is about.
    fileprivate var users: [String] {
        var users = [user].compactMap(\.self)
        if case .network(let user)? = actor { users.append(user) }
        if let target, target.hasPrefix("user ") { users.append(String(target.dropFirst(5))) }
        return users
    }
}
