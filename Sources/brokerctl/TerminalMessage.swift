internal import CLinux
internal import Glibc
internal import WSTransport

/// How `sub` shows messages to a person at a terminal: with their times, and in colours unless the terminal has none.
struct TerminalMessage {
    private let hasColours: Bool

    /// Goes by `NO_COLOR` and `TERM`.
    init() {
        let terminal = Self.variable("TERM") ?? "dumb"
        hasColours = (Self.variable("NO_COLOR") ?? "").isEmpty && terminal != "dumb"
    }

    /// `TIME TOPIC DATA`, and what else there is to be said of the message, without control characters of others.
    func line(_ message: TopicMessage) -> String {
        var words: [String] = []
        if let time = message.time { words.append(coloured(Self.local(time), "2")) }
        words.append(coloured(Output.printable(message.topic), "36"))
        if !message.marks.isEmpty { words.append(coloured("(\(message.marks.joined(separator: ", ")))", "33")) }
        if !message.shownData.isEmpty {
            words.append(Output.printable(String(decoding: message.shownData, as: UTF8.self)))
        }
        return words.joined(separator: " ")
    }

    private func coloured(_ text: String, _ code: String) -> String {
        hasColours ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text
    }

    /// The time of day on this machine, with milliseconds; of another day, with the date.
    private static func local(_ milliseconds: Int64) -> String {
        let (now, then) = (parts(WallClock.unixMilliseconds), parts(milliseconds))
        func padded(_ number: Int, _ width: Int = 2) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
        }
        let clock = then.clock.map { padded($0) }.joined(separator: ":")
        let time = "\(clock).\(padded(Int(max(0, milliseconds % 1000)), 3))"
        return now.date == then.date ? time : "\(then.date.map { padded($0) }.joined(separator: "-")) \(time)"
    }

    private static func parts(_ milliseconds: Int64) -> (date: [Int], clock: [Int]) {
        var time = time_t(milliseconds / 1000)
        var parts = unsafe tm()
        unsafe _ = localtime_r(&time, &parts)
        return unsafe (
            [Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday)],
            [Int(parts.tm_hour), Int(parts.tm_min), Int(parts.tm_sec)]
        )
    }

    private static func variable(_ name: String) -> String? {
        unsafe getenv(name).map { unsafe String(cString: $0) }
    }
}
