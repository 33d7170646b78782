internal import CLinux
internal import Glibc

/// What a turn does with the sockets' events.
extension Reactor {
    /// The connection with a token; its generation is compared, because a slot may be reused within a batch of events.
    package func connection(of token: UInt64) -> StreamConnection? {
        guard let connection = connection(in: UInt32(truncatingIfNeeded: token)), connection.token == token else {
            return nil
        }
        return connection
    }

    /// Lets all connections that one wait reported ready take the bytes that have arrived.
    ///
    /// Connections that are only readable are read by one call for many of them, if there are many.
    func dispatch(_ events: UnsafeBufferPointer<epoll_event>) {
        guard events.count >= ringMinimum, var ring = unsafe receiveRing.take() else {
            for index in events.indices { unsafe dispatch(events[index]) }
            return
        }
        for index in events.indices {
            let event = unsafe events[index]
            if let connection = unsafe readsByRing(event) {
                ring.put(connection.rawDescriptor, tag: connection.slot)
                if ring.isFull { read(by: &ring) }
            } else {
                unsafe dispatch(event)
            }
        }
        read(by: &ring)
        if !ring.isBroken { unsafe receiveRing = consume ring }
    }

    private func readsByRing(_ event: epoll_event) -> StreamConnection? {
        guard unsafe event.events == Epoll.Events.readable.rawValue, unsafe event.data.u64 < Self.listenerToken,
            let connection = unsafe connection(of: event.data.u64), connection.readsByRing
        else { return nil }
        return connection
    }

    /// Reads all of them first: a driver may end, pause or finish another connection whose bytes have been read.
    private func read(by ring: inout ReceiveRing) {
        for place in 0..<ring.run() {
            // Slots are reused only at the end of a turn.
            guard let connection = connection(in: ring.tag(at: place)) else { continue }
            do throws(Errno) {
                unsafe connection.receivedByRing(try ring.bytes(at: place), on: self)
            } catch {
                connection.failedToRead(error)
            }
        }
    }
}
