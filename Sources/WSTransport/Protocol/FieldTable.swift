internal import CSIMD

/// The lines of ``HeaderFields``: their text, the places of their parts in it, and facts about all of them.
///
/// All of it is one piece of memory, so that a copy counts one reference: the facts about all lines (`head_table`),
/// the ranges of each line (`head_field`) with room for more of them, and the text, in UTF-8. Empty if there are no
/// lines.
struct FieldTable: Sendable {
    private var bytes: [UInt8] = []

    private static var headSize: Int { MemoryLayout<head_table>.stride }
    private static var lineSize: Int { MemoryLayout<head_field>.stride }
    /// How many lines, and how many bytes of text, there is room for at first.
    private static var initialRoom: (lines: Int, text: Int) { (8, 256) }

    /// A table without lines.
    init() {}

    /// A table of lines of `text`; `read` writes up to `count` of them and returns how many.
    init(
        _ text: UnsafeRawBufferPointer, count: Int,
        _ read: (UnsafeMutableBufferPointer<head_field>, inout head_index) -> Int
    ) {
        let start = Self.headSize &+ count &* Self.lineSize
        // Copied from temporary memory, because allocating an array to write its elements in place costs twice as much.
        bytes = unsafe withUnsafeTemporaryAllocation(byteCount: start &+ text.count, alignment: 8) { room in
            let lines = unsafe UnsafeMutableRawBufferPointer(rebasing: room[Self.headSize..<start])
            var head = head_table()
            let written = unsafe read(lines.bindMemory(to: head_field.self), &head.index)
            (head.count, head.room) = (UInt32(truncatingIfNeeded: written), UInt32(truncatingIfNeeded: count))
            for place in Self.headSize &+ written &* Self.lineSize..<start { unsafe room[place] = 0 }
            unsafe room.storeBytes(of: head, as: head_table.self)
            unsafe UnsafeMutableRawBufferPointer(rebasing: room[start...]).copyMemory(from: text)
            return unsafe Array(room)
        }
    }

    /// A number of the table's head; 0 if there is no table.
    @inline(__always)
    private func number<Number: FixedWidthInteger & BitwiseCopyable>(at offset: Int, _: Number.Type) -> Number {
        // Where there is a byte, there is all of the head.
        bytes.isEmpty ? 0 : unsafe bytes.span.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: Number.self)
    }

    /// The number of lines.
    @inline(__always) var count: Int { Int(number(at: head_at_count, UInt32.self)) }
    @inline(__always) private var room: Int { Int(number(at: head_at_room, UInt32.self)) }

    /// Whether a line may have a name with this mark.
    @inline(__always)
    func mayHave(_ mark: UInt32) -> Bool { number(at: head_at_marks, UInt64.self) & head_mark_bit(mark) != 0 }

    /// Whether a line's name may begin with a letter.
    @inline(__always)
    func mayBegin(with letter: UInt8) -> Bool {
        number(at: head_at_letters, UInt32.self) & head_letter_bit(UInt32(letter)) != 0
    }

    /// One more than the place of the first line with one of the names that are asked for most, at most 255; 0: none.
    ///
    /// - Parameter name: below `head_other`.
    @inline(__always)
    func first(_ name: Int32) -> Int { Int(number(at: head_at_first &+ Int(name), UInt8.self)) }

    /// Whether several lines have one of these names.
    @inline(__always)
    func repeats(_ name: Int32) -> Bool { number(at: head_at_repeated, UInt32.self) &>> UInt32(name) & 1 != 0 }

    /// Whether the fields are those of a WebSocket handshake as browsers write it; other forms may be valid, too.
    var isUsualHandshake: Bool {
        if bytes.isEmpty { return false }
        return unsafe bytes.span.withUnsafeBufferPointer { unsafe head_is_usual_handshake($0.baseAddress) != 0 }
    }

    /// The ranges of a line's parts in ``text``, which has at most 4 GiB.
    @inline(__always)
    subscript(place: Int) -> head_field {
        precondition(UInt(bitPattern: place) < UInt(count), "there is no such line")
        return unsafe bytes.span.bytes.unsafeLoadUnaligned(
            fromByteOffset: Self.headSize &+ place &* Self.lineSize, as: head_field.self)
    }

    /// Where the text begins.
    @inline(__always)
    private var start: Int { bytes.isEmpty ? 0 : Self.headSize &+ room &* Self.lineSize }

    private var textCount: Int { bytes.count &- start }

    /// The text of all lines.
    @inline(__always)
    var text: Span<UInt8> {
        @_lifetime(borrow self) get { bytes.span.extracting(droppingFirst: start) }
    }

    /// Not validated again: everything added was a string, or has been found to be UTF-8.
    func string(_ range: Range<Int>) -> String {
        unsafe String(copying: UTF8Span(unchecked: text.extracting(range)))
    }

    /// Whether two ranges have the same bytes.
    func isEqual(_ range: Range<Int>, _ other: FieldTable, _ otherRange: Range<Int>) -> Bool {
        bytes[start &+ range.lowerBound..<start &+ range.upperBound]
            == other.bytes[other.start &+ otherRange.lowerBound..<other.start &+ otherRange.upperBound]
    }

    /// The mark of a name.
    @inline(__always)
    static func mark(of name: Span<UInt8>) -> UInt32 {
        name.isEmpty ? 0 : HTTPWord.mark(name.count, name[0], name[name.count &- 1])
    }

    // MARK: More lines

    /// Adds a line.
    mutating func append(_ name: Span<UInt8>, _ value: Span<UInt8>) {
        makeRoom()
        let start = textCount
        unsafe name.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
        unsafe value.withUnsafeBufferPointer { unsafe bytes.append(contentsOf: $0) }
        let middle = start &+ name.count
        appendLine(name: start..<middle, value: middle..<middle &+ value.count)
    }

    /// Adds a line whose name is already stored.
    mutating func appendLine(name: Range<Int>, value: String) {
        makeRoom()
        let start = textCount
        bytes.append(contentsOf: value.utf8)
        appendLine(name: name, value: start..<textCount)
    }

    /// Adds a line that is already stored.
    mutating func appendLine(name: Range<Int>, value: Range<Int>) {
        makeRoom()
        let mark = Self.mark(of: text.extracting(name))
        var head = head
        unsafe text.extracting(name).withUnsafeBufferPointer { name in
            unsafe head_add(&head.index, name.baseAddress, name.count, mark, Int(head.count))
        }
        let line = head_field(name: name, value: value, mark: mark)
        let place = Self.headSize &+ Int(head.count) &* Self.lineSize
        head.count &+= 1
        // There is room for it, as there are fewer lines than that.
        unsafe bytes.withUnsafeMutableBytes { bytes in
            unsafe bytes.storeBytes(of: line, toByteOffset: place, as: head_field.self)
            unsafe bytes.storeBytes(of: head, as: head_table.self)
        }
    }

    private var head: head_table {
        bytes.isEmpty ? head_table() : unsafe bytes.span.bytes.unsafeLoadUnaligned(as: head_table.self)
    }

    /// Makes room for a line more.
    private mutating func makeRoom() {
        guard count == room else { return }
        let (start, room) = (start, max(Self.initialRoom.lines, room &* 2))
        let size = Self.headSize &+ room &* Self.lineSize
        var larger: [UInt8] = []
        larger.reserveCapacity(size &+ max(Self.initialRoom.text, textCount &* 2))
        larger.append(contentsOf: bytes[..<start])
        larger.append(contentsOf: repeatElement(0, count: size &- start))
        larger.append(contentsOf: bytes[start...])
        var head = head
        head.room = UInt32(truncatingIfNeeded: room)
        unsafe larger.withUnsafeMutableBytes { unsafe $0.storeBytes(of: head, as: head_table.self) }
        bytes = larger
    }
}

extension head_field {
    @inline(__always)
    init(name: Range<Int>, value: Range<Int>, mark: UInt32) {
        self.init(
            name_start: UInt32(truncatingIfNeeded: name.lowerBound),
            name_end: UInt32(truncatingIfNeeded: name.upperBound),
            value_start: UInt32(truncatingIfNeeded: value.lowerBound),
            value_end: UInt32(truncatingIfNeeded: value.upperBound), mark: mark)
    }

    var name: Range<Int> { Int(name_start)..<Int(name_end) }
    var value: Range<Int> { Int(value_start)..<Int(value_end) }
}
