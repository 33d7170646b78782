internal import WSTransport

/// Writes metrics in Prometheus's text format.
///
/// No label contains a topic or a client, because their number is unbounded.
struct PrometheusText {
    private(set) var bytes: [UInt8] = []

    /// Adds a family.
    mutating func add(_ metric: Metric, _ value: Metric.Value) {
        if case .missing = value { return }
        write("# HELP \(metric.name) \(metric.help)\n# TYPE \(metric.name) \(metric.kind.rawValue)\n")
        switch value {
        case .missing: break
        case .each(let figures): for (labels, figure) in figures { write("\(metric.name)\(labels) \(figure)\n") }
        case .fraction(let figure): write("\(metric.name) \(figure)\n")
        case .histogram(let reading, let bounds, let unit): add(metric.name, reading, bounds, unit)
        }
    }

    /// The value of a label, escaped for use in quotes.
    static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    private mutating func add(_ name: String, _ reading: Histogram.Reading, _ bounds: [Int], _ unit: Double) {
        for (bound, count) in zip(bounds, reading.counts) {
            write("\(name)_bucket{le=\"\(Self.number(Double(bound) * unit))\"} \(count)\n")
        }
        let total = reading.counts.last ?? 0
        write("\(name)_bucket{le=\"+Inf\"} \(total)\n")
        write("\(name)_sum \(Self.number(Double(reading.sum) * unit))\n\(name)_count \(total)\n")
    }

    static func number(_ value: Double) -> String {
        // Rounded, because 0.0003 has no exact binary representation.
        let rounded = (value * 1e6).rounded() / 1e6
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? "\(Int(rounded))" : "\(rounded)"
    }

    private mutating func write(_ text: String) { bytes += Array(text.utf8) }
}
