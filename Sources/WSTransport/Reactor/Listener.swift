internal import Glibc

/// A listening socket of one reactor.
///
/// Runs on the reactor's thread.
package final class Listener {
    private unowned let reactor: Reactor
    private var descriptor: FileDescriptor?
    private let token: UInt64
    private let welcome: (Int32, SocketAddress?) -> ((StreamConnection) -> any StreamDriver)?
    private var isWatched = false
    /// Whether other reactors listen on the same socket.
    private let isShared: Bool

    /// How many connections one turn accepts, so that accepting does not starve open connections.
    private static let batch = 32
    /// How long accepting pauses when descriptors have run out, in nanoseconds.
    private static let rest: Int64 = 100_000_000

    init(
        reactor: Reactor, descriptor: consuming FileDescriptor, isShared: Bool, token: UInt64,
        welcome: @escaping (Int32, SocketAddress?) -> ((StreamConnection) -> any StreamDriver)?
    ) {
        self.reactor = reactor
        self.descriptor = consume descriptor
        self.isShared = isShared
        self.token = token
        self.welcome = welcome
    }

    private var raw: Int32 {
        switch descriptor {
        case .some(let descriptor): descriptor.rawValue
        case .none: -1
        }
    }

    /// Resumes accepting.
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
        // The kernel wakes the listener that has waited longest; after its turn it goes to the end of the queue.
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
                    take(FileDescriptor(adopting: accepted), peer)
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

    private func take(_ accepted: consuming FileDescriptor, _ peer: SocketAddress?) {
        reactor.counters.accepted.add(1)
        // Counted as open during the check, so that two reactors never both admit the last one.
        reactor.counters.connections.add(1)
        guard let makeDriver = welcome(accepted.rawValue, peer) else {
            reactor.counters.connections.add(-1)
            // Reset on close, so that nothing of it remains, here or in the kernel.
            return Socket.setResetOnClose(accepted.rawValue)
        }
        if peer?.path == nil { Socket.setNoDelay(accepted.rawValue) }
        let connection = reactor.adopt(accepted, peer: peer, isCounted: true)
        connection.driver = makeDriver(connection)
    }

    /// Pauses because descriptors have run out; the kernel keeps further connections in its queue.
    private func takeRest() {
        reactor.counters.acceptPauses.add(1)
        if isWatched { reactor.unwatch(raw) }
        isWatched = false
        reactor.run(afterNanoseconds: Self.rest) { [weak self] in try? self?.resume() }
    }
}

extension Reactor {
    /// Listens on `descriptor`, a socket that other reactors may share.
    ///
    /// Each accepted connection gets a driver from `makeDriver`.
    package func listen(
        on descriptor: consuming FileDescriptor, isShared: Bool = false,
        makeDriver: @escaping (StreamConnection) -> any StreamDriver
    ) throws(Errno) -> Listener { try listen(on: descriptor, isShared: isShared) { _, _ in makeDriver } }

    /// The same, but may refuse connections.
    ///
    /// - Parameter welcome: called for each descriptor and peer; returns a function that makes the driver, or `nil` to
    ///   reset the connection.
    package func listen(
        on descriptor: consuming FileDescriptor, isShared: Bool = false,
        welcome: @escaping (Int32, SocketAddress?) -> ((StreamConnection) -> any StreamDriver)?
    ) throws(Errno) -> Listener {
        let listener = Listener(
            reactor: self, descriptor: descriptor, isShared: isShared,
            token: Self.listenerToken + UInt64(unsafe listeners.count), welcome: welcome)
        unsafe listeners.append(listener)
        try listener.resume()
        return listener
    }
}
