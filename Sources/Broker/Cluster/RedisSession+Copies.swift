internal import WSTransport

/// Copies of stores, which pass from one broker to another through the engine.
extension RedisSession {
    /// How many requests for a copy are considered.
    private static var maximumRequests: Int { 64 }

    /// Sends a command to the current primary, in any state of this broker.
    var copyQuestion: CopyQuestion {
        { [weak self] command, then in
            guard let self, let primary else {
                self?.reactor.runSoon { then(.failure(.closed)) }
                return
            }
            primary.ask(command, then)
        }
    }

    /// Gets a copy of another broker's store, with which this broker will restart.
    func takeCopy() {
        guard taker == nil, let copies = options.copies else { return }
        let place = CopyPlace(keys, for: options.node)
        taker = CopyTaker(at: place, copies, on: reactor, copyQuestion) { [weak self] in self?.publish() }
    }

    /// Gives a copy to a broker that wants one.
    ///
    /// The living broker with the smallest number does so; if it does not, another one does.
    func giveCopies() {
        guard let copies = options.copies, order.obstacle == nil, options.mayGiveCopies() else { return }
        ask(["HGETALL", .text(keys.copies)]) { [unowned self] answer in
            guard case .success(let value) = answer, let words = value.elements else { return failed(answer) }
            var known: [String: Int] = [:]
            for place in stride(from: 0, to: words.count - 1, by: 2) {
                guard let node = words[place].text.flatMap({ UInt64($0, radix: 16) }), node != options.node,
                    let request = words[place + 1].text, known.count < Self.maximumRequests
                else { continue }
                let seen = (unanswered[request] ?? 0) + 1
                known[request] = seen
                let rank = present.filter { $0 != node && $0 < options.node }.count
                guard giver == nil, seen > rank * 3 else { continue }
                known[request] = Int.min / 2
                status.counts.copies += 1
                giver = CopyGiver(
                    request, at: CopyPlace(keys, for: node), from: options.node, copies, on: reactor, copyQuestion
                ) { [weak self] giver in if self?.giver === giver { self?.giver = nil } }
            }
            unanswered = known
        }
    }
}

/// The agreement of the brokers about the number of logs over which the cluster spreads its topics.
extension RedisSession {
    /// Compares the number with the one recorded in the engine, and continues if they are the same.
    ///
    /// A broker that has read the cluster's log knows the number and records it; a broker that is new to the cluster, with
    /// a store of its own or without one, trusts the recorded number.
    func comparePartitions(then: @escaping () -> Void) {
        guard let (count, key) = options.partitions else { return then() }
        let isNew = order.position.term == 0
        ask([isNew ? "HSETNX" : "HSET", .text(key), "partitions", .number(UInt64(count))]) { [unowned self] in
            failed($0)
        }
        ask(["HGET", .text(key), "partitions"]) { [unowned self] answer in
            guard case .success(let value) = answer else { return failed(answer) }
            guard isNew, let known = value.text.flatMap({ Int($0) }), known != count else { return then() }
            hinder(
                .unfit(
                    """
                    The brokers of this cluster have cluster.partitions: \(known), this one has \(count): set it to \
                    \(known), with their engines, or set another cluster.name.
                    """))
        }
    }
}
