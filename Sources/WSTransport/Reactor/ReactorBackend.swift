/// How a reactor sends what a turn has produced, and reads what has arrived.
///
/// It waits by epoll in either case.
package enum ReactorBackend: Sendable {
    /// The one that measures better, if the kernel supports it.
    case auto
    /// A `send` and a `read` for each connection.
    case epoll
    /// One call for many connections.
    case ioUring

    /// Whether a reactor is to make a ring.
    var wantsRing: Bool {
        switch (self, SendRing.availability) {
        case (.epoll, _), (_, .failure): false
        case (.ioUring, .success): true
        case (.auto, .success(let isWorthwhile)): isWorthwhile
        }
    }

    /// Why this one cannot be used here; `nil`: it can.
    package var obstacle: String? {
        if case .ioUring = self, case .failure(let failure) = SendRing.availability { failure.description } else { nil }
    }
}
