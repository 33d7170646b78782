/// A scalar of a configuration.
struct ConfigurationScalar {
    let text: String
    /// Whether it is written without quotes.
    let isPlain: Bool
    /// The limits of topics and filters.
    let topicLimits: TopicLimits
}

/// Converts between scalars and values, and describes what is expected.
struct ConfigurationValue<Value> {
    /// The text of an error after "expected".
    var expected: String
    /// The value of a scalar; `nil` if it is not what was expected.
    var read: (ConfigurationScalar) -> Value?
    /// The text of a value, from which ``read`` makes the same value.
    let write: (Value) -> WrittenValue
    /// The accepted values in few words, for the reader of the configuration file; empty if they are obvious.
    var range = ""
    /// Additional text of an error about a scalar.
    var explain: (ConfigurationScalar) -> String? = { _ in nil }
    /// The meaning of the word `null`; `nil` if it means an empty value, as everywhere else.
    var null: Value?
}

extension ConfigurationValue where Value == Bool {
    static var boolean: Self {
        Self(
            expected: "true or false",
            read: { scalar in
                switch scalar.text {
                case "true" where scalar.isPlain: true
                case "false" where scalar.isPlain: false
                default: nil
                }
            }, write: { .plain(String($0)) })
    }
}

extension ConfigurationValue where Value == String {
    static func text(_ expected: String, where isValid: @escaping (String) -> Bool) -> Self {
        Self(expected: expected, read: { isValid($0.text) ? $0.text : nil }, write: { .text($0) })
    }

    /// A path that is not empty.
    static var path: Self { text("a path", where: { !$0.isEmpty }) }

    /// A topic filter within the limits of topics, such as `example`, as the broker writes it.
    static func filter(example: String) -> Self {
        func parse(_ scalar: ConfigurationScalar) -> Result<TopicFilter, TopicError> {
            Result { () throws(TopicError) in try TopicFilter(scalar.text, limits: scalar.topicLimits) }
        }
        return Self(
            expected: "a topic filter such as \"\(example)\"", read: { try? parse($0).get().name },
            write: { .text($0) },
            explain: { scalar in
                guard case .failure(let error) = parse(scalar) else { return nil }
                return "\(error)"
            })
    }
}

extension ConfigurationValue where Value: RawRepresentable & CaseIterable, Value.RawValue == String {
    static var choice: Self {
        let names = Value.allCases.map(\.rawValue)
        let expected = names.count == 2 ? "\(names[0]) or \(names[1])" : "one of \(names.joined(separator: ", "))"
        return Self(
            expected: expected, read: { Value(rawValue: $0.text) }, write: { .plain($0.rawValue) },
            range: names.dropLast().joined(separator: ", ") + " or \(names.last ?? "")")
    }
}

extension ConfigurationValue where Value == Int {
    /// A whole number.
    static func count(_ range: ClosedRange<Int>) -> Self {
        Self(
            expected: "a whole number from \(range.lowerBound) to \(range.upperBound)",
            read: { scalar in
                guard scalar.isPlain, let (number, unit) = scalar.text.numberAndUnit, unit.isEmpty else { return nil }
                return range.contains(number) ? number : nil
            }, write: { .plain(String($0)) }, range: "\(range.lowerBound) to \(range.upperBound)")
    }

    /// The same number as a rate per second: `20` or `20/s`.
    var perSecond: Self {
        var value = self
        value.expected += " a second"
        let read = read
        value.read = { scalar in
            guard scalar.text.hasSuffix("/s") else { return read(scalar) }
            let text = String(scalar.text.dropLast(2))
            return read(ConfigurationScalar(text: text, isPlain: scalar.isPlain, topicLimits: scalar.topicLimits))
        }
        return value
    }

    /// A number of bytes.
    static func size(_ range: ClosedRange<Int>) -> Self {
        let bounds = "\(SettingsWriter.size(range.lowerBound)) to \(SettingsWriter.size(range.upperBound))"
        let example = range.upperBound < 1 << 20 ? "1KiB" : "1MiB"
        return Self(
            expected: "a size such as \(example), from \(bounds)",
            read: { scalar in
                guard let (number, unit) = scalar.text.numberAndUnit,
                    let shift = ["": 0, "B": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40][unit]
                else { return nil }
                let (bytes, isTooBig) = number.multipliedReportingOverflow(by: 1 << shift)
                return !isTooBig && range.contains(bytes) ? bytes : nil
            }, write: { .plain(SettingsWriter.size($0)) }, range: bounds)
    }

    /// The same size, written without a unit.
    static func bytes(_ range: ClosedRange<Int>) -> Self {
        let size = size(range)
        return Self(expected: size.expected, read: size.read, write: { .plain(String($0)) }, range: size.range)
    }
}

extension ConfigurationValue where Value == Settings.Limits.Memory {
    /// A share, or a number of bytes.
    static var memory: Self {
        let size = ConfigurationValue<Int>.size(1 << 20...64 << 40)
        return Self(
            expected: "a share such as 25%, \(size.expected), or unlimited",
            read: { scalar in
                if ["unlimited", "0"].contains(scalar.text) { return .unlimited }
                guard let (number, unit) = scalar.text.numberAndUnit, unit == "%" else {
                    return size.read(scalar).map { .bytes($0) }
                }
                return 1...100 ~= number ? .share(percent: number) : nil
            },
            write: { limit in
                switch limit {
                case .share(let percent): .plain("\(percent)%")
                case .bytes(let bytes): size.write(bytes)
                case .unlimited: .plain("unlimited")
                }
            }, range: "1% to 100%, \(size.range), or unlimited")
    }
}

extension ConfigurationValue where Value == Duration {
    /// A time span.
    static func duration(_ range: ClosedRange<Duration>) -> Self {
        let bounds = "\(SettingsWriter.duration(range.lowerBound)) to \(SettingsWriter.duration(range.upperBound))"
        return Self(
            expected: "a duration such as 25s, from \(bounds)",
            read: { scalar in
                let units = ["ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
                guard let (number, unit) = scalar.text.numberAndUnit, let factor = units[unit] else { return nil }
                let (milliseconds, isTooLong) = number.multipliedReportingOverflow(by: factor)
                guard !isTooLong else { return nil }
                let duration = Duration.milliseconds(milliseconds)
                return range.contains(duration) ? duration : nil
            }, write: { .plain(SettingsWriter.duration($0)) }, range: bounds)
    }

    /// A time span from 10 ms to a week.
    static var timeSpan: Self { duration(.milliseconds(10)...(.seconds(7 * 86_400))) }
}

extension ConfigurationValue {
    /// The value, or `nil` for one of the words; the first word is the one that is written.
    func or(_ word: String, _ words: String..., listed: String) -> ConfigurationValue<Value?> {
        ConfigurationValue<Value?>(
            expected: "\(expected), or \(listed)",
            read: { scalar in
                scalar.text == word || words.contains(scalar.text) ? .some(nil) : read(scalar).map(Optional.some)
            }, write: { $0.map(write) ?? .plain(word) }, range: "\(range), or \(listed)")
    }

    /// A limit that can be `unlimited`.
    var liftable: ConfigurationValue<Value?> { or("unlimited", "0", "0s", listed: "unlimited") }

    /// An interval that can be `never`.
    var orNever: ConfigurationValue<Value?> { or("0", "0s", "unlimited", listed: "0 for none") }
}

extension String {
    /// The leading digits as a number, and the rest; `nil` without digits or with too many.
    fileprivate var numberAndUnit: (number: Int, unit: String)? {
        let digits = utf8.prefix { 0x30...0x39 ~= $0 }
        guard !digits.isEmpty, let number = Int(Substring(digits)) else { return nil }
        return (number, String(Substring(utf8[digits.endIndex...])))
    }
}
