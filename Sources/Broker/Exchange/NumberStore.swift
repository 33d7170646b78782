/// Where the reservation of sequence numbers is stored, so that none is used twice.
package protocol NumberStore: AnyObject, Sendable {
    /// A random number made with the store, so that a position in another store is recognised. 1 to 2⁵³-1.
    var epoch: UInt64 { get }

    /// No message has ever had a higher `seq`.
    var reservedSeq: UInt64 { get }

    /// Raises ``reservedSeq``; on disk when it returns. A number that is not higher changes nothing.
    func reserve(seqsUpTo seq: UInt64) throws(StorageError)

    /// Records that everything numbered is settled and that `seq` was the last number, so that the next start finds no
    /// hole in the history and continues with the next number. If it is `nil`, that is not known, and all reserved
    /// numbers count as used.
    func seal(upTo seq: UInt64?) throws(StorageError)
}
