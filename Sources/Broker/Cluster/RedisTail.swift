internal import WSTransport

/// Reads the log over a link to the engine, from the order's position on.
///
/// Runs on its reactor's thread.
final class RedisTail {
    /// An event of the tail.
    enum Event {
        /// Records of the log were applied.
        case read
        /// The server misbehaves; another link is needed.
        case failed(EngineFailure)
        /// The log can no longer be followed.
        case lost(LogTrouble)
    }

    private let options: RedisLog.Options
    private let key: String
    private let order: LogOrder
    private let reactor: Reactor
    private let report: (Event) -> Void
    private(set) var ring: LogRing
    private(set) var window: LogWindow
    /// The brokers whose records arrived, with their reports.
    private(set) var members: [UInt64: RedisLog.Member] = [:]
    private(set) var counts = (entries: UInt64(0), bytes: UInt64(0))
    /// Called when a canary of this broker has come back.
    var onCanary: (() -> Void)?

    private var link: EngineLink?
    private var isRunning = false
    /// Whether an answer of the link is outstanding.
    private var isAsking = false
    /// How many entries it requests, so that one answer stays small.
    private var batch = RedisTail.largestBatch
    /// The last term that is known to have begun, and the end of the previous one: a replica may still have later
    /// entries.
    private var begun: (term: UInt64, closed: LogPosition)?

    private static let largestBatch = 512
    /// The maximum wanted size of an answer, in bytes.
    private static let wantedSize = 8 << 20
    /// How long the server waits for entries, in milliseconds.
    ///
    /// The route asks for the server's role on the same link, and that answer must not take long.
    private static let block: UInt64 = 300
    /// How long it pauses if the store cannot keep up, in nanoseconds.
    private static let pause: Int64 = 5_000_000
    /// How many brokers are remembered.
    private static let maximumMembers = 1024

    init(
        _ options: RedisLog.Options, key: String, _ order: LogOrder, on reactor: Reactor,
        _ report: @escaping (Event) -> Void
    ) {
        (self.options, self.key, self.order) = (options, key, order)
        (self.reactor, self.report) = (reactor, report)
        ring = LogRing(capacity: options.ring)
        window = LogWindow(keptBytes: options.keptBytes, keptAge: options.keptAge)
    }

    /// The server that it reads from; `nil` without a link.
    var endpoint: Endpoint? { link?.endpoint }

    func opened(_ link: EngineLink) {
        (self.link, isAsking) = (link, false)
        read()
    }

    func failed() {
        // An answer may have been too large.
        if isAsking { batch = max(1, batch / 8) }
        (link, isAsking) = (nil, false)
    }

    /// Nothing more is applied until ``go(term:closed:)``.
    func hold() { isRunning = false }

    /// Begins to apply: the engine accepts records for `term` now, which began after `closed`.
    func go(term: UInt64, closed: LogPosition) {
        (begun, isRunning) = ((term, closed), true)
        read()
    }

    /// The position before which no living broker needs the log any more; `nil` if all of it is needed.
    func cut(slowest: LogPosition) -> LogPosition? { window.cut(slowest: slowest) }

    func forget(_ node: UInt64) { members[node] = nil }

    private func read() {
        guard isRunning, !isAsking, let link else { return }
        isAsking = true
        guard !options.isCongested() else {
            return reactor.run(afterNanoseconds: Self.pause) { [weak self, weak link] in
                guard let self, let link, link === self.link else { return }
                isAsking = false
                read()
            }
        }
        let command: RESPCommand = [
            "XREAD", "COUNT", .number(UInt64(batch)), "BLOCK", .number(Self.block), "STREAMS", .text(key),
            .text("\(order.position)"),
        ]
        link.ask(command, patience: options.limits.timeout + Int64(Self.block) * 1_000_000) {
            [weak self, weak link] answer in
            guard let self, let link, link === self.link else { return }
            isAsking = false
            answered(answer)
        }
    }

    private func answered(_ answer: EngineLink.Answer) {
        switch answer {
        case .failure(.refused(let error)): report(.failed(.refused(error)))
        // The link has ended, which its route reports.
        case .failure: break
        case .success(let value):
            // Entries from before the agreement of the brokers are read again afterwards.
            guard isRunning else { return }
            do throws(LogTrouble) {
                try take(value)
                read()
            } catch {
                isRunning = false
                report(.lost(error))
            }
        }
    }

    private func take(_ value: RESPValue) throws(LogTrouble) {
        // One stream: its key and its entries.
        guard let answered = value.elements?.first?.elements?.last?.elements, !answered.isEmpty else {
            return report(.read)
        }
        var entries: [LogEntry] = []
        var raw: [LogRing.Entry] = []
        var size = 0
        for value in answered {
            guard let entry = Self.raw(value) else { throw .unreadable(order.position) }
            size += entry.size
            if let begun, entry.place.term < begun.term, entry.place > begun.closed { continue }
            guard let read = Self.entry(entry) else { throw .unreadable(entry.place) }
            entries.append(read)
            raw.append(entry)
        }
        counts = (counts.entries + UInt64(answered.count), counts.bytes + UInt64(size))
        batch = min(Self.largestBatch, max(1, Self.wantedSize / (size / answered.count + 1)), batch * 2)
        try order.receive(entries)
        for (entry, raw) in zip(entries, raw) { keep(entry, raw) }
        report(.read)
    }

    private static func raw(_ value: RESPValue) -> LogRing.Entry? {
        guard let parts = value.elements, parts.count == 2, case .bytes(let name) = parts[0],
            let place = LogPosition(name.span), let words = parts[1].elements
        else { return nil }
        var fields: [[UInt8]] = []
        fields.reserveCapacity(words.count)
        for word in words {
            guard case .bytes(let bytes) = word else { return nil }
            fields.append(bytes)
        }
        return LogRing.Entry(place: place, fields: fields)
    }

    private static func entry(_ raw: LogRing.Entry) -> LogEntry? {
        func value(_ name: Unicode.Scalar) -> [UInt8]? {
            let names = stride(from: 0, to: raw.fields.count - 1, by: 2)
            return names.first { raw.fields[$0].count == 1 && raw.fields[$0][0] == UInt8(ascii: name) }
                .map { raw.fields[$0 + 1] }
        }
        if let record = value("b") {
            guard let time = value("m").flatMap({ UInt64(decimal: $0.span) }).flatMap({ Int64(exactly: $0) }) else {
                return nil
            }
            return .record(record, at: raw.place, time: time)
        }
        guard let closed = value("t").flatMap({ LogPosition($0.span) }),
            let epoch = value("e").flatMap({ UInt64(decimal: $0.span) })
        else { return nil }
        return .term(at: raw.place, closed: closed, epoch: epoch)
    }

    /// Remembers an entry that was applied.
    private func keep(_ entry: LogEntry, _ raw: LogRing.Entry) {
        ring.append(raw)
        guard case .record(let bytes, let place, let time) = entry else {
            return window.add(raw.place, size: raw.size, time: nil)
        }
        window.add(place, size: raw.size, time: time)
        options.onTime(time)
        guard let (kind, head) = LogRecord.peek(bytes.span) else { return }
        var member = members[head.node] ?? RedisLog.Member(node: head.node, facts: "")
        (member.heard, member.position) = (reactor.now, max(member.position, head.folded))
        members[head.node] = member
        if members.count > Self.maximumMembers { forgetOldest() }
        if head.node == options.node, kind == .canary { onCanary?() }
    }

    private func forgetOldest() {
        let oldest = members.min { ($0.value.heard?.nanoseconds ?? 0) < ($1.value.heard?.nanoseconds ?? 0) }
        if let oldest { members[oldest.key] = nil }
    }
}
