/// The progress of a run.
package struct LoadProgress: Sendable, Equatable {
    /// How many connections are open, and how many there will be.
    package let open: Int
    package let connections: Int
    /// Messages that have arrived; `nil` while connections are being opened, and during the warm-up.
    package let arrived: Int?
    /// Messages that will arrive; `nil` if that is not known.
    package let expected: Int?
}
