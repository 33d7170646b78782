/// Figures in Prometheus's text format.
///
/// No label ever holds a topic or a client: their number has no bound.
struct PrometheusText {
    private(set) var bytes: [UInt8] = []

    enum Kind: String { case counter, gauge }

    /// Adds a family with one figure.
    mutating func add(_ name: String, _ kind: Kind, _ help: String, _ value: Int) {
        add(name, kind, help, [("", value)])
    }

    /// Adds a family; each figure has its labels, in braces, or an empty string.
    mutating func add(_ name: String, _ kind: Kind, _ help: String, _ values: [(labels: String, value: Int)]) {
        write("# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n")
        for (labels, value) in values { write("\(name)\(labels) \(value)\n") }
    }

    /// Adds a family with one figure in seconds or another unit that has fractions.
    mutating func add(_ name: String, _ kind: Kind, _ help: String, fraction: Double) {
        write("# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n\(name) \(fraction)\n")
    }

    /// Adds a histogram.
    ///
    /// - Parameter unit: what one of its numbers is in the figure's unit.
    mutating func add(_ name: String, _ help: String, _ histogram: Histogram, unit: Double) {
        write("# HELP \(name) \(help)\n# TYPE \(name) histogram\n")
        let reading = histogram.reading
        for (bound, count) in zip(histogram.bounds, reading.counts) {
            write("\(name)_bucket{le=\"\(Self.number(Double(bound) * unit))\"} \(count)\n")
        }
        let total = reading.counts.last ?? 0
        write("\(name)_bucket{le=\"+Inf\"} \(total)\n")
        write("\(name)_sum \(Self.number(Double(reading.sum) * unit))\n\(name)_count \(total)\n")
    }

    private static func number(_ value: Double) -> String {
        // Rounded, because 300 millionths is not 0.0003 in binary.
        let rounded = (value * 1e6).rounded() / 1e6
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? "\(Int(rounded))" : "\(rounded)"
    }

    private mutating func write(_ text: String) { bytes += Array(text.utf8) }
}
