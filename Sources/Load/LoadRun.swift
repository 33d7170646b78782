internal import Glibc
internal import WSTransport

/// One run of a plan, on the caller's thread: all connections, every message checked.
package final class LoadRun {
    let plan: LoadPlan
    private let reactor: Reactor
    private var publishers: [LoadConnection] = []
    private var subscribers: [LoadConnection] = []
    private var ready = 0
    private var opening = 0
    private var failure: LoadError?
    private var report = LoadReport()
    private var isEnding = false
    /// Whether what arrives counts.
    private var isMeasuring = false
    private var arrivals = 0
    private var alarm = Alarm()
    private var lastProgress = MonotonicTime.now
    /// When the first connection was begun, where the time is taken that each needs; `nil`: it is not.
    private var storm: MonotonicTime?
    /// For what its connections decompress.
    let deflatePool = DeflatePool()

    private static let connectionsPerAddress = 5000

    /// Makes the run's event loop; throws where the system has none to give.
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
        arrivals = 0
        report.expected = (plan.messages / plan.publishers) * plan.publishers * plan.subscribers
        let start = MonotonicTime.now
        let used = plan.serverProcess.flatMap { ProcessTime.used(by: $0) }
        try send(&number, until: plan.warmUp + plan.messages / plan.publishers, pace: plan.pace)
        report.nanoseconds = MonotonicTime.now.nanoseconds(since: start)
        if let process = plan.serverProcess, let used, let now = ProcessTime.used(by: process) {
            report.serverNanoseconds = now - used
        }
        return report
    }

    /// Opens the subscribers and counts, for so many nanoseconds, whatever arrives.
    package func listen(nanoseconds: Int64) throws(LoadError) -> LoadReport {
        report.subscribers = plan.subscribers
        defer { end() }
        try raiseDescriptorLimit()
        try open()
        isMeasuring = true
        let start = MonotonicTime.now
        let used = plan.serverProcess.flatMap { ProcessTime.used(by: $0) }
        while MonotonicTime.now.nanoseconds(since: start) < nanoseconds {
            try turn()
            // Silence is no failure here.
            lastProgress = reactor.now
        }
        report.nanoseconds = MonotonicTime.now.nanoseconds(since: start)
        if let process = plan.serverProcess, let used, let now = ProcessTime.used(by: process) {
            report.serverNanoseconds = now - used
        }
        report.expected = report.delivered
        return report
    }

    /// Opens the subscribers and takes the time from the beginning to each one's being ready, for which it has to have what its
    /// dialect waits for.
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

    private func raiseDescriptorLimit() throws(LoadError) {
        var limit = rlimit()
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let needed = plan.subscribers + plan.publishers + 64
        guard Int(clamping: limit.rlim_cur) >= needed else {
            throw LoadError("\(needed) descriptors are needed, and the limit is \(limit.rlim_cur)")
        }
    }

    // MARK: Opening

    private func open() throws(LoadError) {
        let total = plan.subscribers + plan.publishers
        var opened = 0
        while ready < total {
            while opened < total, opening < plan.openingAtOnce {
                try connect(opened)
                opened += 1
            }
            try turn()
        }
    }

    private func connect(_ number: Int) throws(LoadError) {
        var source: SocketAddress?
        if plan.spreadsAddresses, plan.server.host.hasPrefix("127.") {
            source = SocketAddress(host: "127.0.0.\(2 + number / Self.connectionsPerAddress)", port: 0)
        }
        do throws(Errno) {
            let descriptor = try Socket.connecting(to: plan.server, from: source)
            let stream = reactor.adopt(descriptor, peer: plan.server, isConnecting: true)
            let isSubscriber = number < plan.subscribers
            let connection = LoadConnection(
                self, stream: stream, number: isSubscriber ? number : number - plan.subscribers,
                isSubscriber: isSubscriber)
            stream.driver = connection
            if isSubscriber { subscribers.append(connection) } else { publishers.append(connection) }
            opening += 1
        } catch {
            throw LoadError("cannot connect to \(plan.server): \(error)")
        }
    }

    func connectionReady() {
        ready += 1
        opening -= 1
        if let storm { report.latency.record(nanoseconds: MonotonicTime.now.nanoseconds(since: storm)) }
        lastProgress = reactor.now
    }

    func connectionClosed(wasReady: Bool, _ error: Errno?) {
        guard !isEnding else { return }
        let reason = error.map { "\($0)" } ?? "closed by the server"
        fail("a connection to \(plan.server) \(wasReady ? "was lost" : "did not open"): \(reason)")
    }

    func fail(_ sentence: String) { if failure == nil { failure = LoadError(sentence) } }

    // MARK: Sending

    /// How much arrives when every publisher has published once.
    private var arrivalsOfRound: Int {
        plan.publishers * (plan.subscribers + (plan.dialect.isAcknowledged ? 1 : 0))
    }

    /// Has every publisher send its messages from `number` up to `end`.
    private func send(_ number: inout Int, until end: Int, pace: LoadPlan.Pace) throws(LoadError) {
        switch pace {
        case .closed:
            while number < end {
                let count = min(plan.burst, end - number)
                let now = MonotonicTime.now.nanoseconds
                publish(number, count) { _ in now }
                number += count
                try waitFor(arrivals + count * arrivalsOfRound)
            }
        case .open(let messagesPerSecond):
            let interval = 1e9 / messagesPerSecond * Double(plan.publishers)
            let (start, first) = (MonotonicTime.now.nanoseconds, number)
            let wanted = arrivals + (end - number) * arrivalsOfRound
            while number < end {
                let elapsed = Double(MonotonicTime.now.nanoseconds - start)
                let dueCount = min(end, first + Int(elapsed / interval) + 1) - number
                if dueCount > 0 {
                    publish(number, dueCount) { start + Int64(Double($0 - first) * interval) }
                    number += dueCount
                }
                let next = start + Int64(Double(number - first) * interval)
                try turn(until: next)
            }
            try waitFor(wanted)
        }
    }

    private func publish(_ first: Int, _ count: Int, due: (Int) -> Int64) {
        for publisher in publishers {
            let times = (first..<first + count).map(due)
            let messages = zip(first..<first + count, times).map { number, due in
                plan.dialect.publication(
                    LoadPayload(publisher: publisher.number, number: number, due: due).encode(size: plan.payloadSize))
            }
            publisher.publish(messages, due: times)
        }
        if isMeasuring { report.sent += count * publishers.count }
        lastProgress = reactor.now
        // What was put together goes out now, not after the next wait.
        reactor.runSoon {}
    }

    private func waitFor(_ wanted: Int) throws(LoadError) {
        while arrivals < wanted { try turn() }
    }

    /// One turn; comes back within a second, or shortly before `time` where that is sooner.
    private func turn(until time: Int64 = .max) throws(LoadError) {
        let wait = max(0, time - MonotonicTime.now.nanoseconds)
        if wait < 1_200_000 {
            // Nothing waits for less than a millisecond: the last one is spent looking.
            reactor.runSoon {}
        } else {
            let after = min(wait - 1_200_000, 1_000_000_000)
            let due = MonotonicTime.now.nanoseconds + after
            if alarm.set(due) { reactor.run(afterNanoseconds: after) { [self] in alarm.rang(due) } }
        }
        reactor.turn()
        if let failure { throw failure }
        if reactor.now.nanoseconds(since: lastProgress) > plan.patience {
            throw LoadError(
                "nothing has come for \(plan.patience / 1_000_000_000) s: \(ready) connections are open, "
                    + "\(arrivals) messages have arrived")
        }
    }

    // MARK: Arriving

    func arrived(_ message: LoadPayload) {
        arrivals += 1
        lastProgress = reactor.now
        guard isMeasuring else { return }
        report.delivered += 1
        report.latency.record(nanoseconds: MonotonicTime.now.nanoseconds - message.due)
    }

    /// Something that is not the run's own.
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

    private func end() {
        isEnding = true
        for connection in subscribers + publishers { connection.end() }
        reactor.runSoon {}
        reactor.turn()
    }
}
