import Dispatch
import Foundation
import Glibc
import Testing

@testable import Broker
@testable import WSTransport

/// Three brokers and an engine of real processes, with faults while all publish.
private final class Schedule {
    private enum Fault: CaseIterable {
        case kill, stop, empty, failOver, replica, links, functions

        var endsTheTerm: Bool { self != .replica && self != .links }
    }

    private let engine: EngineTrio
    private let peers: [RedisPeer]
    private let isThere = DispatchSemaphore(value: 0)
    private var random: SeededGenerator
    /// The seed of the faults; how much is published in between depends on the machine.
    private var fate: SeededGenerator
    private var published: [[String]]
    /// The history of the run, for people.
    private(set) var story: [String] = []

    init(seed: Int) throws {
        random = SeededGenerator(seed: seed)
        fate = SeededGenerator(seed: seed + 1_000_000)
        engine = try EngineTrio()
        let (place, isThere) = (engine.place, isThere)
        peers = try (1...3).map { node in
            // One that is late on a busy machine, and has read more than the others, would need a copy, and these
            // brokers have none: a term begins only when all three have said how far they have read.
            try RedisPeer(
                UInt64(node), at: place, wakeup: { isThere.signal() },
                with: { ($0.brokers, $0.grace) = (3, 60_000_000_000) })
        }
        published = peers.map { _ in [] }
        for peer in peers { try peer.active() }
    }

    deinit { for peer in peers { peer.engine.stop() } }

    /// Publishes until each broker has this many more results.
    private func publish(_ count: Int) throws {
        let goals = peers.map { $0.results.count + count }
        while true {
            for (index, peer) in peers.enumerated() {
                peer.look()
                if peer.submitted - peer.results.count < 20 { try publish(at: index) }
            }
            if zip(peers, goals).allSatisfy({ $0.results.count >= $1 }) { return }
            guard isThere.wait(timeout: .now() + 60) == .success else {
                Issue.record("nothing comes back: \(story) \(peers.map(\.status))")
                throw NothingCame()
            }
        }
    }

    private func publish(at index: Int) throws {
        let drafts = try (0..<Int.random(in: 1...3, using: &random)).map { _ in
            let text = "\(index)/\(published[index].count)"
            published[index].append(text)
            var draft = try draft(
                "t/\(Int.random(in: 0...3, using: &random))", text, retained: Bool.random(using: &random))
            if draft.isRetained, Bool.random(using: &random) { draft.condition = .absent }
            return draft
        }
        peers[index].submit(drafts)
    }

    func run(faults: Int) throws {
        for _ in 0..<faults {
            let fault = Fault.allCases.randomElement(using: &fate) ?? .kill
            try publish(Int.random(in: 20...200, using: &fate))
            let primary = try engine.primary(of: peers[0])
            let terms = peers.map(\.status.term)
            let began = MonotonicTime.now
            try inject(fault, primary)
            repeat { try publish(30) } while fault.endsTheTerm && zip(peers, terms).contains { $0.status.term <= $1 }
            story.append("\(fault) \(MonotonicTime.now.nanoseconds(since: began) / 1_000_000) ms")
            try repair(fault, primary)
            try engine.settle()
        }
        try publish(30)
    }

    private func inject(_ fault: Fault, _ primary: Int) throws {
        switch fault {
        case .kill: engine.servers[primary].signal(SIGKILL)
        case .stop: engine.servers[primary].signal(SIGSTOP)
        case .empty: try engine.restart(primary)
        case .failOver: try engine.failOver()
        case .replica: engine.servers[(primary + 1) % 3].signal(SIGKILL)
        case .links:
            for index in 0..<3 { try engine.ask(index, "CLIENT", "KILL", "TYPE", "normal") }
        case .functions: try engine.ask(primary, "FUNCTION", "FLUSH")
        }
    }

    /// Repairs the engine.
    private func repair(_ fault: Fault, _ primary: Int) throws {
        switch fault {
        case .kill: try engine.restart(primary, replicaOf: try engine.primary(of: peers[0]))
        case .stop:
            engine.servers[primary].signal(SIGCONT)
            // No broker may trust its view of its own role.
            try publish(10)
            let now = engine.servers[try engine.primary(of: peers[0])].port
            try engine.ask(primary, "REPLICAOF", "127.0.0.1", .text("\(now)"))
        case .replica: try engine.restart((primary + 1) % 3, replicaOf: try engine.primary(of: peers[0]))
        case .empty, .failOver, .links, .functions: break
        }
    }

    /// Checks what must hold at the end.
    func check() throws {
        try eventually("all have everything: \(peers.map(\.status))") {
            for peer in peers { peer.look() }
            return peers.allSatisfy {
                $0.order.waiting == 0 && $0.results.count == $0.submitted
                    && $0.messages.count == peers[0].messages.count
            }
        }
        let shown = peers[0].shown
        for peer in peers {
            #expect(peer.shown == shown, "all show the same, in the same order")
            #expect(peer.results.count == peer.submitted, "each publication has its result")
        }
        #expect(zip(peers[0].messages, peers[0].messages.dropFirst()).allSatisfy { $0.seq < $1.seq })
        let texts = peers[0].messages.map { String(decoding: $0.payload, as: UTF8.self) }
        #expect(Set(texts).count == texts.count, "none is there twice")
        for (index, peer) in peers.enumerated() {
            let accepted = peer.results.filter { $0.contains("/") }
            #expect(texts.filter { $0.hasPrefix("\(index)/") } == accepted, "acknowledged messages are there, in order")
            for (result, text) in zip(peer.results, published[index]) {
                #expect(result == text || result == "conflict", "results come in the order of the drafts")
            }
        }
    }
}

@Suite("RedisLog: failovers of a real engine", .serialized)
struct FailoverTests {
    /// The seeds of the schedules: a few that contain all faults, or as many as `BROKER_CHAOS` says (`make
    /// chaos`).
    private static let seeds: [Int] = {
        let environment = ProcessInfo.processInfo.environment
        guard let count = environment["BROKER_CHAOS"].flatMap({ Int($0) }) else { return [1, 5, 12] }
        let first = environment["BROKER_CHAOS_SEED"].flatMap { Int($0) } ?? 1
        return Array(first..<first + count)
    }()

    @Test(arguments: FailoverTests.seeds)
    func losesNoAcknowledgedMessage(seed: Int) throws {
        let schedule = try Schedule(seed: seed)
        try schedule.run(faults: 3)
        try schedule.check()
        if ProcessInfo.processInfo.environment["BROKER_CHAOS"] != nil { print("schedule \(seed): \(schedule.story)") }
    }
}
