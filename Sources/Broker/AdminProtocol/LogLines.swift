/// A request for the last lines of a log, and for new ones.
package protocol LineRequest: AdminRequest where Answer == LogLines {
    /// Only lines after the one with this number; `nil` for all lines that are still in memory.
    var after: UInt64? { get set }
    /// Only lines of this time or later, in Unix milliseconds; `nil` for all.
    var since: Int64? { get set }
    /// Whether the answer waits some seconds for a new line if there is none.
    var isWaiting: Bool { get set }
}

/// Lines of a log.
package struct LogLines: AdminObject {
    /// The lines, each a JSON object.
    package var lines: [[UInt8]] = []
    /// The number that ``LineRequest/after`` has in the next request.
    package var next: UInt64 = 0
    /// Whether more lines are available now.
    package var hasMore = false
    /// How many lines after ``LineRequest/after`` are no longer in memory.
    package var missed = 0

    package init() {}

    package init(_ object: borrowing JSONObject) throws(JSONError) {
        var lines: [[UInt8]] = []
        try object.value("lines")?.forEachElement { (element) throws(JSONError) in
            lines.append(element.copyRawBytes())
        }
        self.lines = lines
        next = try object.integer("next") ?? 0
        hasMore = try object.bool("more") ?? false
        missed = try object.integer("missed") ?? 0
    }

    package func write(to writer: inout JSONWriter) {
        writer.name("lines")
        writer.beginArray()
        for line in lines { writer.raw(line.span) }
        writer.endArray()
        writer.member("next", next)
        if hasMore { writer.member("more", true) }
        if missed > 0 { writer.member("missed", missed) }
    }
}
