internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc
internal import WSTransport

/// A span of time in an option: a number of seconds, or a text such as `500ms`, `90s`, `10m` or `7d`.
struct TimeSpan: ExpressibleByArgument {
    let seconds: Double

    init?(argument: String) {
        guard let seconds = Double(argument) ?? Quantity.milliseconds(argument).map({ $0 / 1000 }) else { return nil }
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
