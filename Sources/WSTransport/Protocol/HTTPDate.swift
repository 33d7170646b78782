/// Dates in the form that HTTP uses, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7).
package enum HTTPDate {
    private static let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
    /// The years 0001 to 9999, the range of four digits.
    private static let range: ClosedRange<Int64> = -62_135_596_800...253_402_300_799

    /// The text for a time in Unix seconds; a time outside the years 1 to 9999 is replaced by the nearest one inside.
    package static func format(unixSeconds: Int64) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(29)
        append(unixSeconds: unixSeconds, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends the text of ``format(unixSeconds:)`` to `bytes`; used for each response.
    package static func append(unixSeconds: Int64, to bytes: inout [UInt8]) {
        let seconds = min(max(unixSeconds, range.lowerBound), range.upperBound)
        let days = Int(seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400)
        let time = Int(seconds) - days * 86_400
        let (year, month, day) = date(ofDay: days)
        append(names: "ThuFriSatSunMonTueWed", ((days % 7) + 7) % 7, to: &bytes)
        bytes.append(", ")
        append(day, digits: 2, to: &bytes)
        bytes.append(.space)
        append(names: "JanFebMarAprMayJunJulAugSepOctNovDec", month - 1, to: &bytes)
        bytes.append(.space)
        append(year, digits: 4, to: &bytes)
        bytes.append(.space)
        append(time / 3_600, digits: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        append(time / 60 % 60, digits: 2, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        append(time % 60, digits: 2, to: &bytes)
        bytes.append(" GMT")
    }

    /// Appends one of several names of three letters each.
    private static func append(names: StaticString, _ number: Int, to bytes: inout [UInt8]) {
        for place in 3 * number..<3 * number + 3 where place < names.utf8CodeUnitCount {
            bytes.append(unsafe names.utf8Start[place])
        }
    }

    private static func append(_ number: Int, digits: Int, to bytes: inout [UInt8]) {
        var divisor = digits == 4 ? 1_000 : 10
        while divisor > 0 {
            bytes.append(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: number / divisor % 10))
            divisor /= 10
        }
    }

    /// The Unix seconds of `text`; `nil` if it is not a valid date in exactly this form.
    package static func parse(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count == 29, let year = number(bytes[12..<16]), let day = number(bytes[5..<7]),
            let month = months.firstIndex(where: { $0.utf8.elementsEqual(bytes[8..<11]) }),
            let hour = number(bytes[17..<19]), let minute = number(bytes[20..<22]), let second = number(bytes[23..<25]),
            year >= 1, hour < 24, minute < 60, second < 60, day >= 1
        else { return nil }
        let seconds = unixSeconds(year: year, month: month + 1, day: day, hour: hour, minute: minute, second: second)
        // Weekday, separators and the month's length are right if formatting gives the same text again.
        return format(unixSeconds: seconds) == text ? seconds : nil
    }

    /// The Unix seconds of `text` in any of the three forms that HTTP has had (RFC 9110 §5.6.7).
    ///
    /// - Parameter now: in Unix seconds. A year of two digits is the last one with these digits that is not more than
    ///   50 years ahead.
    package static func parseAny(_ text: String, now: Int64) -> Int64? {
        if let seconds = parse(text) { return seconds }
        let parts = text.split(separator: " ")
        // Sun Nov  6 08:49:37 1994
        if parts.count == 5, text.utf8.count == 24, parts[0].utf8.count == 3 {
            let day = parts[2].utf8.count == 1 ? "0\(parts[2])" : String(parts[2])
            let space = text.utf8.dropFirst(8).first
            guard parts[2].utf8.count == 2 || space == 0x20, !parts[2].hasPrefix("0") else { return nil }
            return parse("\(parts[0]), \(day) \(parts[1]) \(parts[4]) \(parts[3]) GMT")
        }
        // Sunday, 06-Nov-94 08:49:37 GMT
        let date = parts.count == 4 ? parts[1].split(separator: "-", omittingEmptySubsequences: false) : []
        guard date.count == 3, date[2].utf8.count == 2, let short = number(Array(date[2].utf8)[...]),
            let weekday = longWeekdays.firstIndex(where: { parts[0] == "\($0)," })
        else { return nil }
        let present = Self.date(ofDay: Int(now / 86_400)).year
        var year = present - present % 100 + short
        if year > present + 50 { year -= 100 }
        return parse("\(weekdays[weekday]), \(date[0]) \(date[1]) \(padded(year, 4)) \(parts[2]) \(parts[3])")
    }

    private static let longWeekdays = [
        "Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday",
    ]

    /// The Unix seconds of a date in the Gregorian calendar, whose parts are in their ranges.
    static func unixSeconds(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) -> Int64 {
        Int64(dayNumber(year, month, day)) * 86_400 + Int64(hour * 3_600 + minute * 60 + second)
    }

    /// The days since 1970-01-01 of a date in the Gregorian calendar.
    ///
    /// Years are counted from March, so that the leap day is the last of its year; 400 years have 146,097 days.
    private static func dayNumber(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month > 2 ? year : year - 1
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func date(ofDay number: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = number + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        digits.allSatisfy(\.isDigit) ? digits.reduce(0) { $0 * 10 + Int($1 - 0x30) } : nil
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
