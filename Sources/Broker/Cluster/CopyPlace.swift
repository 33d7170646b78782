internal import WSTransport

/// A copy of this broker's store on its way to another, as a file.
///
/// What it does takes as long as the disk.
package protocol CopyToGive: AnyObject, Sendable {
    /// Fills the file.
    func fill() throws(StorageError)
    /// How much of it there is, in bytes.
    var size: Int { get }
    /// So many bytes from an offset on, or those that there are.
    func piece(at offset: Int, count: Int) throws(StorageError) -> [UInt8]
}

/// A copy of another broker's store that arrives piece by piece.
///
/// What it does takes as long as the disk.
package protocol CopyToTake: AnyObject, Sendable {
    /// Adds what has come.
    func append(_ bytes: [UInt8]) throws(StorageError)
    /// Checks it, and has it on disk for the next start.
    func finish() throws(StorageError)
    /// Removes what there is of it.
    func discard()
}

/// How a broker's store is copied for another, and where such a copy is put.
package struct StoreCopies: Sendable {
    /// Begins a copy of this broker's store.
    let give: @Sendable () throws(StorageError) -> any CopyToGive
    /// Begins with an empty copy, which replaces this broker's store; where `keepsStore`, that is kept under another name.
    let take: @Sendable (_ keepsStore: Bool) throws(StorageError) -> any CopyToTake

    package init(
        give: @escaping @Sendable () throws(StorageError) -> any CopyToGive,
        take: @escaping @Sendable (_ keepsStore: Bool) throws(StorageError) -> any CopyToTake
    ) {
        (self.give, self.take) = (give, take)
    }
}

/// Where a copy of a store goes from one broker to another: a hash in the engine, which never has more than some pieces.
///
/// Its fields: `request`, which the broker that wants a copy makes up; `giver`, the one that answers it, with a number of its
/// own; `making`, while that copies its store; then `size`, pieces by the giver's name and their number, and with the last
/// of them `digest`; and `taken`, how many pieces have been taken out. A request that comes to nothing is made again.
struct CopyPlace: Sendable {
    /// Of a piece, in bytes.
    static let pieceSize = 256 << 10
    /// How many pieces there are at a time.
    static let window = 8
    /// How soon either side looks again, in nanoseconds: while pieces move, and else.
    static let pace: (busy: Int64, idle: Int64) = (5_000_000, 250_000_000)
    /// How long either waits for the other, in nanoseconds.
    static let patience: Int64 = 15_000_000_000

    /// Does what the disk takes long for; one for all copies, as its thread stays.
    static let pool = WorkerPool(name: "copy", maximumThreads: 1, maximumWaiting: 16, isModest: true)

    /// The hash.
    let key: String
    /// Of the hash that has, by the broker that wants a copy, its request.
    let requests: String
    /// The broker that wants it, as the engine knows it.
    let node: String

    init(_ keys: EngineFunctions.Keys, for node: UInt64) {
        self.node = String(node, radix: 16)
        (key, requests) = ("\(keys.copy)\(self.node)", keys.copies)
    }

    static func piece(_ number: Int, of giver: String) -> String { "\(giver):\(number)" }

    /// A new name for a request, or for who answers it.
    static func randomName() -> String { String(UInt64.random(in: 0...UInt64.max), radix: 36) }
}

/// Asks the primary, whichever it is at the moment.
typealias CopyQuestion = (_ command: RESPCommand, _ then: @escaping (EngineLink.Answer) -> Void) -> Void
