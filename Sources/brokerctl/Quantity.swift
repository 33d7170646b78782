/// Formats quantities for people.
enum Quantity {
    /// `812 B`, `1.5 KiB`, `16.0 GiB`.
    static func size(_ bytes: Int) -> String {
        var value = Double(bytes)
        var units = ["B", "KiB", "MiB", "GiB", "TiB"][...]
        while value >= 1024, units.count > 1 {
            value /= 1024
            units = units.dropFirst()
        }
        let unit = units.first ?? "B"
        return unit == "B" ? "\(bytes) B" : "\(fixed(value)) \(unit)"
    }

    /// `5s`, `3m 12s`, `2h 5m`, `4d 1h`; negative `seconds` count as 0.
    static func span(seconds: Int) -> String {
        let total = max(0, seconds)
        let (days, hours, minutes) = (total / 86_400, total / 3600 % 24, total / 60 % 60)
        if days > 0 { return "\(days)d \(hours)h" }
        if hours > 0 { return "\(hours)h \(minutes)m" }
        return minutes > 0 ? "\(minutes)m \(total % 60)s" : "\(total)s"
    }

    /// The nearest integer to a value, which may be out of range because a broker has sent it.
    static func whole(_ value: Double) -> Int { value.isNaN ? 0 : Int(max(-1e18, min(value, 1e18))) }

    /// With one decimal digit.
    static func fixed(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
        let tenths = Int((value * 10).rounded())
        return "\(tenths < 0 ? "-" : "")\(tenths.magnitude / 10).\(tenths.magnitude % 10)"
    }

    /// The seconds that a text such as `90s`, `10m`, `1h` or `7d` stands for; `nil` if it is not one.
    static func seconds(_ text: String) -> Int64? {
        let factors: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = text.last, let factor = factors[unit], let number = Int64(text.dropLast()), number >= 0 else {
            return nil
        }
        let (seconds, isTooLong) = number.multipliedReportingOverflow(by: factor)
        return isTooLong ? nil : seconds
    }

    /// The milliseconds that a text such as `20ms`, `1.5s` or `10m` stands for; `nil` if it is not one.
    static func milliseconds(_ text: String) -> Double? {
        let unit = text.hasSuffix("ms") ? 1.0 : text.hasSuffix("s") ? 1000 : nil
        guard let unit else { return seconds(text).map { Double($0) * 1000 } }
        guard let number = Double(text.dropLast(unit == 1 ? 2 : 1)), number.isFinite, number >= 0 else { return nil }
        return number * unit
    }

    /// The bytes that a text such as `512`, `64KiB` or `1.5MiB` stands for; `nil` if it is not one.
    static func bytes(_ text: String) -> Int? {
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)]
        let (name, factor) = units.first { text.hasSuffix($0.0) } ?? ("", 1)
        guard let number = Double(text.dropLast(name.count)), (0...1e15).contains(number) else { return nil }
        return Int(exactly: (number * Double(factor)).rounded())
    }
}
