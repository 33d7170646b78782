internal import CLinux
internal import Glibc
internal import WSTransport

// One record under one key in the database `meta`, numbers little-endian: format of the store (4 bytes; StoreFormat.swift),
// newest format of a message's record in it (4 bytes; 0 in stores of format 1), epoch, reserved seq, payload bytes, probes
// (8 bytes each).

/// The store's own record.
struct StoreState: Equatable {
    static let key = Array("state".utf8)
    private static let length = 40

    var epoch: UInt64
    /// Whether it is part of a cluster.
    var isShared = false
    var reservedSeq: UInt64 = 0
    /// The payloads of all retained values, in bytes.
    var payloadBytes: Int = 0
    /// How many times ``MessageStore/probe()`` has written.
    var probes: UInt64 = 0
    /// The state of the history, which is stored in a separate record (HistoryState.swift).
    var history = HistorySummary()

    /// The state of a new store.
    static func new() -> StoreState {
        // JSON clients read numbers exactly up to 2⁵³-1.
        StoreState(epoch: UInt64.random(in: 1..<1 << 53))
    }

    /// A number above those of any store up to `time`, in Unix seconds, unless the store used more than a million a
    /// second.
    ///
    /// JSON reads them exactly until 2242.
    static func seq(ofTime time: Int) -> UInt64 { UInt64(max(time, 0)) << 20 }

    /// The state of a restored store: the same values, a new epoch, and numbers above `reservedSeq`.
    func restored(reservedSeq: UInt64) -> StoreState {
        var state = Self.new()
        state.reservedSeq = reservedSeq
        state.payloadBytes = payloadBytes
        state.probes = probes
        return state
    }
}

extension StoreState {
    init?(_ bytes: Span<UInt8>) {
        guard bytes.count == Self.length,
            (StoreFormat.oldest...StoreFormat.newest).contains(bytes.littleEndian(UInt32.self, at: 0)),
            bytes.littleEndian(UInt32.self, at: 4) <= UInt32(RecordHeader.format),
            let payloadBytes = Int(exactly: bytes.littleEndian(UInt64.self, at: 24))
        else { return nil }
        isShared = bytes.littleEndian(UInt32.self, at: 0) == StoreFormat.newest
        epoch = bytes.littleEndian(UInt64.self, at: 8)
        reservedSeq = bytes.littleEndian(UInt64.self, at: 16)
        self.payloadBytes = payloadBytes
        probes = bytes.littleEndian(UInt64.self, at: 32)
    }

    /// Whether the store's own record has the newest format.
    static func isCurrent(_ bytes: Span<UInt8>) -> Bool {
        bytes.count >= 8 && bytes.littleEndian(UInt32.self, at: 0) >= StoreFormat.single
            && bytes.littleEndian(UInt32.self, at: 4) == UInt32(RecordHeader.format)
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(isShared ? StoreFormat.newest : StoreFormat.single)
        bytes.appendLittleEndian(UInt32(RecordHeader.format))
        for number in [epoch, reservedSeq, UInt64(max(payloadBytes, 0)), probes] { bytes.appendLittleEndian(number) }
        return bytes
    }
}

/// The identity of a broker in a cluster, in the file `node` of its data directory.
///
/// It is not in the store: another broker may have a copy of the store, and is still another broker.
package struct NodeRecord: Equatable, Sendable {
    /// The file's name in the data directory.
    package static let fileName = "node"

    /// The cluster's name.
    package let cluster: String
    /// The broker's number: random, and never 0.
    package let id: UInt64
    /// How often it has been started.
    package let starts: UInt64

    package init(cluster: String, id: UInt64, starts: UInt64) {
        (self.cluster, self.id, self.starts) = (cluster, id, starts)
    }

    /// The first 16 bits of the clients' numbers.
    package var clientPrefix: UInt16 { UInt16(truncatingIfNeeded: id >> 48) }

    /// A number above those of all earlier starts, with room for more after it.
    package var incarnation: UInt64 { starts << 32 }

    /// The record in a directory; `nil` if the directory does not belong to a broker of a cluster.
    package static func read(in directory: String) throws(StorageError) -> NodeRecord? {
        let path = "\(directory)/\(fileName)"
        guard unsafe access(path, F_OK) == 0 else { return nil }
        let lines = FileDescriptor.text(of: path)?.split(separator: "\n").map(String.init) ?? []
        guard lines.count == 3, let id = UInt64(lines[1], radix: 16), id > 0, let starts = UInt64(lines[2]) else {
            throw .damaged("\(path) does not say which broker of a cluster this is")
        }
        return NodeRecord(cluster: lines[0], id: id, starts: starts)
    }

    /// Counts a start in a locked directory, and creates the record at the first start; it is on disk on return.
    ///
    /// Throws if the directory belongs to another cluster.
    package static func start(in directory: String, of cluster: String) throws(StorageError) -> NodeRecord {
        let known = try read(in: directory)
        if let known, known.cluster != cluster {
            throw .system(
                code: EEXIST,
                what: "the data directory \(directory) is that of a broker of the cluster \"\(known.cluster)\"")
        }
        let record = NodeRecord(
            cluster: cluster, id: known?.id ?? UInt64.random(in: 1...UInt64.max), starts: (known?.starts ?? 0) + 1)
        try record.write(in: directory)
        return record
    }

    private func write(in directory: String) throws(StorageError) {
        let path = "\(directory)/\(Self.fileName)"
        let new = "\(path).new"
        let file = unsafe open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { try throwErrno("cannot make \(new)") }
        defer { close(file) }
        let text = Array("\(cluster)\n\(String(id, radix: 16))\n\(starts)\n".utf8)
        guard unsafe Glibc.write(file, text, text.count) == text.count, fsync(file) == 0 else {
            try throwErrno("cannot write \(new)")
        }
        guard unsafe rename(new, path) == 0 else { try throwErrno("cannot rename \(new)") }
        try DataDirectory.sync(directory)
    }
}
