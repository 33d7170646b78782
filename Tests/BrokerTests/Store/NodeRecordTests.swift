import Foundation
import Testing

@testable import Broker

@Suite("NodeRecord: the broker of a cluster that a directory belongs to")
struct NodeRecordTests {
    @Test func countsStartsAndKeepsItsID() throws {
        let directory = TestDirectory()
        try DataDirectory.make(directory.path)
        #expect(try NodeRecord.read(in: directory.path) == nil)
        let first = try NodeRecord.start(in: directory.path, of: "prod")
        let second = try NodeRecord.start(in: directory.path, of: "prod")
        #expect(first.id == second.id && (first.starts, second.starts) == (1, 2))
        #expect(first.incarnation < second.incarnation)
        #expect(try NodeRecord.read(in: directory.path) == second)
    }

    @Test func refusesAnotherCluster() throws {
        let directory = TestDirectory()
        try DataDirectory.make(directory.path)
        _ = try NodeRecord.start(in: directory.path, of: "prod")
        #expect(throws: StorageError.self) { try NodeRecord.start(in: directory.path, of: "test") }
    }

    @Test func rejectsMalformedRecords() throws {
        let directory = TestDirectory()
        try DataDirectory.make(directory.path)
        for text in ["", "prod\n0\n1\n", "prod\nxyz\n1\n", "prod\n1\n"] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: "\(directory.path)/node"))
            #expect(throws: StorageError.self) { try NodeRecord.read(in: directory.path) }
        }
    }
}
