internal import CLinux
internal import Glibc
internal import WSTransport

/// The lines of a file or of standard input, one at a time.
struct LineReader: ~Copyable {
    enum Line {
        case line([UInt8])
        /// The line has more than ``LineReader/maximumLength`` bytes, which are skipped.
        case tooLong
    }

    /// In bytes.
    var maximumLength = 1 << 20
    /// The number of the line read last, starting at 1.
    private(set) var number = 0
    private let path: String
    private let descriptor: Int32
    private var chunk = [UInt8](repeating: 0, count: 64 << 10)
    private var rest = 0..<0
    private var isAtEnd = false

    /// - Parameter path: the file; `-` for standard input.
    init(path: String) throws(Failure) {
        let file = path == "-" ? STDIN_FILENO : unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .failed("\(path): \(Self.reason)") }
        self.path = path == "-" ? "standard input" : path
        descriptor = file
    }

    deinit { if descriptor != STDIN_FILENO { close(descriptor) } }

    private static var reason: String { unsafe strerror(errno).map { unsafe String(cString: $0) } ?? "not readable" }

    /// Whether ``next()`` has a whole line without waiting for more.
    var hasLine: Bool { chunk[rest].contains(0x0A) }

    /// The next line without its line end; `nil` at the end of the input.
    mutating func next() throws(Failure) -> Line? {
        var line: [UInt8] = []
        var isTooLong = false
        while true {
            if rest.isEmpty {
                guard try fill() else {
                    guard !line.isEmpty || isTooLong else { return nil }
                    number += 1
                    return isTooLong ? .tooLong : .line(line)
                }
            }
            let end = chunk[rest].firstIndex(of: 0x0A)
            let part = rest.lowerBound..<(end ?? rest.upperBound)
            rest = (end.map { $0 + 1 } ?? rest.upperBound)..<rest.upperBound
            if line.count + part.count > maximumLength {
                isTooLong = true
                line = []
            }
            if !isTooLong { line += chunk[part] }
            guard end != nil else { continue }
            number += 1
            return isTooLong ? .tooLong : .line(line)
        }
    }

    /// Reads more; returns `false` at the end of the input.
    private mutating func fill() throws(Failure) -> Bool {
        let descriptor = descriptor
        while !isAtEnd {
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe read(descriptor, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = 0..<count
                return true
            }
            if count == 0 {
                isAtEnd = true
            } else if errno != EINTR {
                throw .failed("\(path): \(Self.reason)")
            }
        }
        return false
    }
}

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
