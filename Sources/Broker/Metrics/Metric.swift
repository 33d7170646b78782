internal import WSTransport

/// One family of metrics at `/metrics`.
///
/// `docs/metrics.md`, the dashboard and the alerts are made from the same table.
package struct Metric: Sendable {
    package enum Kind: String, Sendable { case counter, gauge, histogram }

    /// The subject of a metric, as a heading for readers.
    package enum Section: String, CaseIterable, Sendable {
        case transport = "Connections and bytes"
        case messages = "Messages"
        case access = "Refusals and access"
        case store = "Store"
        case cluster = "Cluster"
        case process = "Process"
    }

    /// The values of a family.
    enum Value {
        /// Values with their labels in braces; an empty string without labels.
        case each([(labels: String, value: Int)])
        case fraction(Double)
        case histogram(Histogram.Reading, bounds: [Int], unit: Double)
        /// There is no value now.
        case missing
    }

    package let name: String
    package let kind: Kind
    package let help: String
    package let section: Section
    /// The names of the labels.
    package let labels: [String]
    let read: @Sendable (MetricReading) -> Value
}

/// All metrics, in the order in which they are shown.
package struct MetricTable: Sendable {
    package private(set) var metrics: [Metric] = []
    private var section = Metric.Section.transport

    /// The table of all metrics.
    package static let all: MetricTable = {
        var table = MetricTable()
        for section in Metric.Section.allCases {
            table.section = section
            switch section {
            case .transport: transport(&table)
            case .messages: messages(&table)
            case .access: access(&table)
            case .store: storage(&table)
            case .cluster: cluster(&table)
            case .process: process(&table)
            }
        }
        return table
    }()

    /// Adds a family with one value; `nil` if there is none now.
    mutating func add(
        _ name: String, _ kind: Metric.Kind, _ help: String, _ read: @escaping @Sendable (MetricReading) -> Int?
    ) {
        add(name, kind, help, []) { reading in read(reading).map { .each([("", $0)]) } ?? .missing }
    }

    /// Adds a family with a value for each combination of labels.
    mutating func add(
        _ name: String, _ kind: Metric.Kind, _ help: String, by labels: String...,
        each read: @escaping @Sendable (MetricReading) -> [(labels: String, value: Int)]
    ) {
        add(name, kind, help, labels) { .each(read($0)) }
    }

    /// Adds a family with one value that may have a fraction, such as seconds; `nil` if there is none now.
    mutating func add(
        _ name: String, _ kind: Metric.Kind, _ help: String,
        fraction read: @escaping @Sendable (MetricReading) -> Double?
    ) {
        add(name, kind, help, []) { reading in read(reading).map { .fraction($0) } ?? .missing }
    }

    /// Adds a histogram.
    ///
    /// - Parameter unit: one count of the histogram in the metric's unit.
    mutating func add(
        _ name: String, _ help: String, unit: Double, _ read: @escaping @Sendable (MetricReading) -> [Histogram]
    ) {
        add(name, .histogram, help, []) { reading in
            let histograms = read(reading)
            guard let bounds = histograms.first?.bounds else { return .missing }
            var sum = Histogram.Reading(counts: Array(repeating: 0, count: bounds.count + 1))
            for histogram in histograms { sum.add(histogram.reading) }
            return .histogram(sum, bounds: bounds, unit: unit)
        }
    }

    private mutating func add(
        _ name: String, _ kind: Metric.Kind, _ help: String, _ labels: [String],
        _ read: @escaping @Sendable (MetricReading) -> Metric.Value
    ) {
        metrics.append(
            Metric(name: name, kind: kind, help: help, section: section, labels: labels, read: read))
    }
}

/// The values at one moment, from which the metrics are computed.
struct MetricReading {
    let figures: Figures
    /// The state of the store; `nil` if it cannot be read.
    let store: StoreStatistics?
    /// `nil` without a cluster.
    var cluster: ClusterReading?
    /// The bytes that clients have not received; `nil` if unknown.
    let pending: PendingBytes?

    /// A counter of the transport, summed over all event loops.
    func transport(_ counter: (ReactorCounters) -> Int) -> Int { figures.sum(counter) }

    /// A counter of the exchange, summed over all event loops.
    func exchange(_ counter: (ShardCounters) -> Int) -> Int { figures.sum(counter) }

    /// A counter of each endpoint.
    func byEndpoint(_ counter: (borrowing EndpointTraffic) -> Int) -> [(labels: String, value: Int)] {
        ClientEndpoint.allCases.map { endpoint in
            ("{endpoint=\"\(endpoint)\"}", exchange { $0.traffic(of: endpoint, counter) })
        }
    }

    /// The numbers of accepted and rejected credentials of a kind.
    func both(
        _ kind: String, _ examinations: (ShardCounters) -> (right: Int, wrong: Int)
    ) -> [(labels: String, value: Int)] {
        let all = figures.shards.map(examinations)
        return [
            ("{kind=\"\(kind)\",result=\"ok\"}", all.reduce(0) { $0 + $1.right }),
            ("{kind=\"\(kind)\",result=\"failed\"}", all.reduce(0) { $0 + $1.wrong }),
        ]
    }
}
