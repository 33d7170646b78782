internal import WSTransport

/// Messages as server-sent events (HTML Standard §9.2).
final class EventsForm: TextForm, WireForm {
    private let isChunked: Bool
    /// The beginning of an `id:` line, up to the number.
    // Each event reads it, and only ``adopt(epoch:)`` changes it.
    @exclusivity(unchecked) private var places: [UInt8]

    /// - Parameters:
    ///   - epoch: the store's epoch, which is part of each id, because a number has no meaning in another store.
    ///   - isChunked: `false` for HTTP/1.0, which has no chunked coding.
    init(epoch: UInt64, isChunked: Bool) {
        self.isChunked = isChunked
        unsafe places = Array("id: \(epoch)-".utf8)
    }

    /// Takes the epoch of the store, after that has adopted the epoch of other brokers.
    func adopt(epoch: UInt64) { unsafe places = Array("id: \(epoch)-".utf8) }

    var isEvents: Bool { true }

    func encode(_ message: Message, into reactor: Reactor, lane: Lane) -> Segment? {
        encode(message, into: reactor, lane: lane, isChunked: isChunked)
    }

    func text(of message: Message, isSnapshot: Bool, isPlaced: Bool) -> [UInt8] {
        let object = MessageObject.encode(message, hasOperation: false, isSnapshot: isSnapshot)
        var text: [UInt8] = []
        text.reserveCapacity(object.count + 56)
        // Retained values come in topic order, so a client that has received one has not received all with smaller
        // numbers.
        if !isSnapshot, isPlaced { appendPlace(message.number, to: &text) }
        text += "data: ".utf8
        text += object
        text.append(10)
        text.append(10)
        return text
    }

    func notice(_ name: String, _ object: [UInt8], seq: UInt64?) -> [UInt8] {
        var text: [UInt8] = []
        if let seq { appendPlace(seq, to: &text) }
        text += "event: \(name)\ndata: ".utf8
        text += object
        text += [10, 10]
        return text
    }

    /// Appends the `id:` line, from which a client resumes.
    private func appendPlace(_ seq: UInt64, to text: inout [UInt8]) {
        text += unsafe places
        // Written by hand, because it is done for each message and a `String` would be allocated.
        var digits = InlineArray<21, UInt8>(repeating: 10)
        var (start, rest) = (20, seq)
        repeat {
            start -= 1
            digits[start] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
        while start < 21 {
            text.append(digits[start])
            start += 1
        }
    }
}
