internal import CLinux
internal import Glibc

// LMDB trusts its file: a page that is not what a pointer to it promises, or lies beyond the file's end, kills the
// process (SIGBUS, SIGSEGV, a failed assertion). So the file is read once, with ordinary reads, before LMDB maps it.
// All pages that can be reached from the newest meta page are checked: kind, own number, order of keys, every offset
// and length, the number of entries, and that no page is used twice or both used and free. A file cannot be judged by
// its length alone: pages that were allocated and freed in the same transaction are never written, so the file of a
// sound store may end early.
//
// The cost is one read of the tree's pages, and of the first bytes of each value over about 2 KB, and memory in
// proportion to the file; counts that the file states are not trusted. The check does not detect changed bytes within
// keys and values; `RetainedRecord` handles those.
//
// The layout is that of LMDB's data version 1 (releases 0.9), on a 64-bit little-endian machine.

/// A check of a store's file before LMDB sees it.
struct LMDBFileCheck: ~Copyable {
    private static let headerLength = 16
    private static let metaLength = 152
    private static let noPage = UInt64.max
    private static let maximumDepth = 32
    private static let maximumKeyLength = 511

    private let descriptor: Int32
    private let fileSize: Int
    private var pageSize = 4096
    private var pageCount = 0
    /// A bit for each page of the file that has been found in use or free.
    private var seen: [UInt64] = []
    /// Free pages after the file's end.
    private var seenBeyond: Set<UInt64> = []
    /// The maximum number of pages after the file's end that are in no list, 1 GiB: an interrupted write had allocated
    /// them.
    private static let maximumUnlisted = 1 << 18

    /// Throws ``StorageError/damaged(_:)`` if the file is not a sound store; an empty or absent one is.
    static func check(_ path: String) throws(StorageError) {
        _ = try opening(path) { (check) throws(StorageError) in try check.checkTrees() }
    }

    /// Calls `body` with the file at `path`; `nil` if the file is empty or does not exist.
    private static func opening<Result>(
        _ path: String, _ body: (inout LMDBFileCheck) throws(StorageError) -> Result
    ) throws(StorageError) -> Result? {
        // Opening a pipe without a writer would block.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            try throwErrno("cannot open \(path)")
        }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { try throwErrno("cannot read \(path)") }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw .system(code: EINVAL, what: "cannot open \(path): not a regular file")
        }
        guard status.st_size > 0 else { return nil }
        var check = LMDBFileCheck(descriptor: descriptor, fileSize: status.st_size)
        return try body(&check)
    }

    private init(descriptor: Int32, fileSize: Int) {
        self.descriptor = descriptor
        self.fileSize = fileSize
    }

    // MARK: Meta pages

    private struct Meta {
        let pageSize: Int
        let mapSize: UInt64
        let free: Tree
        let main: Tree
        let lastPage: UInt64
        let transaction: UInt64
    }

    /// A database's root, from a meta page or a node of the main database.
    private struct Tree {
        static let length = 48
        let flags: UInt16
        let depth: Int
        /// The numbers of branch pages, leaf pages and pages of large values.
        let pages: [UInt64]
        let entries: UInt64
        let root: UInt64

        init(_ bytes: Span<UInt8>, at offset: Int) {
            flags = bytes.littleEndian(UInt16.self, at: offset + 4)
            depth = Int(bytes.littleEndian(UInt16.self, at: offset + 6))
            pages = [8, 16, 24].map { bytes.littleEndian(UInt64.self, at: offset + $0) }
            entries = bytes.littleEndian(UInt64.self, at: offset + 32)
            root = bytes.littleEndian(UInt64.self, at: offset + 40)
        }
    }

    private func meta(at offset: Int) throws(StorageError) -> Meta {
        let bytes = try read(at: offset, count: Self.metaLength)
        let span = bytes.span
        guard span.littleEndian(UInt16.self, at: 10) & 0x08 != 0, span.littleEndian(UInt32.self, at: 16) == 0xBEEF_C0DE
        else { throw .damaged("not an LMDB file") }
        guard span.littleEndian(UInt32.self, at: 20) == 1 else { throw .damaged("of another version of LMDB") }
        return Meta(
            pageSize: Int(span.littleEndian(UInt32.self, at: 40)), mapSize: span.littleEndian(UInt64.self, at: 32),
            free: Tree(span, at: 40), main: Tree(span, at: 88),
            lastPage: span.littleEndian(UInt64.self, at: 136), transaction: span.littleEndian(UInt64.self, at: 144))
    }

    /// The meta page that LMDB uses.
    private mutating func newestMeta() throws(StorageError) -> Meta {
        let first = try meta(at: 0)
        pageSize = first.pageSize
        guard pageSize == sysconf(Int32(_SC_PAGESIZE)) else { throw .damaged("page size \(pageSize)") }
        let second = try meta(at: pageSize)
        guard second.pageSize == pageSize else { throw .damaged("page sizes differ") }
        // LMDB uses the newer of the two at first, and later the one given by its transaction's parity.
        let (newest, parity) = first.transaction < second.transaction ? (second, UInt64(1)) : (first, 0)
        guard newest.transaction % 2 == parity, newest.transaction < 1 << 62 else {
            throw .damaged("transaction number")
        }
        return newest
    }

    private mutating func checkTrees() throws(StorageError) {
        let newest = try newestMeta()
        guard newest.mapSize <= 1 << 46, newest.lastPage >= 1, newest.lastPage < newest.mapSize / UInt64(pageSize)
        else {
            throw .damaged("page count")
        }
        pageCount = Int(newest.lastPage) + 1
        seen = [UInt64](repeating: 0, count: min(pageCount, fileSize / pageSize) / 64 + 1)
        try mark(0)
        try mark(1)
        // The free list's flags include the environment's: numbers as keys, and nothing else that would make a tree
        // different.
        guard newest.main.flags == 0, newest.free.flags & 0x7E == 0x08 else { throw .damaged("database flags") }
        try check(newest.main, as: .main)
        try check(newest.free, as: .free)
        // LMDB would continue writing after the last page, however far away that is.
        guard pageCount - fileSize / pageSize - seenBeyond.count <= Self.maximumUnlisted else {
            throw .damaged("\(pageCount) pages in \(fileSize) bytes")
        }
    }

    // MARK: One value

    /// The first bytes of the value of `key` in the database `name`, up to the rest of a page; `nil` if there is none.
    ///
    /// Reads only the pages on the way there, with ordinary reads.
    static func peek(_ path: String, at key: [UInt8], in name: String) throws(StorageError) -> [UInt8]? {
        try opening(path) { (check) throws(StorageError) in
            let main = try check.newestMeta().main
            guard let root = try check.value(of: Array(name.utf8), in: main), root.count >= Tree.length else {
                return nil
            }
            return try check.value(of: key, in: Tree(root.span, at: 0))
        } ?? nil
    }

    private func value(of key: [UInt8], in tree: Tree) throws(StorageError) -> [UInt8]? {
        guard tree.root != Self.noPage, tree.depth >= 1, tree.depth <= Self.maximumDepth else { return nil }
        var number = tree.root
        for depth in stride(from: tree.depth, through: 1, by: -1) {
            guard number < UInt64(fileSize / pageSize) else { throw .damaged("page number \(number)") }
            let page = try read(at: Int(number) * pageSize, count: pageSize)
            let nodes = try nodes(of: page, number, isLeaf: depth == 1)
            guard depth == 1 else {
                // The first entry of a branch stands for everything below the second.
                guard
                    let next = nodes.dropFirst().last(where: { !key.lexicographicallyPrecedes(page[$0.key]) })
                        ?? nodes.first
                else { return nil }
                number = next.word
                continue
            }
            guard let node = nodes.first(where: { page[$0.key].elementsEqual(key) }) else { return nil }
            let begin = node.key.upperBound
            guard node.flags & 0x01 != 0 else { return Array(page[begin..<begin + Int(node.word)]) }
            let first = page.span.littleEndian(UInt64.self, at: begin)
            guard first < UInt64(fileSize / pageSize) else { throw .damaged("page number \(first)") }
            let count = min(Int(node.word), pageSize - Self.headerLength)
            return try read(at: Int(first) * pageSize + Self.headerLength, count: count)
        }
        return nil
    }

    // MARK: Trees

    private enum Role {
        case main
        case free
        case data
    }

    private mutating func check(_ tree: Tree, as role: Role) throws(StorageError) {
        guard tree.pages.allSatisfy({ $0 <= UInt64(pageCount) }) else { throw .damaged("page count of a tree") }
        guard tree.root != Self.noPage else {
            guard tree.entries == 0 else { throw .damaged("entries without pages") }
            return
        }
        guard tree.depth >= 1, tree.depth <= Self.maximumDepth else { throw .damaged("depth of a tree") }
        var entries: UInt64 = 0
        try check(page: tree.root, depth: tree.depth, role, &entries)
        guard entries == tree.entries else { throw .damaged("\(entries) entries of \(tree.entries)") }
    }

    private mutating func check(
        page number: UInt64, depth: Int, _ role: Role, _ entries: inout UInt64
    ) throws(StorageError) {
        let page = try readPage(number)
        let nodes = try nodes(of: page, number, isLeaf: depth == 1)
        guard depth == 1 else {
            for node in nodes { try check(page: node.word, depth: depth - 1, role, &entries) }
            return
        }
        entries += UInt64(nodes.count)
        var previous: Range<Int>?
        for node in nodes {
            if role != .free, let previous, !page[previous].lexicographicallyPrecedes(page[node.key]) {
                throw .damaged("order of keys in page \(number)")
            }
            previous = node.key
            try checkLeaf(node, of: page, role)
        }
    }

    private mutating func checkLeaf(_ node: Node, of page: [UInt8], _ role: Role) throws(StorageError) {
        let begin = node.key.upperBound
        let count = Int(node.word)
        switch (role, node.flags) {
        case (.main, 0x02):
            guard count == Tree.length else { throw .damaged("root of a database") }
            let tree = Tree(page.span, at: begin)
            guard tree.flags == 0 else { throw .damaged("database flags") }
            try check(tree, as: .data)
        case (.data, 0), (.main, 0): break
        case (.free, 0):
            try checkFreePages(Array(page[begin..<begin + count]))
        case (.data, 0x01), (.free, 0x01):
            let first = page.span.littleEndian(UInt64.self, at: begin)
            try checkOverflow(first, count: count)
            guard role == .free else { return }
            try checkFreePages(read(at: Int(first) * pageSize + Self.headerLength, count: count))
        default: throw .damaged("flags of a node")
        }
    }

    /// Checks a value that is not in its leaf: it has its own pages, with one header before all.
    private mutating func checkOverflow(_ first: UInt64, count: Int) throws(StorageError) {
        guard first < UInt64(pageCount) else { throw .damaged("page number \(first)") }
        let header = try read(at: Int(first) * pageSize, count: Self.headerLength)
        let pages = Int(header.span.littleEndian(UInt32.self, at: 12))
        guard header.span.littleEndian(UInt64.self, at: 0) == first,
            header.span.littleEndian(UInt16.self, at: 10) == 0x04,
            // More than needed if a smaller value took a larger one's pages.
            pages >= (Self.headerLength - 1 + count) / pageSize + 1,
            (Int(first) + pages) * pageSize <= fileSize
        else { throw .damaged("page \(first)") }
        for page in 0..<UInt64(pages) { try mark(first + page) }
    }

    private mutating func checkFreePages(_ bytes: [UInt8]) throws(StorageError) {
        let room = bytes.count / 8
        guard room >= 1, bytes.span.littleEndian(UInt64.self, at: 0) < UInt64(room) else {
            throw .damaged("list of free pages")
        }
        for index in 0..<Int(bytes.span.littleEndian(UInt64.self, at: 0)) {
            try mark(bytes.span.littleEndian(UInt64.self, at: 8 * (index + 1)))
        }
    }

    // MARK: Pages

    /// An entry of a page: in a branch `word` is the child's number, in a leaf the value's length.
    private struct Node {
        let word: UInt64
        let flags: UInt16
        let key: Range<Int>
    }

    private func nodes(of page: [UInt8], _ number: UInt64, isLeaf: Bool) throws(StorageError) -> [Node] {
        let span = page.span
        let lower = Int(span.littleEndian(UInt16.self, at: 12))
        let upper = Int(span.littleEndian(UInt16.self, at: 14))
        guard span.littleEndian(UInt64.self, at: 0) == number,
            span.littleEndian(UInt16.self, at: 10) == (isLeaf ? 0x02 : 0x01),
            lower > Self.headerLength, lower <= upper, upper <= pageSize, lower.isMultiple(of: 2)
        else { throw .damaged("page \(number)") }
        var nodes: [Node] = []
        nodes.reserveCapacity((lower - Self.headerLength) / 2)
        for pointer in stride(from: Self.headerLength, to: lower, by: 2) {
            let begin = Int(span.littleEndian(UInt16.self, at: pointer))
            guard begin >= upper, begin + 8 <= pageSize else { throw .damaged("page \(number)") }
            let flags = span.littleEndian(UInt16.self, at: begin + 4)
            let keyLength = Int(span.littleEndian(UInt16.self, at: begin + 6))
            let word = UInt64(span.littleEndian(UInt32.self, at: begin))
            let inline = !isLeaf ? 0 : flags & 0x01 == 0 ? Int(word) : 8
            guard keyLength <= Self.maximumKeyLength, begin + 8 + keyLength + inline <= pageSize else {
                throw .damaged("page \(number)")
            }
            nodes.append(
                Node(
                    word: isLeaf ? word : word | UInt64(flags) << 32, flags: isLeaf ? flags : 0,
                    key: begin + 8..<begin + 8 + keyLength))
        }
        return nodes
    }

    private mutating func readPage(_ number: UInt64) throws(StorageError) -> [UInt8] {
        try mark(number)
        return try read(at: Int(number) * pageSize, count: pageSize)
    }

    private mutating func mark(_ number: UInt64) throws(StorageError) {
        guard number < UInt64(pageCount) else { throw .damaged("page number \(number)") }
        guard number / 64 < seen.count else {
            guard seenBeyond.insert(number).inserted else { throw .damaged("page \(number) is used twice") }
            return
        }
        let bit = UInt64(1) << (number % 64)
        guard seen[Int(number / 64)] & bit == 0 else { throw .damaged("page \(number) is used twice") }
        seen[Int(number / 64)] |= bit
    }

    private func read(at offset: Int, count: Int) throws(StorageError) -> [UInt8] {
        guard offset + count <= fileSize else { throw .damaged("truncated to \(fileSize) bytes") }
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let result = unsafe bytes.withUnsafeMutableBytes { target in
                unsafe pread(descriptor, target.baseAddress?.advanced(by: filled), count - filled, offset + filled)
            }
            if result < 0, errno == EINTR { continue }
            // A file on a failing disk is not damaged in the sense that it should be replaced.
            guard result >= 0 else { try throwErrno("cannot read the store") }
            guard result > 0 else { throw .damaged("truncated") }
            filled += result
        }
        return bytes
    }
}
