import Testing

@testable import Broker
@testable import WSTransport

@Suite("LMDB store: views, limited in number and time")
struct ViewTests {
    private static let payload = String(repeating: "x", count: 60_000)
    /// Replaced again and again, about 11.8 MB together.
    private static let count = 190

    private func replaceAll(_ store: LMDBStore) throws {
        for first in stride(from: 0, to: Self.count, by: 10) {
            let values = try (first..<first + 10).map { try retained("v/\($0)", Self.payload) }
            try store.apply(values, reserving: nil)
        }
    }

    private func names(_ view: any RetainedView) throws -> [String] {
        var names: [String] = []
        _ = try view.scan(filter("#"), after: nil, visiting: .max, now: 0) { message in
            names.append(message.topic.name)
            return true
        }
        return names
    }

    @Test func limitsTheNumberOfViews() throws {
        let directory = TestDirectory()
        let opened = try LMDBStore.open(directory: directory.path, maximumSize: 64 << 20, maximumViews: 3)
        let store = opened.store
        try store.apply([retained("a", "1")], reserving: nil)
        var views = try (0..<3).map { _ in try store.view() }
        #expect(throws: StorageError.self) { try store.view() }
        #expect(try store.statistics().views == 3)
        // Others can read nevertheless.
        #expect(try value(store, "a") == "1")
        #expect(try matches(store, "#").count == 1)
        views.removeLast()
        views.append(try store.view())
        #expect(try names(views[2]) == ["a"])
        #expect(try store.statistics().views == 3)
    }

    @Test func endsOldViews() throws {
        let directory = TestDirectory()
        let store = try directory.open()
        try store.apply([retained("a", "1")], reserving: nil)
        let view = try store.view()
        try store.apply([retained("b", "1")], reserving: nil)
        #expect(try names(view) == ["a"])
        let begin = MonotonicTime.now
        #expect(store.readers.takeViewsBack(now: begin) == 0)
        #expect(store.readers.takeViewsBack(now: begin.advanced(byNanoseconds: LMDBReaders.viewPatience + 1)) == 1)
        let statistics = try store.statistics()
        #expect(statistics.views == 0 && statistics.viewsTakenBack == 1)
        #expect(try names(view) == ["a", "b"], "it shows the values as they are")
    }

    /// However many readers begin and do not continue, the file does not grow without bound.
    @Test func endsViewsThatKeepTooManyPages() throws {
        let directory = TestDirectory()
        let store = try directory.open(maximumSize: 1 << 30)
        try replaceAll(store)
        var views: [any RetainedView] = []
        for _ in 0..<40 {
            views.append(try store.view())
            try replaceAll(store)
        }
        let statistics = try store.statistics()
        #expect(statistics.viewsTakenBack > 5)
        #expect(statistics.fileBytes < statistics.usedBytes + 3 * LMDBStore.maximumViewGrowth)
    }

    /// Freed pages that a view still uses do not make the store count as full.
    @Test(arguments: [nil, Int.max])
    func endsViewsBeforeTheStoreIsFull(viewGrowth: Int?) throws {
        let directory = TestDirectory()
        let store = try LMDBStore.open(
            directory: directory.path, maximumSize: 32 << 20, viewGrowth: viewGrowth
        ).store
        try replaceAll(store)
        var views: [any RetainedView] = []
        for _ in 0..<20 {
            views.append(try store.view())
            try replaceAll(store)
        }
        let statistics = try store.statistics()
        #expect(statistics.usedBytes < 16 << 20 && statistics.viewsTakenBack > 0)
    }
}
