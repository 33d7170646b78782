internal import CLinux
internal import Glibc
internal import WSTransport

/// The format of messages in `sub` at a terminal: with their times, and in colours if the terminal has them.
struct TerminalMessage {
    private let hasColours: Bool

    /// Decides about colours by `NO_COLOR` and `TERM`.
    init() {
        let terminal = Self.variable("TERM") ?? "dumb"
        hasColours = (Self.variable("NO_COLOR") ?? "").isEmpty && terminal != "dumb"
    }

    /// `TIME TOPIC DATA`, and further marks of the message, without control characters from clients.
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

    /// The local time of day, with milliseconds, and with the date if that is not today.
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
