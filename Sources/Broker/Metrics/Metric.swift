internal import WSTransport

/// One family of figures that `/metrics` shows.
///
/// The table of all of them is also what `docs/metrics.md`, the dashboard and the alerts are made from.
package struct Metric: Sendable {
    package enum Kind: String, Sendable { case counter, gauge, histogram }

    /// What it is about, as its readers look for it.
    package enum Section: String, CaseIterable, Sendable {
        case transport = "Connections and bytes"
        case messages = "Messages"
        case access = "Refusals and access"
        case store = "Store"
        case process = "Process"
    }

    /// What was read.
    enum Value {
        /// Figures with their labels in braces, or an empty string.
        case each([(labels: String, value: Int)])
        case fraction(Double)
        case histogram(Histogram.Reading, bounds: [Int], unit: Double)
        /// There is nothing to be said now.
        case missing
    }

    package let name: String
    package let kind: Kind
    package let help: String
    package let section: Section
    /// The names of its labels.
    package let labels: [String]
    let read: @Sendable (MetricReading) -> Value
}

/// The metrics, in the order in which they are shown.
package struct MetricTable: Sendable {
    package private(set) var metrics: [Metric] = []
    private var section = Metric.Section.transport

    /// All of them.
    package static let all: MetricTable = {
        var table = MetricTable()
        for section in Metric.Section.allCases {
            table.section = section
            switch section {
            case .transport: transport(&table)
            case .messages: messages(&table)
            case .access: access(&table)
            case .store: storage(&table)
            case .process: process(&table)
            }
        }
        return table
    }()

    /// Adds a family with one figure; `nil`: it is missing now.
    mutating func add(
        _ name: String, _ kind: Metric.Kind, _ help: String, _ read: @escaping @Sendable (MetricReading) -> Int?
    ) {
        add(name, kind, help, []) { reading in read(reading).map { .each([("", $0)]) } ?? .missing }
    }

    /// Adds a family with a figure for each value of its labels.
    mutating func add(
        _ name: String, _ kind: Metric.Kind, _ help: String, by labels: String...,
        each read: @escaping @Sendable (MetricReading) -> [(labels: String, value: Int)]
    ) {
        add(name, kind, help, labels) { .each(read($0)) }
    }

    /// Adds a family with one figure that may have a fraction, such as seconds; `nil`: it is missing now.
    mutating func add(
        _ name: String, _ kind: Metric.Kind, _ help: String,
        fraction read: @escaping @Sendable (MetricReading) -> Double?
    ) {
        add(name, kind, help, []) { reading in read(reading).map { .fraction($0) } ?? .missing }
    }

    /// Adds a histogram.
    ///
    /// - Parameter unit: the value of one count in the figure's unit.
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

/// What the metrics are read from, at one moment.
struct MetricReading {
    let figures: Figures
    /// `nil`: it cannot be read.
    let store: StoreStatistics?
    /// What clients have not taken; `nil`: it is not known.
    let pending: PendingBytes?

    /// A counter of all event loops' transport.
    func transport(_ counter: (ReactorCounters) -> Int) -> Int { figures.sum(counter) }

    /// A counter of all event loops' exchange.
    func exchange(_ counter: (ShardCounters) -> Int) -> Int { figures.sum(counter) }

    /// A counter of each endpoint.
    func byEndpoint(_ counter: (borrowing EndpointTraffic) -> Int) -> [(labels: String, value: Int)] {
        ClientEndpoint.allCases.map { endpoint in
            ("{endpoint=\"\(endpoint)\"}", exchange { $0.traffic(of: endpoint, counter) })
        }
    }

    /// How often credentials of a kind were right, and how often not.
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
