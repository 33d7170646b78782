internal import CLinux
internal import Glibc

extension Reactor {
    /// A slot may have been reused, even within one batch of events: the generation tells.
    func connection(of token: UInt64) -> StreamConnection? {
        guard let connection = connection(in: UInt32(truncatingIfNeeded: token)),
            connection.generation == UInt32(token >> 32)
        else { return nil }
        return connection
    }

    /// Lets all connections that one wait found ready take what has arrived.
    ///
    /// Connections that are only readable are read by one call for many of them, if there are many.
    func dispatch(_ events: UnsafeBufferPointer<epoll_event>) {
        guard events.count >= ringMinimum, var ring = receiveRing.take() else {
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
        if !ring.isBroken { receiveRing = consume ring }
    }

    private func readsByRing(_ event: epoll_event) -> StreamConnection? {
        guard unsafe event.events == Epoll.Events.readable.rawValue, unsafe event.data.u64 < Self.listenerToken,
            let connection = unsafe connection(of: event.data.u64), connection.readsByRing
        else { return nil }
        return connection
    }

    /// Reads first, then hands over: a driver may end, pause or finish another connection whose bytes have been read.
    private func read(by ring: inout ReceiveRing) {
        for place in 0..<ring.run() {
            // Slots are reused only at the end of a turn.
            guard let connection = connection(in: ring.tag(at: place)) else { continue }
            do throws(Errno) {
                unsafe connection.receivedByRing(try ring.bytes(at: place))
            } catch {
                connection.failedToRead(error)
            }
        }
    }
}
