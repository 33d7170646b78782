/// The path from the whole value to a part of it, as a list whose beginning is shared.
final class MessagePackPath {
    private let parent: MessagePackPath?
    private let key: any CodingKey

    init(_ parent: MessagePackPath?, _ key: any CodingKey) {
        self.parent = parent
        self.key = key
    }

    /// The keys, outermost first; `nil` is the whole value.
    static func keys(_ path: MessagePackPath?) -> [any CodingKey] {
        var keys: [any CodingKey] = []
        var next = path
        while let step = next {
            keys.append(step.key)
            next = step.parent
        }
        return keys.reversed()
    }
}

/// The key of a map, or the index in an array.
struct MessagePackKey: CodingKey, CustomStringConvertible {
    let stringValue: String
    let intValue: Int?

    /// The key under which a class stores what its superclass encodes.
    static let `super` = MessagePackKey(stringValue: "super")

    init(stringValue: String) {
        self.stringValue = stringValue
        intValue = nil
    }

    init(intValue: Int) {
        stringValue = String(intValue)
        self.intValue = intValue
    }

    init(index: Int) {
        stringValue = "Index \(index)"
        intValue = index
    }

    var description: String { stringValue }
}
