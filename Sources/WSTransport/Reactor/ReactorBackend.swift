/// How a reactor sends the bytes of a turn, and reads the bytes that have arrived.
///
/// It waits with epoll in either case.
package enum ReactorBackend: Sendable {
    /// The faster one by measurement, if the kernel supports it.
    case auto
    /// One `send` and one `read` for each connection.
    case epoll
    /// One call for many connections.
    case ioUring

    /// Whether a reactor should make a ring.
    var wantsRing: Bool {
        switch (self, SendRing.availability) {
        case (.epoll, _), (_, .failure): false
        case (.ioUring, .success): true
        case (.auto, .success(let isWorthwhile)): isWorthwhile
        }
    }

    /// Why this backend cannot be used here; `nil` if it can.
    package var obstacle: String? {
        if case .ioUring = self, case .failure(let failure) = SendRing.availability { failure.description } else { nil }
    }
}
