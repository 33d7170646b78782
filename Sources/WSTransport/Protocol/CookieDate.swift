/// Dates in cookies, read as leniently as RFC 6265 §5.1.1 requires: any order, many forms.
enum CookieDate {
    private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

    /// The Unix seconds of `text`; `nil` if it is not a date.
    static func parse(_ text: some StringProtocol) -> Int64? {
        var clock: [Int]?
        var day: Int?
        var month: Int?
        var year: Int?
        for token in Substring(text).utf8.split(whereSeparator: isDelimiter) {
            let digits = Array(token.prefix { $0.isDigit })
            if clock == nil, let found = time(token) {
                clock = found
            } else if day == nil, (1...2).contains(digits.count) {
                day = number(digits)
            } else if month == nil, let found = Self.month(token) {
                month = found
            } else if year == nil, digits.count == 2 || digits.count == 4 {
                let value = number(digits)
                year = digits.count == 4 ? value : value + (value < 70 ? 2000 : 1900)
            }
        }
        guard let clock, let day, let month, let year, (1...31).contains(day), year >= 1601, clock[0] < 24,
            clock[1] < 60, clock[2] < 60
        else { return nil }
        return HTTPDate.unixSeconds(
            year: year, month: month, day: day, hour: clock[0], minute: clock[1], second: clock[2])
    }

    private static func isDelimiter(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x09, 0x20...0x2F, 0x3B...0x40, 0x5B...0x60, 0x7B...0x7E: true
        default: false
        }
    }

    /// `8:49:37`, one or two digits each; anything after the last is ignored.
    private static func time(_ token: Substring.UTF8View.SubSequence) -> [Int]? {
        let parts = token.split(separator: UInt8(ascii: ":"), maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        var numbers: [Int] = []
        for (index, part) in parts.enumerated() {
            let digits = Array(part.prefix { $0.isDigit })
            guard (1...2).contains(digits.count), index == 2 || digits.count == part.count else { return nil }
            numbers.append(number(digits))
        }
        return numbers
    }

    private static func month(_ token: Substring.UTF8View.SubSequence) -> Int? {
        let name = token.prefix(3).map(\.lowercasedASCII)
        return months.firstIndex { $0.utf8.elementsEqual(name) }.map { $0 + 1 }
    }

    private static func number(_ digits: [UInt8]) -> Int { digits.reduce(0) { $0 * 10 + Int($1 - 0x30) } }
}
