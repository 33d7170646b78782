/// Writes figures in Prometheus's text format.
///
/// No label contains a topic or a client, because their number is unbounded.
struct PrometheusText {
    private(set) var bytes: [UInt8] = []

    enum Kind: String { case counter, gauge }

    /// Adds a family with one figure.
    mutating func add(_ name: String, _ kind: Kind, _ help: String, _ value: Int) {
        add(name, kind, help, [("", value)])
    }

    /// Adds a family; each figure has its labels in braces, or an empty string.
    mutating func add(_ name: String, _ kind: Kind, _ help: String, _ values: [(labels: String, value: Int)]) {
        write("# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n")
        for (labels, value) in values { write("\(name)\(labels) \(value)\n") }
    }

    /// The value of a label, as it is written in quotes.
    static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    /// Adds a family with one figure that may have a fraction, such as seconds.
    mutating func add(_ name: String, _ kind: Kind, _ help: String, fraction: Double) {
        write("# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n\(name) \(fraction)\n")
    }

    /// Adds a histogram.
    ///
    /// - Parameter unit: the value of one count in the figure's unit.
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
        // Rounded, because 0.0003 has no exact binary representation.
        let rounded = (value * 1e6).rounded() / 1e6
        return rounded == rounded.rounded() && abs(rounded) < 1e15 ? "\(Int(rounded))" : "\(rounded)"
    }

    private mutating func write(_ text: String) { bytes += Array(text.utf8) }
}
