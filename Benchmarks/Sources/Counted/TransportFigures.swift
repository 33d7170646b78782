import Broker
import Counting
import WSTransport

/// The protocol core alone, with the bytes in memory.
enum TransportFigures {
    static func record(in tally: Tally) throws {
        try recordFrames(in: tally)
        try recordMasking(in: tally)
        try recordText(in: tally)
        try recordUpgrade(in: tally)
        try recordEcho(in: tally)
    }

    private static func recordFrames(in tally: Tally) throws {
        for (name, length) in [("64B", 64), ("1KiB", 1024), ("64KiB", 65_536)] {
            var head: [UInt8] = []
            FrameEncoder.appendHeader(
                .text, payloadLength: length, maskingKey: ClientFrame.key, to: &head)
            try tally.record("frame/parse-head-\(name)", operations: 1000) {
                for _ in 0..<1000 {
                    head.withUnsafeBytes {
                        keep(FrameHeader.read($0, isMasked: true, allowsCompression: false))
                    }
                }
            }
        }
        let payload = [UInt8](repeating: 0x61, count: 64)
        var frame: [UInt8] = []
        frame.reserveCapacity(1024)
        try tally.record("frame/encode-64B", operations: 1000) {
            for _ in 0..<1000 {
                frame.removeAll(keepingCapacity: true)
                payload.withUnsafeBytes { FrameEncoder.appendFrame(.text, $0, to: &frame) }
            }
        }
    }

    private static func recordMasking(in tally: Tally) throws {
        for (name, count) in [("64B", 64), ("1KiB", 1024), ("64KiB", 65_536)] {
            var bytes = [UInt8](repeating: 0x61, count: count)
            try tally.record("unmask/\(name)", operations: 20) {
                for _ in 0..<20 { bytes.withUnsafeMutableBytes { ClientFrame.key.apply(to: $0) } }
            }
        }
    }

    private static func recordText(in tally: Tally) throws {
        let texts = [
            ("ascii", String(repeating: "temperature 21.5", count: 64)),
            ("two-byte", String(repeating: "жёлтый ", count: 78)),
            ("three-byte", String(repeating: "温度計の値", count: 68)),
            ("four-byte", String(repeating: "🙂🚀", count: 128)),
        ]
        for (name, text) in texts {
            let bytes = Array(text.utf8.prefix(1020))
            guard let whole = String(validating: bytes, as: UTF8.self).map({ Array($0.utf8) }) else {
                throw Harness.Failure(what: name)
            }
            try tally.record("utf8/\(name)-1020B", operations: 100) {
                for _ in 0..<100 { whole.withUnsafeBytes { keep(UTF8Validator.isValid($0)) } }
            }
        }
    }

    private static func recordUpgrade(in tally: Tally) throws {
        let head = Array(Harness.upgrade("/ws").utf8)
        try tally.record("http/parse-upgrade", operations: 50) {
            for _ in 0..<50 {
                try head.withUnsafeBytes { bytes in
                    guard let (head, _) = try HTTPHeadParser.parse(bytes, maximumHeadSize: 16 << 10) else {
                        throw Harness.Failure(what: "head")
                    }
                    keep(try Handshake.check(head))
                }
            }
        }
    }

    /// A message in and out again: parse, unmask, check, report; encode.
    private static func recordEcho(in tally: Tally) throws {
        for (name, count) in [("64B", 64), ("1KiB", 1024)] where tally.wants("machine/echo-\(name)") {
            let frame = ClientFrame.text(String(repeating: "e", count: count))
            var machine = WebSocketMachine(role: .server, maximumMessageSize: 1 << 20)
            var input = ClientFrame.repeated(frame, 50)
            let original = input
            var output: [UInt8] = []
            output.reserveCapacity(input.count)
            try tally.record(
                "machine/echo-\(name)", operations: 50,
                before: {
                    input.withUnsafeMutableBytes { $0.copyBytes(from: original) }
                    output.removeAll(keepingCapacity: true)
                }
            ) {
                input.withUnsafeMutableBytes { bytes in
                    var offset = 0
                    while let event = machine.next(bytes, &offset) {
                        guard case .message(let opcode, .input(let range)) = event else { return }
                        FrameEncoder.appendFrame(opcode, UnsafeRawBufferPointer(rebasing: bytes[range]), to: &output)
                    }
                }
            }
            guard output.count > 50 * count else { throw Harness.Failure(what: "echo") }
        }
    }
}
