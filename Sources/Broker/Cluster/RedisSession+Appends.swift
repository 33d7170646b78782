internal import WSTransport

/// The engine's time as far as it is known here, from its last answer to an append; each second has at least one.
struct EngineClock {
    private var last: (time: Int64, at: MonotonicTime)?

    /// Takes the time from an answer, in Unix milliseconds, that has just arrived.
    mutating func set(_ time: Int64, at now: MonotonicTime) { last = (time, now) }

    /// The engine's time now, in Unix milliseconds; `nil` if it has not answered yet.
    ///
    /// It follows the engine and this machine's monotonic clock, so a changed time of day does not matter.
    func time(at now: MonotonicTime) -> UInt64? {
        last.flatMap { UInt64(exactly: $0.time + now.nanoseconds(since: $0.at) / 1_000_000) }
    }
}

extension RedisSession {
    /// From this size on, in bytes, a record is appended by a transaction instead of a function.
    ///
    /// A transaction takes 3 µs more of the engine's processor time than the function, and 2.5 ns less for each byte.
    private static let largeRecord = 2048

    func send(_ records: [RedisLog.Unsent]) {
        guard case .engaged(let term) = phase else { return }
        for unsent in records where unsent.term == term {
            let (record, numbers) = (unsent.record, unsent.numbers)
            status.counts.appends += 1
            status.counts.appendedBytes += UInt64(record.count)
            guard maySplit, record.count >= Self.largeRecord, let time = clock.time(at: reactor.now) else {
                ask(.append, [.number(term), .number(UInt64(numbers)), .bytes(record)]) { [unowned self] words in
                    appended(words.first, term: term)
                    if let time = words.last?.integer { clock.set(time, at: reactor.now) }
                }
                continue
            }
            let visit = visit
            let commands = keys.append(record, numbers: numbers, term: term, time: time)
            primary?.ask(transaction: commands) { [weak self] answer in
                guard let self, visit == self.visit else { return }
                switch answer {
                case .success(let results): appended(results.first, term: term)
                case .failure(let failure): refused(failure)
                }
            }
        }
    }

    /// Notes the last number of a record.
    private func appended(_ number: RESPValue?, term: UInt64) {
        guard let seq = number?.integer.flatMap({ UInt64(exactly: $0) }) else { return }
        top = max(top, LogPosition(term: term, seq: seq))
    }
}
