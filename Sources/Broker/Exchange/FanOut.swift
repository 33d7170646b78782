internal import WSTransport

/// Delivers messages: finds the subscriptions that match, encodes each wire form once, and fills the outbound queues.
///
/// Runs on the reactor's thread.
final class FanOut {
    private let reactor: Reactor
    private let directory: Directory
    private let counters: ShardCounters
    let recorder: FlightRecorder
    /// The wire forms, by lane number.
    private var lanes: ContiguousArray<FormOfLane?> = [nil]
    /// The endpoints that registered them, by lane number.
    @exclusivity(unchecked) private var endpoints: ContiguousArray<ClientEndpoint> = [.other]
    /// Counts the messages, in steps of two.
    ///
    /// The number marks a connection whose session must be asked, the next odd number one whose session has been asked.
    private var round: UInt64 = 0
    /// Whether some clients' rights are still to be reviewed.
    var isReviewing = false
    private let known = EndsMemo()
    /// A walk that visits more nodes than this is not repeated in order to remember where it ends.
    private static let costly = 16
    /// A slot that no connection has.
    private static let none = UInt32.max - 1
    /// Keeps a message for a session that is behind; the second parameter says whether the store will deliver it.
    var hold: (Message, Bool, any Session) -> Void = { _, _, _ in }
    /// Checks the rights of subscribers on the slow path, and leaves out those that have lost them.
    var review: ([Subscriber]) -> [Subscriber] = { $0 }

    init(reactor: Reactor, directory: Directory, counters: ShardCounters, recorder: FlightRecorder) {
        self.reactor = reactor
        self.directory = directory
        self.counters = counters
        self.recorder = recorder
    }

    /// Assigns a lane to a form; there are ``Lane/maximum`` lanes at most.
    func register(_ form: any WireForm, of endpoint: ClientEndpoint) -> Lane {
        let number = reactor.makeLane()
        precondition(number <= Lane.maximum, "there are too many wire forms")
        // Replaced in one step, so that reading it for each message needs no exclusivity check.
        var longer = lanes
        while longer.count <= number { longer.append(nil) }
        longer[number] = FormOfLane(form)
        lanes = longer
        unsafe endpoints += Array(repeating: endpoint, count: longer.count - endpoints.count)
        return Lane(number: UInt8(number))
    }

    /// Sends messages in their order, each to every subscriber here whose filter matches.
    ///
    /// - Parameter isOwn: whether this reactor published them.
    func send(_ items: Span<Applied>, isOwn: Bool) {
        var sending = Sending(cursor: reactor.outboundCursor)
        // Where the walk for the current topic ends, if that is known.
        var (ends, last): (TopicEnds?, String) = (nil, "")
        var index = 0
        while index < items.count {
            let topic = items[index].message.topic
            // Compare with a copy of the name: if this reads a second item, or this item twice, the optimising compiler
            // (6.3.1) stops with an ownership error because of the `||`.
            if ends == nil || !topic.name.isSame(as: last) {
                last = topic.name
                ends = unsafe known.ends(of: topic, version: directory.tree.version) {
                    unsafe directory.tree.ends(of: topic)
                }
                let next = sendRun(items, from: index, at: ends, isOwn: isOwn, &sending)
                if next > index {
                    index = next
                    continue
                }
            }
            send(items[index], at: ends, isOwn: isOwn, &sending)
            index &+= 1
        }
        counters.delivered.add(sending.delivered)
        counters.matchedNodes.add(sending.cost)
    }

    /// Sends a run of messages of one topic, if it has a single subscriber on the fast path; returns the index after
    /// the run.
    private func sendRun(
        _ items: Span<Applied>, from first: Int, at ends: TopicEnds?, isOwn: Bool, _ sending: inout Sending
    ) -> Int {
        guard let ends, let entry = unsafe directory.tree.onlyEntry(at: ends), entry.isPlain,
            sending.cursor.isPlain(entry.place), let lane = lanes[Int(entry.kind)]
        else { return first }
        let (number, endpoint) = (Lane(number: entry.kind), unsafe endpoints[Int(entry.kind)])
        var index = first
        let topic = items[first].message.topic.name
        while index < items.count {
            // Read once: each access to an item counts a reference.
            let message = items[index].message
            if index > first, !message.topic.name.isSame(as: topic) { break }
            round &+= 2
            guard let segment = lane.encode(message, number, into: reactor, round) else { break }
            if sending.cursor.extend(entry.place, from: segment.head, to: segment.tail) {
                reactor.counters.sentBytes.add(Int(segment.count))
            } else {
                reactor.send(segment, to: entry.place)
            }
            counters.sent(message.payloadCount, by: endpoint)
            record(message, to: 1, isOwn: isOwn)
            index &+= 1
        }
        sending.delivered &+= index &- first
        sending.counted = sending.delivered
        sending.cost &+= index &- first
        return index
    }

    private func send(_ item: Applied, at ends: TopicEnds?, isOwn: Bool, _ sending: inout Sending) {
        let (message, before) = (item.message, sending.delivered)
        round &+= 2
        // Clients publish on their own reactor. If the slot is unknown, each subscriber that skips its own is checked.
        sending.begin(round, originSlot: isOwn && message.origin != 0 ? item.originSlot : Self.none)
        // Nothing that is called during the walk changes the directory.
        let cost = unsafe directory.tree.forEachMatch(of: message.topic, at: ends) { entries in
            if entries.count == 1, sending.extends(entries[0]) { return }
            unsafe entries.withUnsafeBufferPointer { unsafe send(message, to: $0, &sending) }
        }
        count(message, &sending)
        sending.cost &+= cost
        if cost > Self.costly, ends == nil { known.leave(message.topic) }
        if !sending.slow.isEmpty {
            sending.delivered &+= sendSlowly(item, review(sending.slow), sending.cursor)
            // The slow path counts each by itself.
            sending.counted = sending.delivered
            sending.slow = []
            sending.cursor = reactor.outboundCursor
        }
        record(message, to: sending.delivered &- before, isOwn: isOwn)
    }

    @inline(__always)
    private func record(_ message: Message, to delivered: Int, isOwn: Bool) {
        recorder.published(message, to: delivered)
        if recorder.isTraced { recorder.show(message, to: delivered, isAccepted: isOwn, directory) }
    }

    /// The state of a fan-out, from one message to the next.
    private struct Sending {
        var cursor: OutboundCursor
        var originSlot = FanOut.none
        var round: UInt64 = 0
        var lane: UInt8 = 0
        /// The message's bytes in that lane.
        var current: Segment?
        var delivered = 0
        /// How many of these have been counted for the endpoints of their lanes.
        var counted = 0
        /// How many nodes were visited.
        var cost = 0
        /// The subscribers for the slow path.
        var slow: [Subscriber] = []

        init(cursor: OutboundCursor) { self.cursor = cursor }

        /// Begins the next message.
        @inline(__always)
        mutating func begin(_ round: UInt64, originSlot: UInt32) {
            (self.round, self.originSlot) = (round, originSlot)
            (lane, current) = (0, nil)
        }

        /// Sends the message to one more subscriber of the lane; `false` if the fast path cannot.
        ///
        /// Does nothing, and returns `true`, if the connection has got the message by another of its filters.
        @inline(__always)
        mutating func extends(_ entry: Subscriber) -> Bool {
            guard let current, entry.kind == lane else { return false }
            if cursor.extend(entry.place, from: current.head, to: current.tail) {
                delivered &+= 1
                return true
            }
            return cursor.ends(with: current.tail, entry.place) || cursor.hasMark(round, of: entry.place)
        }
    }

    /// Counts the deliveries in the current lane for its endpoint.
    @inline(__always)
    private func count(_ message: Message, _ sending: inout Sending) {
        let new = sending.delivered &- sending.counted
        guard new > 0 else { return }
        sending.counted = sending.delivered
        counters.sent(message.payloadCount, times: new, by: unsafe endpoints[Int(sending.lane)])
        reactor.counters.sentBytes.add(new &* Int(sending.current?.count ?? 0))
    }

    /// Sends a message to the subscribers of one filter.
    ///
    /// Not inlined, because the tree's walk would then count references to everything used here.
    @inline(never)
    private func send(_ message: Message, to entries: UnsafeBufferPointer<Subscriber>, _ sending: inout Sending) {
        let cursor = sending.cursor
        var index = 0
        while index < entries.count {
            let road = unsafe entries[index].road
            if road != sending.lane {
                count(message, &sending)
                sending.lane = road
                sending.current = encode(message, road)
            }
            guard let segment = sending.current else {
                unsafe sending.slow.append(entries[index])
                index &+= 1
                continue
            }
            if unsafe entries[index].kind == road,
                unsafe cursor.extend(entries[index].place, from: segment.head, to: segment.tail)
            {
                let first = index
                index = unsafe Self.extend(entries, from: index &+ 1, lane: road, by: segment, cursor)
                sending.delivered &+= index &- first
            }
            guard index < entries.count, unsafe entries[index].road == road else { continue }
            let entry = unsafe entries[index]
            index &+= 1
            if entry.skipsOwn, entry.place == sending.originSlot || sending.originSlot == .max {
                sending.slow.append(entry)
                continue
            }
            // A connection has one lane, so its last segment tells whether another of its filters has brought this
            // message already.
            switch cursor.offer(segment, to: entry.place) {
            case .taken: sending.delivered &+= 1
            case .known: break
            case .apart:
                reactor.sendApart(segment, to: entry.place)
                sending.delivered &+= 1
            case .refused:
                // Further filters of the same connection need not ask its session again, unless a review may withdraw
                // one of them.
                if entry.skipsOwn || isReviewing || cursor.takeMark(round, of: entry.place) {
                    sending.slow.append(entry)
                }
            }
        }
    }

    /// Appends a segment to the queues of consecutive subscribers of one lane, up to the first that needs a check;
    /// returns its index.
    ///
    /// A separate function, so that everything in the loop fits in registers.
    @inline(never)
    private static func extend(
        _ entries: UnsafeBufferPointer<Subscriber>, from first: Int, lane: UInt8, by segment: Segment,
        _ cursor: OutboundCursor
    ) -> Int {
        let (head, tail) = (segment.head, segment.tail)
        var index = first
        while index < entries.count, unsafe entries[index].kind == lane,
            unsafe cursor.extend(entries[index].place, from: head, to: tail)
        {
            index &+= 1
        }
        return index
    }

    /// Sends a message to one session, live or from a store.
    func send(_ message: Message, to session: any Session) {
        defer { counters.sent(message.payloadCount, by: session.client.endpoint) }
        guard let lane = session.lane else {
            return session.deliver(message, for: session.subscriptions.due(message, client: session.client.id))
        }
        guard let connection = session.connection, let segment = encode(message, lane) else { return }
        reactor.send(segment, to: connection.slot)
    }

    // MARK: The slow path

    /// Delivers to subscribers that need a check: behind, closed, without a lane, or skipping their own messages.
    ///
    /// - Returns: how many got the message.
    private func sendSlowly(_ item: Applied, _ entries: [Subscriber], _ cursor: OutboundCursor) -> Int {
        let message = item.message
        var delivered = 0
        var asked: [UInt32: [UInt32]] = [:]
        for entry in entries {
            guard entry.asksSession else {
                if send(item, to: entry, cursor) { delivered += 1 }
                continue
            }
            guard let session = directory.session(entry.place), session.isTaking,
                !(entry.skipsOwn && message.origin == session.client.id)
            else { continue }
            asked[entry.place, default: []].append(entry.subscription)
        }
        for (number, subscriptions) in asked {
            guard let session = directory.session(number) else { continue }
            if session.subscriptions.isBehind {
                hold(message, item.isKept, session)
            } else {
                session.deliver(message, for: subscriptions)
                counters.sent(message.payloadCount, by: session.client.endpoint)
                delivered += 1
            }
        }
        return delivered
    }

    private func send(_ item: Applied, to entry: Subscriber, _ cursor: OutboundCursor) -> Bool {
        let message = item.message
        guard let session = directory.session(inSlot: entry.place), session.isTaking else { return false }
        if entry.skipsOwn, message.origin == session.client.id { return false }
        guard cursor.takeMark(round &+ 1, of: entry.place) else { return false }
        if session.subscriptions.isBehind {
            hold(message, item.isKept, session)
            return false
        }
        guard let segment = encode(message, entry.road), !cursor.hasNewest(segment, of: entry.place) else {
            return false
        }
        reactor.send(segment, to: entry.place)
        counters.sent(message.payloadCount, by: session.client.endpoint)
        return true
    }

    // MARK: Bytes

    /// The message's bytes in a lane, encoded once while it is fanned out; `nil`: sessions take the message itself.
    ///
    /// Not inlined, so that its checks are made once for each lane, not once for each filter that matches.
    @inline(never)
    private func encode(_ message: Message, _ road: UInt8) -> Segment? {
        guard Int(road) < lanes.count, let lane = lanes[Int(road)] else { return nil }
        if lane.round == round { return lane.segment }
        return lane.encode(message, Lane(number: road), into: reactor, round)
    }

    /// The bytes of a message for one session.
    private func encode(_ message: Message, _ lane: Lane) -> Segment? {
        lanes[Int(lane.number)]?.form.encode(message, into: reactor, lane: lane)
    }
}

/// A registered form, and the last segment it made.
private final class FormOfLane {
    let form: any WireForm
    /// The segment of the message with the number ``round``.
    var segment: Segment?
    var round: UInt64 = 0

    init(_ form: any WireForm) { self.form = form }

    // A method of this class, so that no reference to the form is counted.
    func encode(_ message: Message, _ number: Lane, into reactor: Reactor, _ round: UInt64) -> Segment? {
        let new = form.encode(message, into: reactor, lane: number)
        (segment, self.round) = (new, round)
        return new
    }
}
