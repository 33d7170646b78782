internal import Synchronization

/// The listening sockets of a server, for each of its reactors: bound here, or passed by the program that started it.
///
/// All are made before any thread starts, so that a failure is reported before anything is served. Any thread.
package final class ListeningSockets: Sendable {
    private struct Place: Hashable {
        let listener: Int
        let reactor: Int
    }

    private struct Bound {
        let descriptor: Int32
        let address: SocketAddress
        /// Whether other reactors have descriptors of the same socket.
        let isShared: Bool
    }

    private struct State {
        var bound: [Place: [Bound]] = [:]
        var files: [SocketFile] = []
    }

    private let reactors: Int
    private let state = Mutex(State())

    /// Makes a set without sockets.
    ///
    /// - Parameter reactors: the number of reactors; at least one.
    package init(reactors: Int) { self.reactors = max(1, reactors) }

    deinit {
        state.withLock { state in
            for bound in state.bound.values.joined() { Socket.close(bound.descriptor) }
        }
    }

    /// Listens on an address.
    ///
    /// For a port, each reactor has its own socket, and the kernel distributes connections; the socket of a path is
    /// shared. The file of a path stays until ``removeFiles()``.
    ///
    /// - Parameters:
    ///   - listener: a number that identifies the listener.
    ///   - isOnFirstOnly: whether only reactor 0 listens.
    ///   - mode: the permissions of a path's file.
    ///   - group: the group of a path's file; `nil` for that of the process.
    /// - Returns: the address, with the port that the kernel chose.
    @discardableResult
    package func bind(
        _ address: SocketAddress, as listener: Int, isOnFirstOnly: Bool = false, isIPv6Only: Bool = false,
        mode: UInt32 = 0o600, group: UInt32? = nil
    ) throws(Errno) -> SocketAddress {
        let count = isOnFirstOnly ? 1 : reactors
        guard address.path == nil else {
            try SocketFile.makeRoom(at: address)
            let descriptor = try Socket.listening(on: address, sharesPort: false, mode: mode, group: group)
            let file = try SocketFile(at: address.path ?? "")
            state.withLock { $0.files.append(file) }
            try share(descriptor, address, as: listener, among: count)
            return address
        }
        // SO_REUSEPORT would let a second server share the port unnoticed, so the first bind does not set it.
        if count > 1, address.port != 0 {
            _ = try Socket.listening(on: address, sharesPort: false, isIPv6Only: isIPv6Only)
        }
        var chosen = address
        for reactor in 0..<count {
            let descriptor = try Socket.listening(on: chosen, sharesPort: count > 1, isIPv6Only: isIPv6Only)
            // For port 0 the kernel chooses a port once, and the other reactors use it.
            if reactor == 0 { chosen = Socket.localAddress(descriptor.rawValue) ?? chosen }
            add(descriptor, chosen, isShared: false, as: listener, on: reactor)
        }
        return chosen
    }

    /// Takes over a listening socket, which the reactors share.
    ///
    /// Throws `notASocket`, or `invalidArgument` if it does not listen for streams; then it is closed.
    ///
    /// - Parameter listener: a number that identifies the listener, which may have several sockets.
    /// - Returns: its address. The file of a path is not removed later.
    @discardableResult
    package func adopt(_ descriptor: consuming FileDescriptor, as listener: Int) throws(Errno) -> SocketAddress {
        let address = try Socket.adopt(descriptor.rawValue)
        try share(descriptor, address, as: listener, among: reactors)
        return address
    }

    private func share(
        _ descriptor: consuming FileDescriptor, _ address: SocketAddress, as listener: Int, among count: Int
    ) throws(Errno) {
        for reactor in 1..<max(1, count) {
            add(
                try Socket.duplicate(descriptor.rawValue), address, isShared: true, as: listener, on: reactor)
        }
        add(descriptor, address, isShared: count > 1, as: listener, on: 0)
    }

    private func add(
        _ descriptor: consuming FileDescriptor, _ address: SocketAddress, isShared: Bool, as listener: Int,
        on reactor: Int
    ) {
        let bound = Bound(descriptor: descriptor.release(), address: address, isShared: isShared)
        state.withLock { $0.bound[Place(listener: listener, reactor: reactor), default: []].append(bound) }
    }

    /// Takes a listener's sockets on a reactor, once.
    ///
    /// - Parameter body: gets a descriptor, its address, and whether other reactors share the socket.
    package func take(
        listener: Int, reactor: Int,
        _ body: (_ descriptor: consuming FileDescriptor, _ address: SocketAddress, _ isShared: Bool) throws(Errno) ->
            Void
    ) throws(Errno) {
        let place = Place(listener: listener, reactor: reactor)
        while true {
            let next = state.withLock { state -> Bound? in
                guard let first = state.bound[place]?.first else { return nil }
                state.bound[place]?.removeFirst()
                return first
            }
            guard let next else { return }
            try body(FileDescriptor(adopting: next.descriptor), next.address, next.isShared)
        }
    }

    /// Removes the files of paths that were bound here, if they are still the same files.
    package func removeFiles() {
        for file in state.withLock({ $0.files }) { file.remove() }
    }
}

/// The listeners of one reactor, kept with it while its server runs.
///
/// Runs on the reactor's thread.
package final class ListeningPost {
    private var listeners: [HTTPListener] = []
    /// Whether no more connections are accepted, because the server is stopping.
    package private(set) var isClosed = false

    /// Makes a post without listeners.
    package init() {}

    /// Adds a listener, which is closed with the others.
    package func add(_ listener: HTTPListener) { listeners.append(listener) }

    /// Applies new settings to open connections, if the settings have changed.
    package func takeOverSettings() { for listener in listeners { listener.takeOverSettings() } }

    /// Accepts no more connections; open ones continue.
    package func close() {
        for listener in listeners { listener.stop() }
        listeners = []
        isClosed = true
    }
}
