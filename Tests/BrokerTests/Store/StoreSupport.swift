import Foundation
import Testing

@testable import Broker

/// The stores that keep the contract.
enum Conformer: String, CaseIterable, CustomTestStringConvertible {
    case lmdb
    case memory

    var testDescription: String { rawValue }

    func make(maximumSize: Int = 64 << 20, limits: RetainedLimits = RetainedLimits()) throws -> TestStore {
        let directory = TestDirectory()
        switch self {
        case .memory:
            return TestStore(store: InMemoryStore(maximumSize: maximumSize, limits: limits), directory: directory)
        case .lmdb:
            let opened = try LMDBStore.open(directory: directory.path, maximumSize: maximumSize, limits: limits)
            #expect(opened.movedAside == nil)
            return TestStore(store: opened.store, directory: directory)
        }
    }
}

struct TestStore {
    let store: any MessageStore
    let directory: TestDirectory
}

/// A directory with a unique name, which is removed with this value.
///
/// In memory if there is room: the tests check what is written, not how long a disk takes to sync, for which the
/// other tests would have to wait.
final class TestDirectory: Sendable {
    private static let parent: String = {
        let shared = "/dev/shm/"
        let free = try? FileManager.default.attributesOfFileSystem(forPath: shared)[.systemFreeSize] as? Int
        guard let free, free > 1 << 30, FileManager.default.isWritableFile(atPath: shared) else {
            return NSTemporaryDirectory()
        }
        return shared
    }()

    let path = parent + "broker-store-" + UUID().uuidString

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var file: URL { URL(fileURLWithPath: path).appendingPathComponent(LMDBStore.fileName) }

    func open(maximumSize: Int = 64 << 20, limits: RetainedLimits = RetainedLimits()) throws -> LMDBStore {
        let opened = try LMDBStore.open(directory: path, maximumSize: maximumSize, limits: limits)
        #expect(opened.movedAside == nil)
        return opened.store
    }
}

/// Any topic at all, whatever its length.
func topic(_ name: String) throws -> Topic {
    try Topic(name, limits: .none)
}

/// Any filter at all, whatever its length.
func filter(_ name: String) throws -> TopicFilter {
    try TopicFilter(name, limits: .none)
}

func retained(
    _ name: String, _ payload: String, seq: UInt64 = 1, time: Int64 = 1000, expiry: Int64 = 0
) throws -> Message {
    Message(
        topic: try topic(name), payload: Array(payload.utf8), kind: .text, isRetained: true, seq: seq, time: time,
        expiry: expiry)
}

func value(_ store: any RetainedStore, _ name: String, now: Int64 = 1000) throws -> String? {
    try store.value(of: topic(name), now: now).map { String(decoding: $0.payload, as: UTF8.self) }
}

/// The topics that match, with as many scans as necessary.
func matches(
    _ store: any RetainedStore, _ name: String, visiting maximum: Int = .max, now: Int64 = 1000
) throws -> [String] {
    let filter = try filter(name)
    var names: [String] = []
    var position: Topic?
    while true {
        let end = try store.scan(filter, after: position, visiting: maximum, now: now) { message in
            names.append(message.topic.name)
            return true
        }
        guard case .stopped(let last) = end else { return names }
        try #require(position == nil || position != last)
        position = last
    }
}

extension MessageStore {
    /// As it would be at the newest message's time.
    func apply(_ entries: [StoreEntry], reserving seq: UInt64?) throws(StorageError) {
        try apply(entries, reserving: seq, now: entries.map(\.message.time).max() ?? 0)
    }

    /// Messages that no rule keeps.
    func apply(_ messages: [Message], reserving seq: UInt64?) throws(StorageError) {
        try apply(messages.map { StoreEntry($0) }, reserving: seq)
    }

    func apply(_ messages: [Message], reserving seq: UInt64?, now: Int64) throws(StorageError) {
        try apply(messages.map { StoreEntry($0) }, reserving: seq, now: now)
    }
}

extension StoreThread {
    func append(_ messages: [Message], waking: Bool = true) -> Bool {
        append(messages.map { StoreEntry($0) }, waking: waking)
    }
}

/// A random number generator that repeats itself for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: Int) { state = UInt64(seed) }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}
