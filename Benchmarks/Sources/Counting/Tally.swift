import CCallgrind

/// Counts instructions and allocations per operation, under `valgrind --tool=callgrind`.
///
/// Each figure is a dump of callgrind's that holds nothing but the operations: code is instrumented from ``record``
/// on, and counted only inside `body`. The reader of the dumps divides by the number of operations in their names.
package struct Tally {
    /// Only figures whose name begins so; empty: all.
    private let prefix: String

    package init(prefix: String = "") { self.prefix = prefix }

    /// Whether the process runs where anything can be counted.
    package static var isPossible: Bool { callgrind_is_running() != 0 }

    /// Whether a figure whose name begins with `group` may be asked for, so that its set-up is worth the time.
    package func wants(_ group: String) -> Bool { group.hasPrefix(prefix) || prefix.hasPrefix(group) }

    /// Counts `rounds` calls of `body`, after two that are not counted.
    ///
    /// - Parameters:
    ///   - name: of words, digits, `-` and `/`.
    ///   - operations: how many one call of `body` does.
    ///   - before: runs before each call and is not counted.
    package func record(
        _ name: String, operations: Int, rounds: Int = 1, before: () throws -> Void = {}, _ body: () throws -> Void
    ) throws {
        guard name.hasPrefix(prefix) else { return }
        callgrind_begin_instrumentation()
        for _ in 0..<2 {
            try before()
            try body()
        }
        callgrind_forget()
        for _ in 0..<rounds {
            try before()
            callgrind_toggle_collection()
            try body()
            callgrind_toggle_collection()
        }
        callgrind_dump("\(name) \(operations * rounds)")
        callgrind_end_instrumentation()
    }
}

extension Tally {
    /// Notes how many bytes of the heap each of `count` things takes that `body` makes; it makes them in any case.
    package func recordMemory(_ name: String, count: Int, _ body: () throws -> Void) throws {
        guard name.hasPrefix(prefix) else { return try body() }
        let before = heap_bytes()
        try body()
        let bytes = heap_bytes() - before
        print("memory \(name) \(Double(bytes) / Double(count))")
    }
}

/// Keeps the optimiser from seeing that a value is not used.
@inline(never) package func keep<Value>(_ value: borrowing Value) where Value: ~Copyable {}

/// Keeps the optimiser from seeing that a value is always the same.
@inline(never) package func opaque<Value>(_ value: Value) -> Value { value }
