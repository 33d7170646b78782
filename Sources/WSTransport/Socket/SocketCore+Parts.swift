internal import Synchronization

/// The received parts of messages that are delivered in parts.
struct IncomingParts {
    enum Item: Sendable {
        case begin(Opcode, isCompressed: Bool)
        case part([UInt8])
        case end

        /// Its cost against the limit of held bytes.
        var cost: Int { if case .part(let bytes) = self { bytes.count + 64 } else { 64 } }
    }

    var items = Fifo<Item>()
    /// The message whose parts a reader is taking; 0 if there is none.
    var current: UInt64 = 0
    /// Whether the rest of the current message is dropped as it arrives.
    var isDropping = false
    /// Is resumed when there is something new.
    var reader: FirstAnswer<Void>?
}

/// The state of a message that is sent in parts.
struct OutgoingParts {
    /// Whether one has begun, so that other messages must wait.
    var isInProgress = false
    /// Bytes that were passed to the reactor and that it has not sent yet.
    var posted = 0
    /// Waits until there is room for the next part.
    var sender: FirstAnswer<Void>?
}

// MARK: - Receiving

extension SocketCore {
    /// Takes a received part of a message; returns `true` if no more should come for now.
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

    /// The result of a look at the parts.
    private enum Look<Found: Sendable>: Sendable {
        case found(Found, hasRoom: Bool)
        case nothingYet
        case failed(any Error)
    }

    /// Waits for the next message, and drops the rest of the previous one; `nil` after a normal end.
    func nextMessage() async throws -> (number: UInt64, type: Opcode, isCompressed: Bool)? {
        try await look { state in
            state.hasRead = true
            var hasRoom = false
            // While a message is the current one, at least its end has not been taken.
            if state.incoming.current != 0 { hasRoom = self.dropCurrent(&state) }
            guard case .begin(let type, let isCompressed) = state.incoming.items.popFirst() else {
                state.isReading = false
                guard let ended = state.ended else { return .nothingYet }
                if let error = self.error(of: ended, state) { return .failed(error) }
                return .found(nil, hasRoom: hasRoom)
            }
            if self.release(IncomingParts.Item.end.cost, &state) { hasRoom = true }
            state.takes()
            state.incoming.current = State.makeNumber()
            return .found((state.incoming.current, type, isCompressed), hasRoom: hasRoom)
        }
    }

    /// Waits for the next part of a message; `nil` at its end, and if the message has been left.
    ///
    /// Throws how the socket ended if the message is incomplete.
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
                // More may come, or the end, which is delayed while something is being read.
                state.isReading = false
                guard let end = state.ended else { return .nothingYet }
                return .failed(self.error(of: end, state) ?? WS.Error.closed(end.code, reason: end.reason))
            }
        }
    }

    /// Handles the end of a message's reader.
    func leave(_ message: UInt64) {
        let hasRoom = state.withLock { state in
            state.incoming.current == message && dropCurrent(&state)
        }
        if hasRoom { resumeReading() }
    }

    /// Drops the parts of the current message, and those still to come; returns whether the peer should be read again.
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

    /// Repeats `find` until it finds something.
    private func look<Found: Sendable>(_ find: (inout sending State) -> sending Look<Found>) async throws -> Found {
        while true {
            // Also checked if there is no need to wait, except after the end, which cancels a server's closure.
            if Task.isCancelled, state.withLock({ $0.ended == nil }) { throw CancellationError() }
            switch state.withLock(find) {
            case .found(let found, let hasRoom):
                if hasRoom { resumeReading() }
                return found
            case .failed(let error): throw error
            case .nothingYet: break
            }
            noticeCatchingUp()
            do {
                try await waitForParts()
            } catch is CancellationError where state.withLock({ $0.ended != nil }) {
                // The end cancelled it between the look and the wait; earlier parts are still there.
            }
        }
    }

    /// Waits until there is something new, or the end.
    private func waitForParts() async throws {
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

// MARK: - Sending

extension SocketCore {
    /// Waits for room, after earlier senders; then no other message is sent until the last part, or
    /// ``leaveParts(begun:)``.
    func beginParts(_ type: Opcode) async throws { try await enqueue(type, MessageBody(), isInParts: true) }

    /// Waits for room, and passes the next part of the message to the reactor.
    func sendPart(_ type: Opcode, _ part: [UInt8], isFirst: Bool, isLast: Bool) async throws {
        while true {
            try Task.checkCancellation()
            let isSent = try state.withLock { state throws(WS.Error) -> Bool in
                guard state.readyState == .open else { throw .invalidState(state.readyState) }
                guard hasRoomForPart(state) else { return false }
                state.outgoing.posted += part.count
                state.outgoing.isInProgress = !isLast
                state.hasAnswered = true
                run {
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

    /// Ends the message without a last part.
    ///
    /// - Parameter begun: whether a part was sent; then nothing else can follow on this connection.
    func leaveParts(begun: Bool) {
        state.withLock { $0.outgoing.isInProgress = false }
        if begun { fail(.internalError) } else { _ = sent(0, unsent: nil) }
    }

    private func hasRoomForPart(_ state: State) -> Bool {
        state.outgoing.posted + state.unsent(in: turn) <= limits.waitingMark
    }

    /// Records that the reactor has taken `count` bytes of a part; `unsent` are now in its own queue.
    func sentPart(_ count: Int, unsent: Unsent) {
        state.withLock { state in
            state.outgoing.posted = max(0, state.outgoing.posted - count)
            state.setUnsent(unsent)
        }
        wakePartSender()
    }

    /// Wakes the sender of the next part, if there is room, or there will never be any.
    func wakePartSender() {
        let sender = state.withLock { state -> FirstAnswer<Void>? in
            guard state.readyState != .open || hasRoomForPart(state) else { return nil }
            return state.outgoing.sender.take()
        }
        sender?.give(.success(()))
    }
}
