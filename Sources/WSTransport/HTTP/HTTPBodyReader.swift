/// Gathers one request body within its limit.
struct HTTPBodyReader {
    enum Step {
        case more
        case whole(Body)
        case tooLarge(maximum: Int)
        case bad(String)
    }

    /// A body that has arrived.
    struct Body {
        /// Where it is in the input; `nil` if it was gathered.
        fileprivate let place: Range<Int>?
        fileprivate let content: [UInt8]
        fileprivate let then: (Span<UInt8>) -> Void

        /// Passes it to what waits for it.
        ///
        /// - Parameter input: what it was read from.
        func hand(from input: UnsafeRawBufferPointer) {
            guard let place else { return then(content.span) }
            let part = unsafe UnsafeRawBufferPointer(rebasing: input[place]).bindMemory(to: UInt8.self)
            unsafe then(part.span)
        }
    }

    private var content: [UInt8] = []
    private var remaining = 0
    private var chunked: ChunkedDecoder?
    private var maximum = 0
    private var then: (Span<UInt8>) -> Void = { _ in }

    /// The memory that it takes, in bytes.
    var heldBytes: Int { content.capacity }

    /// Prepares for a body; `then` receives it.
    ///
    /// - Parameter counters: count the memory that the body takes.
    mutating func start(
        _ framing: BodyFraming, maximum: Int, _ counters: ReactorCounters, _ then: @escaping (Span<UInt8>) -> Void
    ) {
        drop(counters)
        remaining = 0
        chunked = nil
        self.maximum = maximum
        self.then = then
        switch framing {
        case .none: break
        case .length(let count): remaining = count
        case .chunked: chunked = ChunkedDecoder()
        }
    }

    /// Drops what was read of a body that is no longer wanted.
    mutating func drop(_ counters: ReactorCounters) {
        counters.heldBytes.add(-heldBytes)
        content = []
    }

    /// Takes the part of the body in `bytes`, from `offset` on.
    mutating func read(
        _ bytes: UnsafeRawBufferPointer, _ offset: inout Int, _ counters: ReactorCounters
    ) -> Step {
        let before = heldBytes
        defer { counters.heldBytes.add(heldBytes - before) }
        if chunked != nil { return unsafe readChunks(bytes, &offset) }
        let range = offset..<offset + min(remaining, bytes.count - offset)
        offset = range.upperBound
        remaining -= range.count
        // Most bodies arrive whole, and are not copied.
        if remaining == 0, content.isEmpty { return .whole(takeBody(at: range)) }
        unsafe content.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[range]))
        return remaining == 0 ? finish() : .more
    }

    private mutating func readChunks(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int) -> Step {
        do throws(HTTPParseError) {
            while let event = try unsafe chunked?.next(bytes, &offset) {
                switch event {
                case .data(let range):
                    guard range.count <= maximum - content.count else { return .tooLarge(maximum: maximum) }
                    unsafe content.append(contentsOf: UnsafeRawBufferPointer(rebasing: bytes[range]))
                case .end:
                    return finish()
                }
            }
            // A chunk that is too large is refused before all of it has arrived.
            if let chunked, chunked.announced > maximum - content.count { return .tooLarge(maximum: maximum) }
            return .more
        } catch {
            return .bad(error.message)
        }
    }

    private mutating func finish() -> Step {
        chunked = nil
        return .whole(takeBody(at: nil))
    }

    private mutating func takeBody(at place: Range<Int>?) -> Body {
        let body = Body(place: place, content: content, then: then)
        content = []
        then = { _ in }
        return body
    }
}
