internal import WSTransport

/// The agreement of the brokers about the number of logs over which the cluster spreads its topics.
extension RedisSession {
    /// Compares the number with the one recorded in the engine, and continues if they are the same.
    ///
    /// A broker that has the cluster's state knows the number and records it; a new broker trusts the recorded number.
    func comparePartitions(then: @escaping () -> Void) {
        guard let (count, key) = options.partitions else { return then() }
        let isNew = order.epoch == 0
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
