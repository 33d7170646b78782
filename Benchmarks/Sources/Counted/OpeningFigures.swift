import Counting
import WSTransport

/// From the kernel's queue to an open, subscribed connection; and what one takes of the heap while it is idle.
enum OpeningFigures {
    private static let ways = [("topic", "/t/bench/open"), ("json", "/ws")]

    static func record(in tally: Tally, _ house: House) throws {
        for (name, target) in ways {
            try recordOpening(name, target, in: tally, house)
            try recordMemory(name, target, in: tally, house)
        }
    }

    /// What an idle, subscribed connection takes of the heap.
    static func recordMemory(_ name: String, _ target: String, in tally: Tally, _ house: House) throws {
        guard tally.wants("memory/idle-\(name)") else { return }
        var guests: [Guest] = []
        // What the first thousand make the tables grow is not theirs alone.
        for _ in 0..<1000 { guests.append(try house.open(target)) }
        house.close(guests)
        guests = []
        guests.reserveCapacity(1000)
        try tally.recordMemory("memory/idle-\(name)", count: 1000) {
            for _ in 0..<1000 { guests.append(try idle(target, house)) }
        }
        house.close(guests)
    }

    /// A connection that subscribes to a filter all share, and is left alone.
    private static func idle(_ target: String, _ house: House) throws -> Guest {
        let guest = try house.open(target)
        guard target == "/ws" else { return guest }
        try guest.send(ClientFrame.text(#"{"op":"subscribe","filter":"bench/+"}"#))
        house.turns(3)
        return guest
    }

    private static func recordOpening(_ name: String, _ target: String, in tally: Tally, _ house: House) throws {
        var guests: [Guest] = []
        try tally.record(
            "open/\(name)", operations: 50,
            before: {
                house.close(guests)
                guests = try (0..<50).map { _ in try house.call(House.upgrade(target)) }
            }
        ) { house.turns(3) }
        for guest in guests {
            guard try guest.text().hasPrefix("HTTP/1.1 101 ") else { throw House.Failure(what: "open") }
        }
        house.close(guests)
    }
}
