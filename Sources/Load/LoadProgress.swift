/// How far a run has come.
package struct LoadProgress: Sendable, Equatable {
    /// How many connections are open, and how many there will be.
    package let open: Int
    package let connections: Int
    /// Messages that have arrived; `nil`: connections are still being opened, or it is the warm-up.
    package let arrived: Int?
    /// Messages that will arrive; `nil`: not known.
    package let expected: Int?
}
