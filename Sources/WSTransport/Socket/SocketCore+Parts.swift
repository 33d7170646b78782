internal import Synchronization

/// What has come of messages that are handed over in parts.
struct IncomingParts {
    enum Item: Sendable {
        case begin(Opcode, isCompressed: Bool)
        case part([UInt8])
        case end

        /// What counts against the limit of what is held.
        var cost: Int { if case .part(let bytes) = self { bytes.count + 64 } else { 64 } }
    }

    var items = Fifo<Item>()
    /// The message of which a reader takes parts; 0: none.
    var current: UInt64 = 0
    /// Whether the rest of the message under way is dropped as it comes.
    var isDropping = false
    /// Told when there is something new.
    var reader: FirstAnswer<Void>?
}

/// How far a message is that is sent in parts.
struct OutgoingParts {
    /// Whether one has begun, and other messages have to wait.
    var isUnderWay = false
    /// Bytes that were passed to the reactor, and that it has not sent yet.
    var posted = 0
    /// Waits for room for the next part.
    var sender: FirstAnswer<Void>?
}

// MARK: - Receiving

extension SocketCore {
    /// A part of a message arrived; `true` if no more should come for now.
    func received(_ type: Opcode, _ part: [UInt8], isCompressed: Bool, isFirst: Bool, isLast: Bool) -> Bool {
        let (reader, isFull) = state.withLock { state -> (FirstAnswer<Void>?, Bool) in
            if isFirst { hold(.begin(type, isCompressed: isCompressed), &state) }
            if !state.incoming.isDropping, !part.isEmpty { hold(.part(part), &state) }
            if isLast {
                if !state.incoming.isDropping { hold(.end, &state) }
                state.incoming.isDropping = false
            }
            return (state.incoming.reader.take(), state.isFull)
        }
        reader?.give(.success(()))
        return isFull
    }

    private func hold(_ item: IncomingParts.Item, _ state: inout State) {
        state.incoming.items.append(item)
        _ = add(item.cost, &state)
    }

    /// What a look at the parts amounts to.
    private enum Look<Found: Sendable>: Sendable {
        case found(Found, hasRoom: Bool)
        case nothingYet
        case failed(any Error)
    }

    /// Waits for the next message, and drops what is left of the one before; `nil` after an orderly end.
    func nextMessage() async throws -> (number: UInt64, type: Opcode, isCompressed: Bool)? {
        try await look { state in
            state.hasRead = true
            var hasRoom = false
            // Its end, at least, has not been taken as long as it is the current one.
            if state.incoming.current != 0 { hasRoom = self.dropCurrent(&state) }
            guard case .begin(let type, let isCompressed) = state.incoming.items.popFirst() else {
                state.isReading = false
                guard let ended = state.ended else { return .nothingYet }
                if let error = self.error(of: ended, state) { return .failed(error) }
                return .found(nil, hasRoom: hasRoom)
            }
            if self.release(IncomingParts.Item.end.cost, &state) { hasRoom = true }
            state.takes()
            state.incoming.current = state.makeNumber()
            return .found((state.incoming.current, type, isCompressed), hasRoom: hasRoom)
        }
    }

    /// Waits for the next part of a message; `nil` at its end, and of one that has been left.
    ///
    /// Throws how the socket ended if the message is not whole.
    func nextPart(of message: UInt64) async throws -> [UInt8]? {
        try await look { state in
            guard state.incoming.current == message else { return .found(nil, hasRoom: false) }
            switch state.incoming.items.popFirst() {
            case .part(let bytes):
                state.isReading = true
                let hasRoom = self.release(bytes.count + IncomingParts.Item.end.cost, &state)
                return .found(bytes, hasRoom: hasRoom)
            case .end, .begin:
                state.isReading = true
                state.incoming.current = 0
                return .found(nil, hasRoom: self.release(IncomingParts.Item.end.cost, &state))
            case nil:
                // More may come, or the end, which waits for as long as something is being read.
                state.isReading = false
                guard let end = state.ended else { return .nothingYet }
                return .failed(self.error(of: end, state) ?? WS.Error.closed(end.code, reason: end.reason))
            }
        }
    }

    /// The reader of a message has gone.
    func leave(_ message: UInt64) {
        let hasRoom = state.withLock { state in
            state.incoming.current == message && dropCurrent(&state)
        }
        if hasRoom { readOn() }
    }

    /// Drops what there is of the current message, and what comes of it; whether the peer should be read again.
    private func dropCurrent(_ state: inout State) -> Bool {
        state.incoming.current = 0
        var hasRoom = false
        while let item = state.incoming.items.popFirst() {
            if release(item.cost, &state) { hasRoom = true }
            if case .end = item { return hasRoom }
        }
        state.incoming.isDropping = true
        return hasRoom
    }

    /// Looks for something until it is there.
    private func look<Found: Sendable>(_ find: (inout sending State) -> sending Look<Found>) async throws -> Found {
        while true {
            // Also checked where nothing has to be waited for, except after the end, which cancels a server's closure.
            if Task.isCancelled, state.withLock({ $0.ended == nil }) { throw CancellationError() }
            switch state.withLock(find) {
            case .found(let found, let hasRoom):
                if hasRoom { readOn() }
                return found
            case .failed(let error): throw error
            case .nothingYet: break
            }
            noticeCatchingUp()
            try await FirstAnswer<Void>.wait { answer in
                let isDue = state.withLock { state -> Result<Bool, any Error> in
                    if let other = state.incoming.reader, other.isAwaited { return .failure(WS.Error.busy) }
                    if state.incoming.items.isEmpty, state.ended == nil {
                        state.incoming.reader = answer
                        return .success(false)
                    }
                    return .success(true)
                }
                switch isDue {
                case .success(true): answer.give(.success(()))
                case .success(false): break
                case .failure(let error): answer.give(.failure(error))
                }
            }
        }
    }
}

// MARK: - Sending

extension SocketCore {
    /// Waits for room, after earlier senders; then no other message is sent until the last part, or ``leaveParts(begun:)``.
    func beginParts(_ type: Opcode) async throws { try await enqueue(type, [], isInParts: true) }

    /// Waits for room, and passes the next part of the message under way to the reactor.
    func sendPart(_ type: Opcode, _ part: [UInt8], isFirst: Bool, isLast: Bool) async throws {
        while true {
            try Task.checkCancellation()
            let isSent = try state.withLock { state throws(WS.Error) -> Bool in
                guard state.readyState == .open else { throw .invalidState(state.readyState) }
                guard hasRoomForPart(state) else { return false }
                state.outgoing.posted += part.count
                state.outgoing.isUnderWay = !isLast
                state.hasAnswered = true
                link.run(with: SocketSession.self) {
                    $0?.sendPart(type, part, isFirst: isFirst, isLast: isLast)
                }
                return true
            }
            if isSent { return }
            try await FirstAnswer<Void>.wait { answer in
                let isDue = state.withLock { state in
                    if state.readyState != .open || hasRoomForPart(state) { return true }
                    state.outgoing.sender = answer
                    return false
                }
                if isDue { answer.give(.success(())) }
            }
        }
    }

    /// The message under way gets no last part.
    ///
    /// - Parameter begun: whether a part was sent: then nothing else can follow on this connection.
    func leaveParts(begun: Bool) {
        state.withLock { $0.outgoing.isUnderWay = false }
        if begun { fail(.internalError) } else { sent(0, unsent: state.withLock { $0.unsent }) }
    }

    private func hasRoomForPart(_ state: State) -> Bool {
        state.outgoing.posted + state.unsent <= limits.waitingMark
    }

    /// The reactor has taken `count` bytes of a part; `unsent` are now in its own queue.
    func sentPart(_ count: Int, unsent: Int) {
        state.withLock { state in
            state.outgoing.posted = max(0, state.outgoing.posted - count)
            state.unsent = state.ended == nil ? unsent : 0
        }
        wakePartSender()
    }

    /// Lets the sender of the next part look again, if there is room, or never will be.
    func wakePartSender() {
        let sender = state.withLock { state -> FirstAnswer<Void>? in
            guard state.readyState != .open || hasRoomForPart(state) else { return nil }
            return state.outgoing.sender.take()
        }
        sender?.give(.success(()))
    }
}
