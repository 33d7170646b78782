internal import Glibc
internal import WSTransport

/// Publishes the broker's own figures below `$SYS/broker`, under Mosquitto's names where those exist, and all metrics
/// below `$SYS/broker/metrics`.
///
/// Every `system_topics.interval`, figures that have changed are published. New subscribers and `GET` get the last
/// values, which are kept in memory only: a broker that has just started has none. Runs on the first reactor's thread.
package final class SystemTopics {
    private let shard: Shard
    private let figures: Figures
    private let version: String
    private let interval: () -> Int64?
    private var published: [String: [UInt8]] = [:]
    /// The figures to be sent now.
    private var changed: [(topic: Topic, payload: [UInt8])] = []
    private var loads: [LoadAverage] = []
    private var last: MonotonicTime
    private var maximumClients = 0

    /// The time after which the settings are checked again while publishing is off, in nanoseconds.
    private static let patience: Int64 = 2_000_000_000

    /// - Parameter interval: returns the time between publications, in nanoseconds; `nil` if publishing is off.
    package init(_ shard: Shard, _ figures: Figures, version: String, interval: @escaping () -> Int64?) {
        self.interval = interval
        self.shard = shard
        self.figures = figures
        self.version = version
        last = shard.reactor.now
    }

    /// Starts publishing; ends with the reactor.
    package func begin() {
        loads = counts().map { LoadAverage(name: $0.load, count: $0.count) }
        wait()
    }

    private func wait() {
        let interval = interval()
        shard.reactor.run(afterNanoseconds: interval ?? Self.patience) { [self] in
            guard interval != nil, self.interval() != nil, !shard.isDraining else { return wait() }
            guard let look = shard.reactor[PendingLook.self] else {
                publish(nil)
                return wait()
            }
            look.look { [self] pending in
                publish(pending)
                wait()
            }
        }
    }

    /// - Parameter pending: the bytes that clients have not received; `nil` if unknown.
    private func publish(_ pending: PendingBytes?) {
        changed = []
        defer { if !changed.isEmpty { shard.show(changed) } }
        let now = shard.reactor.now
        let seconds = max(Double(now.nanoseconds(since: last)) / 1e9, 0.001)
        last = now
        let counts = counts()
        for (name, count, load) in counts {
            publish(name, count)
            guard let index = loads.firstIndex(where: { $0.name == load }) else { continue }
            loads[index].add(count, seconds: seconds)
            for (minutes, value) in loads[index].averages {
                publish("load/\(load)/\(minutes)min", text: Self.rounded(value))
            }
        }
        let clients = figures.sum { (counters: ShardCounters) in counters.clients.current }
        maximumClients = max(maximumClients, clients)
        publish("version", text: "\"broker \(version)\"")
        publish("uptime", Int(max(0, WallClock.unixMilliseconds - figures.startedAt) / 1000))
        publish("clients/connected", clients)
        publish("clients/maximum", maximumClients)
        publish("subscriptions/count", figures.sum { (counters: ShardCounters) in counters.subscriptions.current })
        publish("memory/resident", Machine.residentBytes)
        let reading = figures.reading(pending: pending)
        if let cluster = reading.cluster { publish(cluster) }
        for metric in MetricTable.all.metrics {
            for (name, text) in metric.read(reading).figures { publish("metrics/\(metric.name)\(name)", text: text) }
        }
        guard let store = reading.store else { return }
        publish("retained messages/count", store.values)
        publish("store/messages/count", store.values + store.historyMessages)
        publish("store/messages/bytes", store.payloadBytes + store.historyBytes)
        publish("store/used/bytes", store.usedBytes)
        publish("store/maximum/bytes", store.maximumBytes)
    }

    /// Publishes the sums over all brokers of the cluster.
    private func publish(_ cluster: ClusterReading) {
        var sum = ClusterFigures()
        for one in cluster.figures { sum += one.figures }
        for (name, count) in [
            ("nodes/count", cluster.living), ("clients/connected", sum.clients),
            ("subscriptions/count", sum.subscriptions), ("publish/messages/received", sum.received),
            ("publish/messages/sent", sum.sent),
        ] { publish(name, text: "\(count)", below: "$SYS/cluster") }
    }

    /// The counters, each with its topic and the name of its load.
    private func counts() -> [(name: String, count: Int, load: String)] {
        func transport(_ counter: (ReactorCounters) -> Int) -> Int { figures.sum(counter) }
        func exchange(_ counter: (ShardCounters) -> Int) -> Int { figures.sum(counter) }
        return [
            ("messages/received", transport { $0.messagesReceived.current }, "messages/received"),
            ("publish/messages/received", exchange { $0.published.current }, "publish/received"),
            ("publish/bytes/received", exchange { $0.publishedBytes.current }, "publish/bytes/received"),
            (
                "publish/messages/sent", exchange { $0.delivered.current + $0.snapshots.current + $0.replayed.current },
                "publish/sent"
            ),
            (
                "publish/bytes/sent",
                ClientEndpoint.allCases.reduce(0) { sum, endpoint in
                    sum + exchange { $0.traffic(of: endpoint) { $0.sentBytes.current } }
                }, "publish/bytes/sent"
            ),
            ("publish/messages/dropped", exchange { $0.dropped.current }, "publish/dropped"),
            ("bytes/received", transport { $0.receivedBytes.current }, "bytes/received"),
            ("bytes/sent", transport { $0.sentBytes.current }, "bytes/sent"),
            ("connections/accepted", transport { $0.accepted.current }, "connections"),
        ]
    }

    private func publish(_ name: String, _ number: Int) { publish(name, text: "\(number)") }

    /// - Parameter text: a JSON value.
    private func publish(_ name: String, text: String, below root: String = "$SYS/broker") {
        let payload = Array(text.utf8)
        guard published["\(root)/\(name)"] != payload, let topic = try? Topic("\(root)/\(name)") else { return }
        published["\(root)/\(name)"] = payload
        changed.append((topic, payload))
    }

    /// The value with two decimals.
    private static func rounded(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        let digits = hundredths % 100
        return "\(hundredths / 100).\(digits < 10 ? "0" : "")\(digits)"
    }
}

extension Metric.Value {
    /// The values as JSON, each with the end of its topic: the values of its labels, each after a slash.
    fileprivate var figures: [(name: String, text: String)] {
        switch self {
        case .missing: []
        case .each(let figures): figures.map { (Self.levels($0.labels), "\($0.value)") }
        case .fraction(let value): value.isFinite ? [("", "\(value)")] : []
        case .histogram(let reading, _, let unit):
            [
                (
                    "",
                    "{\"count\":\(reading.counts.last ?? 0),\"sum\":\(PrometheusText.number(Double(reading.sum) * unit))}"
                )
            ]
        }
    }

    /// `/1/2` of `{a="1",b="2"}`.
    private static func levels(_ labels: String) -> String {
        labels.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 }.map { "/\($0.element)" }.joined()
    }
}

/// The rate per minute, averaged over the last 1, 5 and 15 minutes like a load average.
private struct LoadAverage {
    let name: String
    private(set) var averages: [(minutes: Int, value: Double)] = [(1, 0), (5, 0), (15, 0)]
    private var last: Int

    init(name: String, count: Int) {
        self.name = name
        last = count
    }

    mutating func add(_ count: Int, seconds: Double) {
        let rate = Double(count - last) * 60 / seconds
        last = count
        for index in averages.indices {
            let weight = exp(-seconds / Double(60 * averages[index].minutes))
            averages[index].value = rate + weight * (averages[index].value - rate)
        }
    }
}
