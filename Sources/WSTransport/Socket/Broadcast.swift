internal import Synchronization

/// Sends messages to many sockets; each message is encoded once per thread of the server, not once per socket.
///
/// A socket is a member, and is retained, until it ends or is removed. Sending does not wait;
/// ``UpgradeOptions/slowReaders`` decides what happens to a client that receives too slowly. Any thread.
public final class Broadcast: Sendable {
    /// The members whose connections are on one thread.
    private struct Room {
        let remote: Remote
        var members: [ObjectIdentifier: WebSocket] = [:]
    }

    private let rooms = Mutex<[ObjectIdentifier: Room]>([:])

    /// Creates a broadcast without members.
    public init() {}

    deinit {
        let id = ObjectIdentifier(self)
        for room in rooms.withLock({ $0.values }) { for socket in room.members.values { socket.core.forgetEnding(id) } }
    }

    /// The number of sockets.
    public var count: Int { rooms.withLock { $0.values.reduce(0) { $0 + $1.members.count } } }

    /// Adds a socket; does nothing if it is already a member, or has ended.
    public func add(_ socket: WebSocket) {
        guard let remote = socket.core.link.remote else { return }
        let member = ObjectIdentifier(socket)
        let isNew = rooms.withLock { rooms in
            rooms[ObjectIdentifier(remote), default: Room(remote: remote)].members.updateValue(socket, forKey: member)
                == nil
        }
        guard isNew else { return }
        let isOpen = socket.core.onEnd(of: ObjectIdentifier(self)) { [weak self] in
            self?.forget(member, on: ObjectIdentifier(remote))
        }
        if !isOpen { forget(member, on: ObjectIdentifier(remote)) }
    }

    /// Removes a socket without closing it; does nothing if it is not a member.
    public func remove(_ socket: WebSocket) {
        guard let remote = socket.core.link.remote else { return }
        socket.core.forgetEnding(ObjectIdentifier(self))
        forget(ObjectIdentifier(socket), on: ObjectIdentifier(remote))
    }

    private func forget(_ member: ObjectIdentifier, on remote: ObjectIdentifier) {
        // Released outside the lock: it may be the last reference.
        let forgotten = rooms.withLock { $0[remote]?.members.removeValue(forKey: member) }
        _ = forgotten
    }

    /// Sends a text message to all sockets except `sender`, and returns at once.
    public func send(_ text: String, except sender: WebSocket? = nil) { send(.text, Array(text.utf8), except: sender) }

    /// Sends a binary message to all sockets except `sender`, and returns at once.
    public func send(_ bytes: [UInt8], except sender: WebSocket? = nil) { send(.binary, bytes, except: sender) }

    /// Begins the closing handshake of all sockets.
    ///
    /// Throws ``WS/Error/invalidClose(_:)``, as ``WebSocket/close(_:reason:)`` does.
    public func close(_ code: CloseCode = 1000, reason: String = "") throws(WS.Error) {
        for room in rooms.withLock({ Array($0.values) }) {
            for socket in room.members.values { try socket.close(code, reason: reason) }
        }
    }

    private func send(_ type: Opcode, _ payload: [UInt8], except sender: WebSocket?) {
        let left = sender.map { ObjectIdentifier($0) }
        for room in rooms.withLock({ Array($0.values) }) where !room.members.isEmpty {
            room.remote.run { _ in
                var frame: Segment?
                for (member, socket) in room.members where member != left {
                    socket.core.session?.broadcast(type, payload, &frame)
                }
            }
        }
    }
}

extension SocketCore {
    /// Calls `body` when the socket ends; `false` if it has ended.
    fileprivate func onEnd(of owner: ObjectIdentifier, _ body: @escaping @Sendable () -> Void) -> Bool {
        state.withLock { state in
            if state.ended == nil { state.endings.append((owner, body)) }
            return state.ended == nil
        }
    }

    fileprivate func forgetEnding(_ owner: ObjectIdentifier) {
        let forgotten = state.withLock { state in
            defer { state.endings.removeAll { $0.owner == owner } }
            return state.endings.filter { $0.owner == owner }
        }
        _ = forgotten
    }
}

/// The lane in which a reactor encodes messages for several sockets.
private final class BroadcastLane {
    let number: Int
    init(_ number: Int) { self.number = number }
}

extension SocketSession {
    /// Sends a message that other sockets get, too.
    ///
    /// - Parameter frame: the message as encoded without compression, once that has been done in this turn.
    fileprivate func broadcast(_ type: Opcode, _ payload: [UInt8], _ frame: inout Segment?) {
        guard connection.readyState == .open else { return }
        guard connection.bufferedAmount + delayedBytes <= core.limits.unsent else {
            if core.limits.closesSlowReaders { closeSlow() }
            return
        }
        if waits(type, isPosted: false, MessageBody(payload)) { return }
        // Otherwise it is told only if a backlog begins.
        defer { if connection.stream.unsentBytes > 0 { update() } }
        guard !connection.isClient, !connection.compresses else { return connection.send(type, payload) }
        let reactor = connection.stream.reactor
        if frame == nil {
            let lane = reactor[BroadcastLane.self] ?? BroadcastLane(reactor.makeLane())
            reactor[BroadcastLane.self] = lane
            frame = unsafe payload.withUnsafeBytes {
                unsafe WebSocketConnection.encode(type, $0, lane: lane.number, on: reactor)
            }
        }
        if let frame { reactor.send(frame, to: connection.slot) }
    }
}
