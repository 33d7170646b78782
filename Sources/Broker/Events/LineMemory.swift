internal import Synchronization

/// The last lines of a log, for administrators that read along.
///
/// The log's thread adds and never waits for a reader: one that is slow misses lines, and learns how many. Any thread.
package final class LineMemory: Sendable {
    /// One line, without its end.
    package struct Line: Sendable {
        /// From 1 on, without a gap.
        package let number: UInt64
        package let time: Int64
        /// What it is about, in the words of its log.
        package let tags: [String]
        package let bytes: [UInt8]

        /// Whether it is about `tag`, byte by byte.
        package func has(_ tag: String) -> Bool { tags.contains { $0.utf8.elementsEqual(tag.utf8) } }
    }

    fileprivate struct State {
        var lines: [Line] = []
        /// The lines before it are forgotten.
        var first = 0
        var size = 0
        var maximumSize = 4 << 20
    }

    private let state = Mutex(State())
    private let last = Atomic<UInt64>(0)
    /// The bookkeeping of a line, in bytes.
    fileprivate static let overhead = 96

    package init() {}

    /// The number of the newest line; 0: there was none.
    package var newest: UInt64 { last.load(ordering: .relaxed) }

    /// What the remembered lines take, in bytes.
    package var size: Int { state.withLock { $0.size } }

    /// Remembers so many bytes of lines from now on.
    package func limit(to size: Int) {
        state.withLock { state in
            state.maximumSize = size
            state.forget()
        }
    }

    /// Adds a line, without its end.
    ///
    /// - Parameter time: Unix milliseconds.
    package func add(_ bytes: [UInt8], at time: Int64, about tags: [String]) {
        state.withLock { state in
            let number = last.wrappingAdd(1, ordering: .relaxed).newValue
            state.lines.append(Line(number: number, time: time, tags: tags, bytes: bytes))
            state.size += bytes.count + Self.overhead
            state.forget()
        }
    }

    /// A part of the lines.
    package struct Part: Sendable {
        package var lines: [Line] = []
        /// The number of the last line that was looked at.
        package var next: UInt64
        /// Whether others follow.
        package var hasMore = false
        /// How many lines between `after` and the first that is remembered are forgotten.
        package var missed = 0
    }

    /// Lines that are remembered, some at a time.
    ///
    /// - Parameters:
    ///   - after: the number of the line before; `nil`: from the first that is remembered.
    ///   - since: Unix milliseconds; `nil`: of all times.
    ///   - isWanted: whether a line belongs to them.
    package func lines(after: UInt64?, since: Int64?, where isWanted: (Line) -> Bool) -> Part {
        state.withLock { state in
            let newest = last.load(ordering: .relaxed)
            let remembered = UInt64(state.lines.count - state.first)
            let oldest = newest - remembered
            // One of another start of the broker begins again.
            let start = after.map { $0 > newest ? oldest : max($0, oldest) } ?? oldest
            var part = Part(next: start)
            if let after, after < oldest { part.missed = Int(clamping: oldest - after) }
            var size = 0
            for line in state.lines[(state.first + Int(start - oldest))...] {
                guard part.lines.count < Self.atOnce, size < Self.sizeAtOnce else {
                    part.hasMore = true
                    break
                }
                part.next = line.number
                if let since, line.time < since { continue }
                guard isWanted(line) else { continue }
                part.lines.append(line)
                size += line.bytes.count
            }
            return part
        }
    }

    private static let atOnce = 1000
    private static let sizeAtOnce = 1 << 20
}

extension LineMemory.State {
    /// Forgets the oldest lines where there are too many.
    fileprivate mutating func forget() {
        while size > maximumSize, first < lines.count {
            size -= lines[first].bytes.count + LineMemory.overhead
            first += 1
        }
        guard first > 1024 || first == lines.count else { return }
        lines.removeFirst(first)
        first = 0
    }
}
