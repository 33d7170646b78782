internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc
internal import WSTransport

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
        guard let number = Double(decimal: text.dropLast(unit == 1 ? 2 : 1)), number.isFinite, number >= 0 else {
            return nil
        }
        return number * unit
    }

    /// The bytes that a text such as `512`, `64KiB` or `1.5MiB` stands for; `nil` if it is not one.
    static func bytes(_ text: String) -> Int? {
        let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40), ("B", 1)]
        let (name, factor) = units.first { text.hasSuffix($0.0) } ?? ("", 1)
        guard let number = Double(decimal: text.dropLast(name.count)), (0...1e15).contains(number) else { return nil }
        return Int(exactly: (number * Double(factor)).rounded())
    }
}

/// A span of time in an option: a number of seconds, or a text such as `500ms`, `90s`, `10m` or `7d`.
struct TimeSpan: ExpressibleByArgument {
    let seconds: Double

    init?(argument: String) {
        guard let seconds = Double(decimal: argument) ?? Quantity.milliseconds(argument).map({ $0 / 1000 }) else {
            return nil
        }
        self.seconds = seconds
    }
}

/// A moment in an option: a time, or how long ago it was.
struct Moment {
    /// Parses the value of an option.
    static func parse(_ text: String) throws -> Moment {
        guard let moment = Moment(text) else {
            throw ValidationError(
                Output.printable(
                    "expected a time such as 10m, 1h or 7d (ago) or 2026-11-29T06:00, found \"\(text)\""
                ))
        }
        return moment
    }

    let unixMilliseconds: Int64

    /// Parses `10m`, `2026-11-29`, `2026-11-29T06:00` or `2026-11-29T06:00:05.250`: local time, or UTC with a `Z`, as
    /// in events and the audit log.
    init?(_ text: String) {
        if let seconds = Quantity.seconds(text) {
            guard seconds > 0 else { return nil }
            unixMilliseconds = WallClock.unixMilliseconds - min(seconds, Principal.lastSecond) * 1000
            return
        }
        let isUniversal = text.hasSuffix("Z")
        let halves = text.dropLast(isUniversal ? 1 : 0).split(separator: "T", omittingEmptySubsequences: false)
        guard (1...2).contains(halves.count), let date = Self.numbers(halves[0], "-", widths: [4, 2, 2]) else {
            return nil
        }
        var clock: [Int32] = [0, 0, 0]
        var fraction: Int64 = 0
        if halves.count == 2 {
            let parts = halves[1].split(separator: ".", omittingEmptySubsequences: false)
            guard
                let read = Self.numbers(parts[0], ":", widths: [2, 2])
                    ?? Self.numbers(parts[0], ":", widths: [2, 2, 2])
            else { return nil }
            clock.replaceSubrange(0..<read.count, with: read)
            if parts.count > 1 {
                let digits = parts[1]
                guard parts.count == 2, read.count == 3, (1...9).contains(digits.count),
                    digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let number = Double("0." + digits)
                else { return nil }
                fraction = Int64(number * 1000)
            }
        }
        guard (1970...9999).contains(date[0]), (1...12).contains(date[1]), (1...31).contains(date[2]),
            clock[0] < 24, clock[1] < 60, clock[2] < 61
        else { return nil }
        var parts = unsafe tm()
        unsafe (parts.tm_year, parts.tm_mon, parts.tm_mday) = (date[0] - 1900, date[1] - 1, date[2])
        unsafe (parts.tm_hour, parts.tm_min, parts.tm_sec, parts.tm_isdst) = (clock[0], clock[1], clock[2], -1)
        let seconds = unsafe isUniversal ? timegm(&parts) : mktime(&parts)
        // A day that the month does not have would become one of the next month.
        guard unsafe parts.tm_mday == date[2] else { return nil }
        unixMilliseconds = Int64(seconds) * 1000 + fraction
    }

    /// The numbers, if each has the given number of digits; otherwise `nil`.
    private static func numbers(_ text: Substring, _ separator: Character, widths: [Int]) -> [Int32]? {
        let parts = text.split(separator: separator, omittingEmptySubsequences: false)
        guard parts.map(\.utf8.count) == widths else { return nil }
        let numbers = parts.compactMap { part in
            part.utf8.allSatisfy { 0x30...0x39 ~= $0 } ? Int32(part) : nil
        }
        return numbers.count == widths.count ? numbers : nil
    }
}
