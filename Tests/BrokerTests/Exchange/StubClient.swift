import Foundation
import Testing

@testable import Broker
@testable import WSTransport

/// The broker's objects for a JSON client, as far as the tests need them.
struct Notice: Decodable, Equatable {
    var op: String?
    var client: String?
    var id: Int?
    var code: String?
    var topic: String?
    var filter: String?
    var seq: UInt64?
    var data: String?
    var retained: Bool?
    var retain: Bool?
    var removed: Bool?
    var expired: Bool?
    var expires: Int64?
    var stored: Bool?
    var since: UInt64?
    var missed: Int?
    var undone: Bool?
    var epoch: UInt64?
    var replyTo: String?
}

extension Notice {
    init(json: [UInt8]) throws { self = try JSONDecoder().decode(Notice.self, from: Data(json)) }

    /// Whether it says what a message is: its data, whether it has become the value, or was its removal or expiry.
    func tells(_ message: Message) -> Bool {
        topic == message.topic.name && removed == (message.isRemoval ? true : nil)
            && data
                == (message.isRemoval && message.payload.isEmpty
                    ? nil : String(decoding: message.payload, as: UTF8.self))
            && expired == (message.isExpiry ? true : nil)
            && retain == (message.isRetained && !message.isRemoval && retained == nil ? true : nil)
            && expires == (message.isRemoval || message.expiry == 0 ? nil : message.expiry)
    }
}

/// The peer's end of a connection: blocking reads with a deadline.
final class StubClient {
    struct Frame: Equatable {
        let opcode: UInt8
        let payload: [UInt8]

        var text: String { String(decoding: payload, as: UTF8.self) }
    }

    private let descriptor: Int32
    /// Lives as long as its stubs.
    private let harness: ExchangeHarness
    /// The number of its client, after the welcome.
    var client: UInt64 = 0
    private var bytes: [UInt8] = []
    private var start = 0

    init(descriptor: Int32, harness: ExchangeHarness) {
        self.descriptor = descriptor
        self.harness = harness
        var patience = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    deinit { Glibc.close(descriptor) }

    /// Sends bytes as they are.
    func write(_ bytes: [UInt8]) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            guard count > 0 else { throw NothingCame() }
            rest = rest.dropFirst(count)
        }
    }

    /// Sends a message.
    func send(_ text: String, _ opcode: Opcode = .text) throws {
        try write(FrameEncoder.frame(opcode, Array(text.utf8), maskingKey: MaskingKey(1, 2, 3, 4)))
    }

    /// The next bytes; `nil` if the broker has closed.
    private func more() throws -> Bool {
        var space = [UInt8](repeating: 0, count: 65536)
        let count = recv(descriptor, &space, space.count, 0)
        if count < 0, errno == ECONNRESET { return false }
        guard count >= 0 else { throw NothingCame() }
        bytes.append(contentsOf: space[..<count])
        return count > 0
    }

    /// The next `count` bytes; `nil` if the broker has closed before.
    func read(_ count: Int) throws -> [UInt8]? {
        while bytes.count - start < count {
            guard try more() else { return nil }
        }
        defer {
            start += count
            if start > 1 << 16 {
                bytes.removeFirst(start)
                start = 0
            }
        }
        return Array(bytes[start..<start + count])
    }

    /// Everything until the broker closes.
    func readToEnd() throws -> [UInt8] {
        while try more() {}
        defer { start = bytes.count }
        return Array(bytes[start...])
    }

    /// The bytes up to and with `end`.
    func read(until end: String) throws -> String {
        var line: [UInt8] = []
        while !line.ends(with: Array(end.utf8)) { line += try #require(try read(1)) }
        return String(decoding: line, as: UTF8.self)
    }

    /// The next frame, which must be whole and not masked; `nil` if the broker has closed.
    func frame() throws -> Frame? {
        guard let head = try read(2) else { return nil }
        try #require(head[0] & 0xF0 == 0x80 && head[1] & 0x80 == 0)
        var length = Int(head[1])
        let more = length == 126 ? 2 : length == 127 ? 8 : 0
        if more > 0 {
            guard let extended = try read(more) else { return nil }
            length = extended.reduce(0) { $0 << 8 | Int($1) }
        }
        guard let payload = try read(length) else { return nil }
        return Frame(opcode: head[0] & 0x0F, payload: payload)
    }

    /// The frames that have arrived; they end with `nil` if the broker has closed.
    ///
    /// - Parameter maximum: the most bytes to take from the socket.
    func receivedFrames(_ maximum: Int) -> [Frame?] {
        var space = [UInt8](repeating: 0, count: maximum)
        let count = recv(descriptor, &space, maximum, Int32(MSG_DONTWAIT))
        let isClosed = count == 0 || count < 0 && errno == ECONNRESET
        if count > 0 { bytes.append(contentsOf: space[..<count]) }
        var frames: [Frame?] = []
        while let next = bufferedFrameLength(), let frame = try? frame(), next > 0 { frames.append(frame) }
        if isClosed { frames.append(nil) }
        return frames
    }

    /// The length of the frame at the beginning of the buffer; `nil` if it is incomplete.
    private func bufferedFrameLength() -> Int? {
        guard bytes.count - start >= 2 else { return nil }
        var length = Int(bytes[start + 1])
        let more = length == 126 ? 2 : length == 127 ? 8 : 0
        guard bytes.count - start >= 2 + more else { return nil }
        if more > 0 { length = bytes[(start + 2)..<(start + 2 + more)].reduce(0) { $0 << 8 | Int($1) } }
        return bytes.count - start >= 2 + more + length ? 2 + more + length : nil
    }

    /// Disconnects without a CLOSE.
    func leave() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// The next message from the broker to a JSON client.
    func receive() throws -> Notice {
        let frame = try #require(try frame())
        try #require(frame.opcode == 1)
        return try JSONDecoder().decode(Notice.self, from: Data(frame.payload))
    }

    /// The next message that `isWanted` accepts; `nil` if the broker has closed.
    func next(_ isWanted: (Notice) -> Bool) throws -> Notice? {
        while let frame = try frame(), frame.opcode == 1 {
            let notice = try Notice(json: frame.payload)
            if isWanted(notice) { return notice }
        }
        return nil
    }

    /// Sends a command and returns everything up to its answer, which has the same `id`.
    @discardableResult
    func ask(_ command: String, id: Int) throws -> [Notice] {
        try send(command)
        var notices: [Notice] = []
        repeat { notices.append(try receive()) } while notices.last?.id != id
        return notices
    }
}

extension Array where Element: Equatable {
    func ends(with other: [Element]) -> Bool { count >= other.count && Array(suffix(other.count)) == other }
}
