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
            try LibraryHouse.run { house in try LibraryFigures.record(in: tally, house) }
        }
        try House.run { house in
            try CommandFigures.record(in: tally, house)
            try FanOutFigures.record(in: tally, house)
            try OpeningFigures.record(in: tally, house)
        }
        if tally.wants("publish/compressed-1KiB/") || tally.wants("memory/idle-compressed") {
            try House.run(configure: { $0.compression.enabled = true }) { house in
                try FanOutFigures.recordLarge("compressed-1KiB", in: tally, house)
                try OpeningFigures.recordMemory("compressed", "/t/bench/open", in: tally, house)
            }
        }
        if tally.wants("crowd/") {
            try House.run(configure: { $0.limits.subscriptions = nil }) { house in
                try CrowdFigures.record(in: tally, house)
            }
        }
        if tally.wants("behind/") {
            try House.run(configure: { ($0.limits.pending, $0.limits.pendingAge) = (8 << 10, nil) }) { house in
                try BehindFigures.record(in: tally, house)
            }
        }
        guard tally.wants("keepalive/") else { return }
        try House.run(configure: { $0.keepalive.interval = .seconds(1) }) { house in
            try KeepaliveFigures.record(in: tally, house)
        }
    }
}
