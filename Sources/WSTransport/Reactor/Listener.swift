internal import Glibc

/// A listening socket of one reactor.
///
/// Runs on the reactor's thread.
package final class Listener {
    private unowned let reactor: Reactor
    private var descriptor: FileDescriptor?
    private let token: UInt64
    private let makeDriver: (StreamConnection) -> any StreamDriver
    private var isWatched = false
    /// Whether other reactors listen on the same socket.
    private let isShared: Bool

    /// How many connections one turn accepts, so that accepting does not starve those that are served.
    private static let batch = 32
    /// How long accepting rests when descriptors have run out, in nanoseconds.
    private static let rest: Int64 = 100_000_000

    init(
        reactor: Reactor, descriptor: consuming FileDescriptor, isShared: Bool, token: UInt64,
        makeDriver: @escaping (StreamConnection) -> any StreamDriver
    ) {
        self.reactor = reactor
        self.descriptor = consume descriptor
        self.isShared = isShared
        self.token = token
        self.makeDriver = makeDriver
    }

    private var raw: Int32 {
        switch descriptor {
        case .some(let descriptor): descriptor.rawValue
        case .none: -1
        }
    }

    /// Accepts again.
    func resume() throws(Errno) {
        guard !isWatched, raw >= 0 else { return }
        try reactor.watchListener(raw, isShared: isShared, token: token)
        isWatched = true
    }

    /// Stops listening for good.
    package func close() {
        if isWatched { reactor.unwatch(raw) }
        isWatched = false
        descriptor = nil
    }

    func ready() {
        acceptSome()
        guard isShared, isWatched else { return }
        // The kernel wakes the one that has waited longest: who has had its turn goes to the end of the queue.
        reactor.unwatch(raw)
        isWatched = false
        do throws(Errno) { try resume() } catch { takeRest() }
    }

    private func acceptSome() {
        for _ in 0..<(isShared ? 1 : Self.batch) {
            do throws(Errno) {
                switch descriptor {
                case .some(let descriptor):
                    let (accepted, peer) = try Socket.accept(from: descriptor)
                    welcome(FileDescriptor(adopting: accepted), peer)
                case .none: return
                }
            } catch {
                if error == .wouldBlock { return }
                if error != .tooManyOpenFiles, error != .tooManyOpenFilesInSystem, error.rawValue != ENOBUFS,
                    error.rawValue != ENOMEM
                {
                    continue  // The peer gave up between the kernel's queue and here.
                }
                return takeRest()
            }
        }
    }

    private func welcome(_ accepted: consuming FileDescriptor, _ peer: SocketAddress?) {
        if peer?.path == nil { Socket.setNoDelay(accepted.rawValue) }
        reactor.counters.accepted.add(1)
        let connection = reactor.adopt(accepted, peer: peer)
        connection.driver = makeDriver(connection)
    }

    /// Out of descriptors: the kernel keeps the rest in its queue until some are free again.
    private func takeRest() {
        reactor.counters.acceptPauses.add(1)
        if isWatched { reactor.unwatch(raw) }
        isWatched = false
        reactor.run(afterNanoseconds: Self.rest) { [weak self] in try? self?.resume() }
    }
}
