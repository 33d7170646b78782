/// How a scalar's text becomes a value, and how the expectation is put in words.
struct ConfigurationValue<Value> {
    /// What a message says after "expected".
    let expected: String
    /// The value of a text; `nil` when it is not what was expected.
    let read: (_ text: String, _ isPlain: Bool) -> Value?
}

extension ConfigurationValue where Value == Bool {
    static var boolean: Self {
        Self(expected: "true or false") { text, isPlain in
            switch text {
            case "true" where isPlain: true
            case "false" where isPlain: false
            default: nil
            }
        }
    }
}

extension ConfigurationValue where Value == String {
    static func text(_ expected: String, where isValid: @escaping (String) -> Bool) -> Self {
        Self(expected: expected) { text, _ in isValid(text) ? text : nil }
    }
}

extension ConfigurationValue where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    static var choice: Self {
        let names = Value.allCases.map(\.rawValue)
        let expected = names.count == 2 ? "\(names[0]) or \(names[1])" : "one of \(names.joined(separator: ", "))"
        return Self(expected: expected) { text, _ in Value(rawValue: text) }
    }
}

extension ConfigurationValue where Value == Int {
    /// A whole number.
    static func count(_ range: ClosedRange<Int>) -> Self {
        Self(expected: "a whole number from \(range.lowerBound) to \(range.upperBound)") { text, isPlain in
            guard isPlain, let (number, unit) = text.numberAndUnit, unit.isEmpty else { return nil }
            return range.contains(number) ? number : nil
        }
    }

    /// A number of bytes.
    static func size(_ range: ClosedRange<Int>) -> Self {
        let bounds = "from \(SettingsWriter.size(range.lowerBound)) to \(SettingsWriter.size(range.upperBound))"
        let example = range.upperBound < 1 << 20 ? "1KiB" : "1MiB"
        return Self(expected: "a size such as \(example), \(bounds)") { text, _ in
            guard let (number, unit) = text.numberAndUnit,
                let shift = ["": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40][unit]
            else { return nil }
            let (bytes, isTooBig) = number.multipliedReportingOverflow(by: 1 << shift)
            return !isTooBig && range.contains(bytes) ? bytes : nil
        }
    }
}

extension ConfigurationValue where Value == Settings.Limits.Memory {
    /// A share, or a number of bytes.
    static var memory: Self {
        let size = ConfigurationValue<Int>.size(1 << 20...64 << 40)
        return Self(expected: "a share such as 25%, \(size.expected), or unlimited") { text, isPlain in
            if ["unlimited", "0"].contains(text) { return .unlimited }
            guard let (number, unit) = text.numberAndUnit, unit == "%" else {
                return size.read(text, isPlain).map { .bytes($0) }
            }
            return 1...100 ~= number ? .share(percent: number) : nil
        }
    }
}

extension ConfigurationValue where Value == Duration {
    /// A time span.
    static func duration(_ range: ClosedRange<Duration>) -> Self {
        let bounds = "from \(SettingsWriter.duration(range.lowerBound)) to \(SettingsWriter.duration(range.upperBound))"
        return Self(expected: "a duration such as 25s, \(bounds)") { text, _ in
            let units = ["ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
            guard let (number, unit) = text.numberAndUnit, let factor = units[unit] else { return nil }
            let (milliseconds, isTooLong) = number.multipliedReportingOverflow(by: factor)
            guard !isTooLong else { return nil }
            let duration = Duration.milliseconds(milliseconds)
            return range.contains(duration) ? duration : nil
        }
    }
}

extension ConfigurationValue {
    /// The same, or one of `words` for `nil`.
    func or(_ words: String..., listed: String) -> ConfigurationValue<Value?> {
        ConfigurationValue<Value?>(expected: "\(expected), or \(listed)") { text, isPlain in
            words.contains(text) ? .some(nil) : read(text, isPlain).map(Optional.some)
        }
    }

    /// A limit that may be lifted.
    var liftable: ConfigurationValue<Value?> { or("unlimited", "0", "0s", listed: "unlimited") }
}

extension String {
    /// The digits this begins with, as a number, and what follows them; `nil` without digits or with too many.
    fileprivate var numberAndUnit: (number: Int, unit: String)? {
        let digits = utf8.prefix { 0x30...0x39 ~= $0 }
        guard !digits.isEmpty, let number = Int(Substring(digits)) else { return nil }
        return (number, String(Substring(utf8[digits.endIndex...])))
    }
}
