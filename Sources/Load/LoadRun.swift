internal import WSTransport

/// One run of a plan, on the caller's thread: all connections, with every message checked.
package final class LoadRun {
    let plan: LoadPlan
    let reactor: Reactor
    var publishers: [LoadConnection] = []
    var subscribers: [LoadConnection] = []
    /// How many connections are open, are being opened, and have ended.
    var (ready, opening, gone) = (0, 0, 0)
    var failure: LoadError?
    var report = LoadReport()
    var isEnding = false
    /// Whether sending has stopped.
    private(set) var isInterrupted = false
    /// Whether what arrives counts.
    private var isMeasuring = false
    private var arrivals = 0
    /// How many deliveries the messages sent so far lead to.
    private var due = 0
    private var alarm = Alarm()
    private var lastTold = MonotonicTime.now
    /// When something was last received or sent.
    var lastProgress = MonotonicTime.now
    /// When the first connection was begun, if opening times are measured, else `nil`.
    private(set) var storm: MonotonicTime?
    /// The pool for the inflaters of the connections.
    let deflatePool = DeflatePool()

    /// Makes the run's event loop; throws if the system cannot provide one.
    package init(_ plan: LoadPlan) throws(LoadError) {
        self.plan = plan
        do throws(Errno) {
            reactor = try Reactor(index: 0, counters: ReactorCounters(), remote: Remote(), backend: .epoll)
        } catch {
            throw LoadError("cannot make an event loop: \(error)")
        }
    }

    /// Opens the connections, sends the messages and waits for what is due.
    package func measure() throws(LoadError) -> LoadReport {
        report.subscribers = plan.subscribers
        report.publishers = plan.publishers
        report.payloadSize = plan.payloadSize
        report.burst = plan.burst
        defer { end() }
        try raiseDescriptorLimit()
        let memory = plan.serverProcess.flatMap { ProcessTime.residentBytes(of: $0) }
        try open()
        if let process = plan.serverProcess, let before = memory, let after = ProcessTime.residentBytes(of: process) {
            report.serverBytesPerConnection = (after - before) / max(1, publishers.count + subscribers.count)
        }
        var number = 0
        try send(&number, until: plan.warmUp, pace: .closed)
        isMeasuring = true
        // Messages that arrived before must not be mistaken for those that are due.
        if arrivals > due { arrivals = due }
        let start = MonotonicTime.now
        let used = plan.serverProcess.flatMap { ProcessTime.used(by: $0) }
        try send(&number, until: plan.warmUp + plan.messages / plan.publishers, pace: plan.pace)
        report.nanoseconds = MonotonicTime.now.nanoseconds(since: start)
        if let process = plan.serverProcess, let used, let now = ProcessTime.used(by: process) {
            report.serverNanoseconds = now - used
        }
        report.expected = report.sent * deliveries
        if plan.dialect.isAcknowledged { report.unacknowledged = report.sent - report.acknowledged }
        report.ending = arrivals < due ? .stalled : isInterrupted ? .interrupted : .done
        return report
    }

    /// Opens the subscribers and, for this many nanoseconds, counts whatever arrives.
    package func listen(nanoseconds: Int64) throws(LoadError) -> LoadReport {
        report.subscribers = plan.subscribers
        defer { end() }
        try raiseDescriptorLimit()
        try open()
        isMeasuring = true
        let start = MonotonicTime.now
        let used = plan.serverProcess.flatMap { ProcessTime.used(by: $0) }
        let end = start.advanced(byNanoseconds: nanoseconds)
        while MonotonicTime.now < end, !isInterrupted { try turn(until: end.nanoseconds) }
        report.nanoseconds = MonotonicTime.now.nanoseconds(since: start)
        if let process = plan.serverProcess, let used, let now = ProcessTime.used(by: process) {
            report.serverNanoseconds = now - used
        }
        report.expected = report.delivered
        if isInterrupted { report.ending = .interrupted }
        return report
    }

    /// Opens the subscribers and measures the time until each is ready, which means that it has received what its
    /// dialect expects.
    package func arrive() throws(LoadError) -> LoadReport {
        report.subscribers = plan.subscribers
        report.expected = plan.subscribers
        defer { end() }
        try raiseDescriptorLimit()
        let start = MonotonicTime.now
        let used = plan.serverProcess.flatMap { ProcessTime.used(by: $0) }
        storm = start
        try open()
        report.nanoseconds = MonotonicTime.now.nanoseconds(since: start)
        if let process = plan.serverProcess, let used, let now = ProcessTime.used(by: process) {
            report.serverNanoseconds = now - used
        }
        report.delivered = ready
        return report
    }

    // MARK: Sending

    /// How much a late publisher may send in one turn, in bytes.
    private static let catchUp = 1 << 20

    /// How many subscribers get a message.
    private var deliveries: Int { plan.isPaired ? 1 : plan.subscribers }

    /// How much arrives when every publisher has published once.
    private var arrivalsOfRound: Int {
        plan.publishers * (deliveries + (plan.dialect.isAcknowledged ? 1 : 0))
    }

    /// Sends every publisher's messages from `number` up to `end`, and waits for the deliveries, as long as the plan
    /// allows.
    private func send(_ number: inout Int, until end: Int, pace: LoadPlan.Pace) throws(LoadError) {
        switch pace {
        case .closed:
            while number < end, !isInterrupted, !isOutOfPatience {
                let count = min(plan.burst, end - number)
                let now = MonotonicTime.now.nanoseconds
                publish(number, count) { _ in now }
                number += count
                try waitForArrivals()
            }
        case .open(let messagesPerSecond):
            let interval = 1e9 / messagesPerSecond * Double(plan.publishers)
            let part = max(1, Self.catchUp / plan.payloadSize)
            let (start, first) = (MonotonicTime.now.nanoseconds, number)
            while number < end, !isInterrupted, !isOutOfPatience {
                let elapsed = Double(MonotonicTime.now.nanoseconds - start)
                // A late publisher catches up in parts, with turns of the loop in between.
                let dueCount = min(end, first + Int(elapsed / interval) + 1, number + part) - number
                if dueCount > 0 {
                    publish(number, dueCount) { start + Int64(Double($0 - first) * interval) }
                    number += dueCount
                }
                let next = start + Int64(Double(number - first) * interval)
                try turn(until: next)
            }
            try waitForArrivals()
        }
    }

    private func publish(_ first: Int, _ count: Int, due time: (Int) -> Int64) {
        for publisher in publishers {
            let times = (first..<first + count).map(time)
            let messages = zip(first..<first + count, times).map { number, due in
                plan.dialect.publication(
                    LoadPayload(publisher: publisher.number, number: number, due: due).encode(size: plan.payloadSize),
                    of: publisher.number)
            }
            publisher.publish(messages, due: times)
        }
        if isMeasuring { report.sent += count * publishers.count }
        // An interval in which nothing is due does not count as silence of the server.
        if arrivals == due { lastProgress = reactor.now }
        due += count * arrivalsOfRound
        // Send what is ready now, not after the next wait.
        reactor.runSoon {}
    }

    private func waitForArrivals() throws(LoadError) {
        while arrivals < due, !isOutOfPatience { try turn() }
    }

    /// Whether the server owes something, and nothing has arrived for too long.
    var isOutOfPatience: Bool {
        guard arrivals < due || opening > 0 else { return false }
        return reactor.now.nanoseconds(since: lastProgress)
            > (isInterrupted ? plan.interruptedPatience : plan.patience)
    }

    /// One turn; returns within a quarter of a second, or shortly before `time` if that is sooner.
    func turn(until time: Int64 = .max) throws(LoadError) {
        let wait = max(0, time - MonotonicTime.now.nanoseconds)
        if wait < 1_200_000 {
            // The loop cannot wait for less than a millisecond, so the last one is spent polling.
            reactor.runSoon {}
        } else {
            let after = min(wait - 1_200_000, 250_000_000)
            let due = MonotonicTime.now.nanoseconds + after
            if alarm.set(due) { reactor.run(afterNanoseconds: after) { [self] in alarm.rang(due) } }
        }
        reactor.turn()
        if let failure { throw failure }
        if let tell = plan.onProgress, reactor.now.nanoseconds(since: lastTold) >= 1_000_000_000 {
            lastTold = reactor.now
            tell(progress)
        }
        if !isInterrupted, plan.isInterrupted() {
            isInterrupted = true
            lastProgress = reactor.now
        }
    }

    private var progress: LoadProgress {
        let isDelivering = plan.subscribers > 0
        let messages = plan.publishers > 0 ? plan.messages / plan.publishers * plan.publishers : nil
        return LoadProgress(
            open: ready, connections: total,
            arrived: isMeasuring ? isDelivering ? report.delivered : report.acknowledged : nil,
            expected: messages.map { $0 * (isDelivering ? plan.subscribers : 1) })
    }

    // MARK: Arriving

    func arrived(_ message: LoadPayload) {
        arrivals += 1
        lastProgress = reactor.now
        guard isMeasuring else { return }
        report.delivered += 1
        report.latency.record(nanoseconds: MonotonicTime.now.nanoseconds - message.due)
    }

    /// A message that does not belong to the run.
    func arrivedFromOthers() {
        if isMeasuring { report.delivered += 1 }
    }

    func acknowledged(due: Int64) {
        arrivals += 1
        lastProgress = reactor.now
        guard isMeasuring else { return }
        report.acknowledged += 1
        if plan.subscribers == 0 { report.latency.record(nanoseconds: MonotonicTime.now.nanoseconds - due) }
    }

    func arrivedWrong() {
        arrivals += 1
        if isMeasuring { report.wrong += 1 }
    }
}
