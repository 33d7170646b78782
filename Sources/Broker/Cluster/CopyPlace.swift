internal import WSTransport

/// A copy of this broker's store on its way to another, as a file.
///
/// Its methods wait for the disk.
package protocol CopyToGive: AnyObject, Sendable {
    /// Fills the file.
    func fill() throws(StorageError)
    /// Its size, in bytes.
    var size: Int { get }
    /// Up to `count` bytes from an offset on.
    func piece(at offset: Int, count: Int) throws(StorageError) -> [UInt8]
}

/// A copy of another broker's store that arrives piece by piece.
///
/// Its methods wait for the disk.
package protocol CopyToTake: AnyObject, Sendable {
    /// Appends received bytes.
    func append(_ bytes: [UInt8]) throws(StorageError)
    /// Checks the copy, and syncs it for the next start.
    func finish() throws(StorageError)
    /// Removes the incomplete copy.
    func discard()
}

/// The functions that copy this broker's store for another, and that receive such a copy.
package struct StoreCopies: Sendable {
    /// Begins a copy of this broker's store.
    let give: @Sendable () throws(StorageError) -> any CopyToGive
    /// Begins with an empty copy, which replaces this broker's store.
    let take: @Sendable () throws(StorageError) -> any CopyToTake

    package init(
        give: @escaping @Sendable () throws(StorageError) -> any CopyToGive,
        take: @escaping @Sendable () throws(StorageError) -> any CopyToTake
    ) {
        (self.give, self.take) = (give, take)
    }
}

/// The place in the engine through which a copy passes from one broker to another: a hash that never has more than a
/// few pieces.
///
/// Its fields: `request`, the random name of a request; `giver`, the broker that answers it, with its own number;
/// `making`, while that broker copies its store; then `size`, pieces by the giver's name and their number, and with the
/// last one `digest`; and `taken`, how many pieces the receiver has taken. A failed request is repeated.
struct CopyPlace: Sendable {
    /// The size of a piece, in bytes.
    static let pieceSize = 256 << 10
    /// The maximum number of pieces at a time.
    static let window = 8
    /// How soon either side checks again, in nanoseconds: while pieces move, and otherwise.
    static let pace: (busy: Int64, idle: Int64) = (5_000_000, 250_000_000)
    /// How long either side waits for the other, in nanoseconds.
    static let patience: Int64 = 15_000_000_000

    /// The pool for slow work on the disk; one for all copies, because its thread stays.
    static let pool = WorkerPool(name: "copy", maximumThreads: 1, maximumWaiting: 16, isModest: true)

    /// The hash.
    let key: String
    /// The key of the hash with the requests, by the broker that wants a copy.
    let requests: String
    /// The broker that wants the copy, by its name in the engine.
    let node: String

    init(_ keys: EngineFunctions.Keys, for node: UInt64) {
        self.node = String(node, radix: 16)
        (key, requests) = ("\(keys.copy)\(self.node)", keys.copies)
    }

    static func piece(_ number: Int, of giver: String) -> String { "\(giver):\(number)" }

    /// A new name for a request, or for the broker that answers it.
    static func randomName() -> String { String(UInt64.random(in: 0...UInt64.max), radix: 36) }
}

/// Sends a command to the current primary.
typealias CopyQuestion = (_ command: RESPCommand, _ then: @escaping (EngineLink.Answer) -> Void) -> Void
