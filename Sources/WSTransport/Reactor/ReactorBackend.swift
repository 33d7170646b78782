/// How a reactor gives the kernel what a turn has brought, and reads what has come.
///
/// What it waits for comes by epoll in either case.
package enum ReactorBackend: Sendable {
    /// The one that measures better, as far as the kernel has it.
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
