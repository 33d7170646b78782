internal import Glibc
internal import WSTransport

/// All of standard input.
enum Input {
    /// Reads to the end; at most `maximum` bytes are allowed.
    static func read(maximum: Int) throws(Failure) -> [UInt8] {
        let bytes: [UInt8]
        do throws(Errno) { bytes = try FileDescriptor.readToEnd(STDIN_FILENO, atMost: maximum) } catch {
            throw .failed("standard input: \(error)")
        }
        guard bytes.count <= maximum else {
            throw .failed("standard input: more than \(maximum) bytes, the broker's maximum")
        }
        return bytes
    }
}
