import Counting
import WSTransport

/// What the library's public face costs: an echo by a closure that reads, by one that listens, and by the machine beneath
/// them; and what a socket of each kind takes of the heap while it is idle.
enum LibraryFigures {
    static func record(in tally: Tally, _ house: LibraryHouse) throws {
        for kind in ["machine", "closure", "listener"] {
            for (pace, count) in [("one", 1), ("fifty", 50)] {
                try recordEcho("library/echo-64B/\(kind)/\(pace)-a-turn", "/\(kind)", count, in: tally, house)
            }
        }
        for kind in ["machine", "closure", "request", "listener"] {
            try recordMemory("memory/library-\(kind)", "/\(kind)", in: tally, house)
        }
    }

    /// From the kernel's queue to the kernel's queue.
    private static func recordEcho(
        _ name: String, _ target: String, _ count: Int, in tally: Tally, _ house: LibraryHouse
    ) throws {
        guard tally.wants(name) else { return }
        let guest = try house.open(target)
        let frames = ClientFrame.repeated(ClientFrame.text(String(repeating: "e", count: 64)), count)
        var echoed = 0
        try tally.record(
            name, operations: count, rounds: 20,
            before: {
                echoed += house.drain(guest)
                try guest.send(frames)
            }
        ) { house.turns(2) }
        echoed += house.drain(guest)
        guard echoed == 22 * count * 66 else { throw House.Failure(what: "\(name): \(echoed) bytes came back") }
        house.close([guest])
    }

    /// What a socket takes that has echoed a message and is left alone.
    private static func recordMemory(
        _ name: String, _ target: String, in tally: Tally, _ house: LibraryHouse
    ) throws {
        guard tally.wants(name) else { return }
        var guests: [Guest] = []
        // What the first thousand make the tables grow is not theirs alone.
        for _ in 0..<1000 { guests.append(try idle(target, house)) }
        house.close(guests)
        guests = []
        guests.reserveCapacity(1000)
        try tally.recordMemory(name, count: 1000) {
            for _ in 0..<1000 { guests.append(try idle(target, house)) }
        }
        house.close(guests)
    }

    private static func idle(_ target: String, _ house: LibraryHouse) throws -> Guest {
        let guest = try house.open(target)
        try guest.send(ClientFrame.text("hello"))
        house.turns(3)
        guard house.drain(guest) == 7 else { throw House.Failure(what: "\(target): no echo") }
        return guest
    }
}
