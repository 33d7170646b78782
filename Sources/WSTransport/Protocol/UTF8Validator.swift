internal import CSIMD

/// Validates UTF-8 that arrives in pieces (RFC 3629; RFC 6455 §8.1).
///
/// It stores how many continuation bytes are missing and the bounds of the next one, so that an error is found at the
/// first byte that rules out every valid text: after `ED` already at `A0`. Vector instructions, if the machine has
/// them, skip valid text; the rest, and every error, is examined byte by byte.
package struct UTF8Validator: Sendable {
    private var due: UInt8 = 0
    private var lowest: UInt8 = 0x80
    private var highest: UInt8 = 0xBF

    /// Makes a validator before the first piece.
    package init() {}

    /// Whether the bytes so far end with a whole character.
    package var isComplete: Bool { due == 0 }

    /// Whether all of `bytes` is UTF-8.
    package static func isValid(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var validator = UTF8Validator()
        return unsafe validator.append(bytes) && validator.isComplete
    }

    /// Takes the next piece.
    ///
    /// Returns `false` as soon as no continuation could make the text valid; the validator must not be used after that.
    package mutating func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let base = bytes.baseAddress else { return true }
        var start = 0
        while due != 0, start < bytes.count {
            guard unsafe step(base.load(fromByteOffset: start, as: UInt8.self)) else { return false }
            start &+= 1
        }
        // Most text is ASCII. A few other bytes are examined sooner than a vector is filled.
        start = unsafe Self.endOfASCII(base, from: start, count: bytes.count)
        if bytes.count &- start >= 24 {
            start &+= unsafe utf8_sound(base.assumingMemoryBound(to: UInt8.self) + start, bytes.count &- start)
        }
        return unsafe appendByScalars(base, from: start, count: bytes.count)
    }

    /// Takes the bytes from `start` to `count` one scalar at a time.
    mutating func appendByScalars(_ base: UnsafeRawPointer, from start: Int, count: Int) -> Bool {
        var index = start
        while index < count {
            if due == 0 {
                index = unsafe Self.endOfASCII(base, from: index, count: count)
                guard unsafe Self.skipWholeSequences(base, &index, count: count) else { return false }
                guard index < count else { return true }
            }
            guard unsafe step(base.load(fromByteOffset: index, as: UInt8.self)) else { return false }
            index &+= 1
        }
        return true
    }

    private static func endOfASCII(_ base: UnsafeRawPointer, from start: Int, count: Int) -> Int {
        let highBits: UInt64 = 0x8080_8080_8080_8080
        var index = start
        while index &+ 32 <= count {
            let first = unsafe base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let second = unsafe base.loadUnaligned(fromByteOffset: index &+ 8, as: UInt64.self)
            let third = unsafe base.loadUnaligned(fromByteOffset: index &+ 16, as: UInt64.self)
            let fourth = unsafe base.loadUnaligned(fromByteOffset: index &+ 24, as: UInt64.self)
            guard (first | second | third | fourth) & highBits == 0 else { break }
            index &+= 32
        }
        while index &+ 8 <= count {
            let word = unsafe base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            let high = UInt64(littleEndian: word) & highBits
            guard high == 0 else { return index &+ high.trailingZeroBitCount / 8 }
            index &+= 8
        }
        while index < count, unsafe base.load(fromByteOffset: index, as: UInt8.self) < 0x80 { index &+= 1 }
        return index
    }

    /// Skips sequences of 2 to 4 bytes that are complete before `count`; returns `false` if one of them is invalid.
    ///
    /// Stops before ASCII and before a sequence that `count` might cut.
    private static func skipWholeSequences(_ base: UnsafeRawPointer, _ index: inout Int, count: Int) -> Bool {
        while index &+ 4 <= count {
            let word = unsafe UInt32(littleEndian: base.loadUnaligned(fromByteOffset: index, as: UInt32.self))
            let lead = word & 0xFF
            if lead < 0x80 { return true }
            if lead < 0xE0 {
                guard lead >= 0xC2, word & 0xC000 == 0x8000 else { return false }
                index &+= 2
            } else if lead < 0xF0 {
                guard word & 0xC0_C000 == 0x80_8000 else { return false }
                let scalar = (lead & 0x0F) << 12 | (word >> 8 & 0x3F) << 6 | (word >> 16 & 0x3F)
                // Below U+0800 the sequence is too long, and U+D800–DFFF are surrogates.
                guard scalar >= 0x800, scalar & 0xF800 != 0xD800 else { return false }
                index &+= 3
            } else {
                guard lead < 0xF5, word & 0xC0C0_C000 == 0x8080_8000 else { return false }
                let top = (lead & 0x07) << 2 | (word >> 12 & 0x03)
                // Below U+10000 the sequence is too long, and Unicode ends at U+10FFFF.
                guard top >= 1, top <= 0x10 else { return false }
                index &+= 4
            }
        }
        return true
    }

    private mutating func step(_ byte: UInt8) -> Bool {
        if due != 0 {
            guard byte >= lowest, byte <= highest else { return false }
            due &-= 1
            lowest = 0x80
            highest = 0xBF
            return true
        }
        switch byte {
        case 0x00...0x7F: return true
        case 0xC2...0xDF: due = 1
        case 0xE0...0xEF:
            due = 2
            if byte == 0xE0 { lowest = 0xA0 }
            if byte == 0xED { highest = 0x9F }
        case 0xF0...0xF4:
            due = 3
            if byte == 0xF0 { lowest = 0x90 }
            if byte == 0xF4 { highest = 0x8F }
        default: return false
        }
        return true
    }
}
