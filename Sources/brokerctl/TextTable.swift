/// A table with aligned columns.
struct TextTable {
    /// One column.
    struct Column: ExpressibleByStringLiteral {
        let title: String
        /// Numbers are right-aligned.
        let isRight: Bool

        init(stringLiteral title: String) { self.init(title, isRight: false) }

        private init(_ title: String, isRight: Bool) {
            self.title = title
            self.isRight = isRight
        }

        static func right(_ title: String) -> Column { Column(title, isRight: true) }
    }

    private let columns: [Column]
    private let rows: [[String]]

    /// Makes a table; each of `rows` has a cell for each column.
    init(_ columns: [Column], _ rows: [[String]]) {
        self.columns = columns
        self.rows = rows.map { $0.map { Output.printable($0) } }
    }

    /// The lines, starting with the titles.
    var lines: [String] {
        let all = [columns.map(\.title)] + rows
        let widths = columns.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            var line = ""
            for (index, cell) in row.enumerated() {
                let padding = String(repeating: " ", count: widths[index] - cell.count)
                if columns[index].isRight {
                    line += padding + cell
                } else {
                    line += index == row.count - 1 ? cell : cell + padding
                }
                if index < row.count - 1 { line += "  " }
            }
            return line
        }
    }

    /// Prints the table.
    func print() { Output.write(Array(lines.map { $0 + "\n" }.joined().utf8)) }
}
