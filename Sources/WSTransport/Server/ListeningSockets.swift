internal import Synchronization

/// The listening sockets of a server, for each of its reactors: bound here, or adopted from the program that started it.
///
/// All are there before any thread starts, so that a failure is told before anything is served. Any thread.
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

    /// None yet.
    ///
    /// - Parameter reactors: how many there are to be; at least one.
    package init(reactors: Int) { self.reactors = max(1, reactors) }

    deinit {
        state.withLock { state in
            for bound in state.bound.values.joined() { Socket.close(bound.descriptor) }
        }
    }

    /// Listens on an address.
    ///
    /// Reactors have sockets of their own for a port, which the kernel chooses among, and share that of a path.
    /// A path's file stays until ``removeFiles()``.
    ///
    /// - Parameters:
    ///   - listener: a number that the caller gives it.
    ///   - isOnFirstOnly: only reactor 0 has it.
    ///   - mode: the permissions of a path's file.
    ///   - group: the group of a path's file; `nil`: that of the process.
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
        // SO_REUSEPORT would let a second server share the port unnoticed: the first bind is made without it.
        if count > 1, address.port != 0 {
            _ = try Socket.listening(on: address, sharesPort: false, isIPv6Only: isIPv6Only)
        }
        var chosen = address
        for reactor in 0..<count {
            let descriptor = try Socket.listening(on: chosen, sharesPort: count > 1, isIPv6Only: isIPv6Only)
            // Port 0 lets the kernel choose, once: the other reactors share its choice.
            if reactor == 0 { chosen = Socket.localAddress(descriptor.rawValue) ?? chosen }
            add(descriptor, chosen, isShared: false, as: listener, on: reactor)
        }
        return chosen
    }

    /// Takes over a socket that listens already; the reactors share it.
    ///
    /// Throws `notASocket`, or `invalidArgument` if it does not listen for streams; it is closed then.
    ///
    /// - Parameter listener: a number that the caller gives it, which may have several sockets.
    /// - Returns: where it listens. The file of a path is not removed in the end.
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

    /// Hands over a listener's sockets on a reactor, once.
    ///
    /// - Parameter body: gets a descriptor, where it listens, and whether other reactors share its socket.
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

    /// Removes the files of paths that were bound here, where they are still the same.
    package func removeFiles() {
        for file in state.withLock({ $0.files }) { file.remove() }
    }
}

/// What listens on one reactor, kept with it from the start of its server to the end.
///
/// The reactor's thread.
package final class ListeningPost {
    private var listeners: [HTTPListener] = []
    /// Whether no more connections are accepted, as the server goes away.
    package private(set) var isClosed = false

    /// Nothing listens yet.
    package init() {}

    /// A listener that is closed with the others.
    package func add(_ listener: HTTPListener) { listeners.append(listener) }

    /// Gives the connections that are open other settings, if these have changed.
    package func takeOverSettings() { for listener in listeners { listener.takeOverSettings() } }

    /// Accepts no more connections; open ones continue.
    package func close() {
        for listener in listeners { listener.stop() }
        listeners = []
        isClosed = true
    }
}
