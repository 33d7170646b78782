/// A format of records (``LogRecord``).
///
/// A broker reads all of them, and tells the others the newest one that it reads. It writes the newest one that every
/// broker of the cluster reads, so brokers can be upgraded one after the other.
package enum RecordFormat: UInt8, Sendable, Comparable {
    /// Each message has its own topic and origin.
    case plain = 1
    /// Messages that share a topic and an origin name them once.
    case brief = 2

    package static let newest = RecordFormat.brief

    package static func < (left: RecordFormat, right: RecordFormat) -> Bool { left.rawValue < right.rawValue }

    /// The newest format that is known here and that a broker with these facts reads, a JSON object with a number as
    /// `recordFormat`.
    ///
    /// Brokers that say nothing are older than the second format.
    init(ofFacts facts: String) {
        self = .plain
        do throws(JSONError) {
            let object = try JSONObject.parse(Array(facts.utf8).span, maximumDepth: 8)
            guard let number = try object.integer("recordFormat", as: Int.self), number > 0 else { return }
            self = RecordFormat(rawValue: UInt8(clamping: number)) ?? .newest
        } catch {
            // It stays the one that all brokers read.
        }
    }
}

/// What a message of a record may have in common with others: its flags, origin, topic and content type.
struct DraftShape {
    let flags: UInt8
    let origin: UInt64
    let topic: Topic
    let contentType: String?

    /// Whether both are the same bytes.
    func isSame(as other: DraftShape) -> Bool {
        guard flags == other.flags, origin == other.origin else { return false }
        // Not with `==`, for which different names can be equal.
        guard topic.name.utf8Span.span.hasSameBytes(as: other.topic.name.utf8Span.span) else { return false }
        guard let contentType else { return true }
        return other.contentType.map { contentType.utf8Span.span.hasSameBytes(as: $0.utf8Span.span) } ?? false
    }
}

/// The last shapes of a part of a record in the format ``RecordFormat/brief``.
struct DraftShapes {
    /// How many are remembered; so the search for one takes little time, whatever the messages are.
    static let maximum = 8
    /// The newest one is at ``latest``, the one before it below, and so on around.
    private var shapes: [DraftShape] = []
    private var latest = -1

    /// Which shape it was, counted back from the last one that was added, from 1; `nil` if it is not remembered.
    func distance(of shape: DraftShape) -> Int? {
        for distance in 0..<shapes.count where self[distance].isSame(as: shape) { return distance + 1 }
        return nil
    }

    /// The shape at a distance from 1; `nil` if there is none.
    func shape(at distance: Int) -> DraftShape? {
        (1...Self.maximum).contains(distance) && distance <= shapes.count ? self[distance - 1] : nil
    }

    private subscript(distance: Int) -> DraftShape { shapes[(latest - distance + shapes.count) % shapes.count] }

    mutating func add(_ shape: DraftShape) {
        if shapes.count < Self.maximum {
            shapes.append(shape)
            latest = shapes.count - 1
        } else {
            latest = (latest + 1) % Self.maximum
            shapes[latest] = shape
        }
    }
}
