import Glibc
import WSTransport

/// Speaks WebSocket by hand: the handshake, then one message after another on the raw stream.
///
///     raw-frames URL TEXT…
///
/// Prints each received message, including PINGs and their answers.
@main
struct RawFrames {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        guard let url = arguments.first else {
            print("usage: raw-frames URL TEXT…")
            exit(64)
        }
        let stream = try await ws.connect(url)
        for text in arguments.dropFirst() {
            try await ws.Message(text).sendTo(stream)
            try await show(stream)
        }
        let ping = ws.Message(type: ws.PING)
        ping.write("are you there?")
        try await ping.sendTo(stream)
        try await show(stream)
        let close = ws.Message(type: ws.CLOSE)
        close.write([0x03, 0xE8])
        try await close.sendTo(stream)
        try await show(stream)
        await stream.close()
    }

    static func show(_ stream: any ByteStream) async throws {
        let message = ws.Message()
        try await message.readFrom(stream)
        let content = message.type == ws.CLOSE ? "\(message.body)" : String(decoding: message.body, as: UTF8.self)
        print("\(message.type): \(content)")
    }
}
