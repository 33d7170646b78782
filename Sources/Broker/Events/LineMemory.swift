internal import Synchronization

/// The last lines of a log, kept in memory for administrators that follow it.
///
/// The log's thread adds lines and never waits for a reader: a slow reader misses lines, and is told how many. Any
/// thread.
package final class LineMemory: Sendable {
    /// One line, without its line end.
    package struct Line: Sendable {
        /// The line's number: 1 for the first, and 1 more for each further line.
        package let number: UInt64
        package let time: Int64
        /// What the line is about, as tags of its log.
        package let tags: [String]
        package let bytes: [UInt8]

        /// Whether the line has a tag, compared byte by byte.
        package func has(_ tag: String) -> Bool { tags.contains { $0.utf8.elementsEqual(tag.utf8) } }
    }

    fileprivate struct State {
        var lines: [Line] = []
        /// The index of the first line that is kept; those before it are forgotten.
        var first = 0
        var size = 0
        var maximumSize = 4 << 20
    }

    private let state = Mutex(State())
    private let last = Atomic<UInt64>(0)
    /// The memory of a line besides its text, in bytes.
    fileprivate static let overhead = 96

    package init() {}

    /// The number of the newest line; 0 if there is none.
    package var newest: UInt64 { last.load(ordering: .relaxed) }

    /// The memory of all lines, in bytes.
    package var size: Int { state.withLock { $0.size } }

    /// Sets the maximum memory, in bytes.
    package func limit(to size: Int) {
        state.withLock { state in
            state.maximumSize = size
            state.forget()
        }
    }

    /// Adds a line, without its line end.
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

    /// One page of lines.
    package struct Part: Sendable {
        package var lines: [Line] = []
        /// The number of the last line that was examined.
        package var next: UInt64
        /// Whether more lines are available now.
        package var hasMore = false
        /// How many lines after `after` are no longer in memory.
        package var missed = 0
    }

    /// Reads one page of lines.
    ///
    /// - Parameters:
    ///   - after: only lines after the one with this number; `nil` for all.
    ///   - since: only lines of this time or later, in Unix milliseconds; `nil` for all.
    ///   - isWanted: whether a line is included.
    package func lines(after: UInt64?, since: Int64?, where isWanted: (Line) -> Bool) -> Part {
        state.withLock { state in
            let newest = last.load(ordering: .relaxed)
            let remembered = UInt64(state.lines.count - state.first)
            let oldest = newest - remembered
            // A number from an earlier run of the broker starts at the oldest line.
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
    /// Forgets the oldest lines while all lines take too much memory.
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
