internal import CLinux
internal import Glibc

/// All of standard input.
enum Input {
    /// Reads to the end; at most `maximum` bytes are allowed.
    static func read(maximum: Int) throws(Failure) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe Glibc.read(STDIN_FILENO, $0.baseAddress, $0.count)
            }
            if count == 0 { return bytes }
            if count > 0 {
                bytes += chunk[..<count]
                guard bytes.count <= maximum else {
                    throw .failed("standard input: more than \(maximum) bytes, the broker's maximum")
                }
            } else if errno != EINTR {
                throw .failed(
                    "standard input: \(unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "not readable")")
            }
        }
    }
}
