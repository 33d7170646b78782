/// Where the reservation of sequence numbers is kept, so that none comes twice.
package protocol NumberStore: AnyObject, Sendable {
    /// A random number made with the store: positions of a store that was replaced have another. 1 to 2⁵³-1.
    var epoch: UInt64 { get }

    /// No message ever had a `seq` above this.
    var reservedSeq: UInt64 { get }

    /// Raises ``reservedSeq``; on disk when it returns. A number that is not higher changes nothing.
    func reserve(seqsUpTo seq: UInt64) throws(StorageError)

    /// Takes note that everything numbered is settled and that `seq` was the last number, so that the next start finds no
    /// hole in the history and goes on with the next number. `nil`: it is not known, and all that were reserved count.
    func seal(upTo seq: UInt64?) throws(StorageError)
}
