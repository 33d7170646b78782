internal import Glibc
internal import WSTransport

/// The beginning and the end of a run's connections.
extension LoadRun {
    private static let connectionsPerAddress = 5000

    func raiseDescriptorLimit() throws(LoadError) {
        var limit = rlimit()
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let needed = total + 64
        guard Int(clamping: limit.rlim_cur) >= needed else {
            throw LoadError("\(needed) descriptors are needed, and the limit is \(limit.rlim_cur)")
        }
    }

    /// How many connections the plan has.
    var total: Int { plan.subscribers + plan.publishers }

    /// Opens all of them, and measures the time and the cost for the server.
    func open() throws(LoadError) {
        let start = MonotonicTime.now
        let used = plan.serverProcess.flatMap { ProcessTime.used(by: $0) }
        var begun = 0
        while ready < total {
            while begun < total, opening < plan.openingAtOnce {
                try connect(begun)
                begun += 1
            }
            try turn()
            if isInterrupted { throw LoadError("interrupted when \(ready) of \(total) connections were open") }
            if isOutOfPatience { throw LoadError(notOpen(.timedOut), server: plan.server) }
        }
        report.opened = ready
        report.openingNanoseconds = MonotonicTime.now.nanoseconds(since: start)
        if let process = plan.serverProcess, let used, let now = ProcessTime.used(by: process) {
            report.serverOpeningNanoseconds = now - used
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
            throw LoadError(notOpen(.unreachable(error)), server: plan.server)
        }
    }

    private func notOpen(_ cause: ConnectError) -> LoadError.Opening {
        LoadError.Opening(cause: cause, done: ready, total: total)
    }

    // MARK: Reports of the connections

    /// The server accepted `stream` this many nanoseconds after it was begun.
    func connectionReady(after nanoseconds: Int64, _ stream: StreamConnection) {
        ready += 1
        opening -= 1
        report.openingLatency.record(nanoseconds: nanoseconds)
        if report.tlsVersion == nil { report.tlsVersion = stream.tlsVersion }
        if let storm { report.latency.record(nanoseconds: MonotonicTime.now.nanoseconds(since: storm)) }
        lastProgress = reactor.now
    }

    func connectionClosed(wasReady: Bool, _ cause: ConnectError) {
        gone += 1
        guard !isEnding else { return }
        guard wasReady else { return cannotOpen(cause) }
        fail("a connection to \(plan.server) was lost\(cause == .connectionLost ? "" : ": \(cause)")")
    }

    func cannotOpen(_ cause: ConnectError) {
        if failure == nil { failure = LoadError(notOpen(cause), server: plan.server) }
    }

    func fail(_ sentence: String) { if failure == nil { failure = LoadError(sentence) } }

    // MARK: The end

    /// Closes all connections: with a handshake if the plan allows time for it and nothing has failed.
    func end() {
        isEnding = true
        let connections = subscribers + publishers
        if failure == nil, plan.closingPatience > 0 {
            for connection in connections { connection.close() }
            let deadline = MonotonicTime.now.advanced(byNanoseconds: plan.closingPatience)
            reactor.run(afterNanoseconds: plan.closingPatience) {}
            while gone < connections.count, failure == nil, MonotonicTime.now < deadline { reactor.turn() }
        }
        for connection in connections { connection.end() }
        reactor.runSoon {}
        reactor.turn()
    }
}
