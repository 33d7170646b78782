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

    private mutating func write(_ text: String) { bytes += Array(text.utf8) }
}
