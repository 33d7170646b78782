/// How far a run has come.
package struct LoadProgress: Sendable, Equatable {
    /// How many connections are open, and how many are to be.
    package let open: Int
    package let connections: Int
    /// What has arrived; `nil`: the connections are still being opened, or it is the warm-up.
    package let arrived: Int?
    /// What is to arrive; `nil`: nobody knows.
    package let expected: Int?
}
