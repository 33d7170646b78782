internal import Synchronization
package import WSTransport

/// The stream of all events, for the log, `brokerctl events`, `$SYS/events` and the metrics.
///
/// Any thread may report events, and never waits for a reader: a separate thread passes them on. In each ``window``,
/// ``maximumOfKind`` events of a kind are kept and ``maximumLines`` are logged; the others are counted, and a line of
/// the log says how many there were.
package final class EventStream: Sendable {
    /// Receives lines for the log, on the stream's thread.
    package typealias Log = @Sendable (Journal.Entry) -> Void
    /// Publishes events, on the stream's thread.
    package typealias Publish = @Sendable ([(kind: BrokerEvent.Kind, payload: [UInt8])]) -> Void

    /// The length of a window, in seconds.
    static let window = 10
    /// How many events of one kind are kept in a window; further ones are only counted.
    static let maximumOfKind = 1000
    /// How many events of one kind are logged in a window.
    static let maximumLines = 20
    /// How many events may wait for the thread; further ones are only counted.
    static let maximumWaiting = 10_000

    private final class Counts: Sendable {
        let total = Atomic<Int>(0)
        let inWindow = Atomic<Int>(0)
    }

    private struct State {
        var waiting: [BrokerEvent] = []
        /// Whether the thread has been scheduled, and has not finished.
        var isScheduled = false
        var log: Log?
        var publish: Publish?
    }

    /// The lines that were logged in the current window, by kind.
    private struct Window {
        var lines = [Int](repeating: 0, count: BrokerEvent.Kind.allCases.count)
    }

    private let counts: [Counts]
    private let state = Mutex(State())
    private let dropped = Atomic<Int>(0)
    private let present = Mutex(Window())
    private let begun: Mutex<MonotonicTime>
    private let pool = WorkerPool(name: "events", maximumThreads: 1, maximumWaiting: 16)
    /// The last events.
    package let memory = LineMemory()

    package init() {
        counts = BrokerEvent.Kind.allCases.map { _ in Counts() }
        begun = Mutex(.now)
    }

    /// Sets the receiver of lines for the log.
    package func log(to log: @escaping Log) { state.withLock { $0.log = log } }

    /// Sets the publisher of events; `nil` for none.
    package func publish(to publish: Publish?) { state.withLock { $0.publish = publish } }

    /// How many events there were since the start, by kind.
    package var totals: [(kind: BrokerEvent.Kind, count: Int)] {
        zip(BrokerEvent.Kind.allCases, counts).map { ($0, $1.total.load(ordering: .relaxed)) }
    }

    /// How many events since the start were only counted, not kept.
    package var droppedCount: Int { dropped.load(ordering: .relaxed) }

    /// Reports an event; never blocks.
    ///
    /// - Parameter make: completes the event; not called if there were too many of its kind.
    package func tell(_ kind: BrokerEvent.Kind, _ make: (inout BrokerEvent) -> Void = { _ in }) {
        let count = counts[kind.index]
        count.total.add(1, ordering: .relaxed)
        guard count.inWindow.add(1, ordering: .relaxed).newValue <= Self.maximumOfKind else {
            dropped.add(1, ordering: .relaxed)
            return
        }
        var event = BrokerEvent(kind)
        make(&event)
        let isFirst = state.withLock { state in
            guard state.waiting.count < Self.maximumWaiting else {
                dropped.add(1, ordering: .relaxed)
                return false
            }
            state.waiting.append(event)
            defer { state.isScheduled = true }
            return !state.isScheduled
        }
        if isFirst { schedule() }
    }

    /// Ends the window if it is over, and logs how many events were left out; must be called every few seconds.
    package func look(now: MonotonicTime = .now) {
        let isOver = begun.withLock { begun in
            guard now.nanoseconds(since: begun) >= Int64(Self.window) * 1_000_000_000 else { return false }
            begun = now
            return true
        }
        // Queued, so that events that still wait belong to the window.
        if isOver { _ = pool.run { [self] in endWindow() } }
    }

    /// Waits until all earlier events have been passed on and the window has ended.
    ///
    /// Must not be called on a reactor.
    package func flush() {
        let done = Latch(count: 1)
        let isTaken = pool.run { [self] in
            handOn()
            endWindow()
            done.arrive()
        }
        if isTaken { done.wait() }
    }

    private func endWindow() {
        let (log, counts) = (state.withLock { $0.log }, counts)
        present.withLock { window in
            for (place, kind) in BrokerEvent.Kind.allCases.enumerated() {
                let happened = counts[place].inWindow.exchange(0, ordering: .relaxed)
                let unsaid = happened - min(happened, window.lines[place])
                window.lines[place] = 0
                guard unsaid > 0, let level = kind.level, happened > Self.maximumLines else { continue }
                log?(
                    Journal.Entry(
                        level: level, message: "… and \(unsaid) more in \(Self.window) s",
                        metadata: [("event", kind.rawValue)]))
            }
        }
    }

    private func schedule() {
        guard !pool.run({ [self] in handOn() }) else { return }
        // No thread could be started; there may be none later, either.
        state.withLock { state in
            state.isScheduled = false
            dropped.add(state.waiting.count, ordering: .relaxed)
            state.waiting = []
        }
    }

    private func handOn() {
        while true {
            let (events, log, publish) = state.withLock { state in
                defer { state.waiting = [] }
                if state.waiting.isEmpty { state.isScheduled = false }
                return (state.waiting, state.log, state.publish)
            }
            if events.isEmpty { return }
            var payloads: [(kind: BrokerEvent.Kind, payload: [UInt8])] = []
            for event in events {
                let json = event.json
                memory.add(json, at: event.time, about: event.tags)
                if publish != nil { payloads.append((event.kind, json)) }
                if let log, let entry = event.entry, isLogged(event.kind) { log(entry) }
            }
            publish?(payloads)
        }
    }

    private func isLogged(_ kind: BrokerEvent.Kind) -> Bool {
        present.withLock { window in
            guard window.lines[kind.index] < Self.maximumLines else { return false }
            window.lines[kind.index] += 1
            return true
        }
    }
}

extension BrokerEvent {
    /// The tags by which the event is found.
    fileprivate var tags: [String] {
        [Self.tag(kind), client.map(Self.tag(client:)), user.map(Self.tag(user:))].compactMap(\.self)
    }

    /// The tag of the events of a kind.
    package static func tag(_ kind: Kind) -> String { "kind \(kind.rawValue)" }
    /// The tag of a client's events.
    package static func tag(client: String) -> String { "client \(client)" }
    /// The tag of a user's events.
    package static func tag(user: String) -> String { "user \(user)" }
}
