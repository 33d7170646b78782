import Counting
import Glibc
import TopicFigures

/// Counts everything there is to count, or the figures whose names begin with the first argument.
@main struct Counted {
    static func main() throws {
        guard Tally.isPossible else {
            print("Nothing is counted outside of valgrind: run Benchmarks/counted.py")
            return
        }
        do {
            try record(in: Tally(prefix: CommandLine.arguments.dropFirst().first ?? ""))
        } catch {
            print("counted: \(error)")
            exit(1)
        }
    }

    private static func record(in tally: Tally) throws {
        try TransportFigures.record(in: tally)
        try MatchFigures.record(in: tally)
        try AccessFigures.record(in: tally)
        if tally.wants("library/") || tally.wants("memory/library-") {
            try LibraryHarness.run { harness in try LibraryFigures.record(in: tally, harness) }
        }
        try Harness.run { harness in
            try CommandFigures.record(in: tally, harness)
            try FanOutFigures.record(in: tally, harness)
            try OpeningFigures.record(in: tally, harness)
        }
        if tally.wants("publish/compressed-1KiB/") || tally.wants("memory/idle-compressed") {
            try Harness.run(configure: { $0.compression.enabled = true }) { harness in
                try FanOutFigures.recordLarge("compressed-1KiB", in: tally, harness)
                try OpeningFigures.recordMemory("compressed", "/t/bench/open", in: tally, harness)
            }
        }
        if tally.wants("crowd/") {
            try Harness.run(configure: { $0.limits.subscriptions = nil }) { harness in
                try CrowdFigures.record(in: tally, harness)
            }
        }
        if tally.wants("behind/") {
            try Harness.run(configure: { ($0.limits.pending, $0.limits.pendingAge) = (8 << 10, nil) }) { harness in
                try BehindFigures.record(in: tally, harness)
            }
        }
        guard tally.wants("keepalive/") else { return }
        try Harness.run(configure: { $0.keepalive.interval = .seconds(1) }) { harness in
            try KeepaliveFigures.record(in: tally, harness)
        }
    }
}
