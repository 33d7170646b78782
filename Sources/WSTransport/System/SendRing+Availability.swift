internal import CLinux
internal import Glibc
internal import Synchronization

extension SendRing {
    /// Why there is no ring, as part of a sentence.
    package struct Unavailable: Error, Sendable, CustomStringConvertible {
        package let description: String
    }

    /// The result of trying to make rings and to pass two sends and two receives through them, once in this process.
    ///
    /// - Returns: whether the ring is one of those that were measured to cost less than a `send` or a `read` for each
    ///   socket.
    package static let availability: Result<Bool, Unavailable> = {
        // On a thread of its own that ends afterwards: closing a ring interrupts waiting on a thread that has used it.
        let answer = Mutex<Result<Bool, Unavailable>>(.failure(Unavailable(.wouldBlock)))
        do throws(Errno) {
            try startThread(named: "io_uring-probe") { answer.withLock { $0 = probe() } }.join()
        } catch {
            return .failure(Unavailable(error))
        }
        return answer.withLock { $0 }
    }()

    private static func probe() -> Result<Bool, Unavailable> {
        do throws(Errno) {
            var ring = try SendRing()
            return try ring.works()
                ? .success(ring.isModern)
                : .failure(Unavailable(description: "the kernel has one that does not send and receive as it should"))
        } catch {
            return .failure(Unavailable(error))
        }
    }

    /// Whether a socket with room takes its bytes, and one without room reports that at once.
    private mutating func works() throws(Errno) -> Bool {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        _ = try valueOrErrno { unsafe socketpair(AF_UNIX, type, 0, &ends) }
        let near = FileDescriptor(adopting: ends[0])
        let far = FileDescriptor(adopting: ends[1])
        let filling = [UInt8](repeating: 0, count: 1 << 16)
        unsafe filling.withUnsafeBytes { bytes in
            while unsafe (try? near.send(bytes)) ?? 0 > 0 {}
        }
        var isRefused = false
        var isElse = false
        unsafe [UInt8(1)].withUnsafeBytes { bytes in
            guard let byte = bytes.baseAddress else { return }
            unsafe put(byte, 1, to: near.rawValue, tag: 0)
            unsafe put(byte, 1, to: far.rawValue, tag: 1)
            run { incomplete in
                if incomplete.tag == 0, incomplete.result == Int(-EAGAIN) { isRefused = true } else { isElse = true }
            }
        }
        guard isRefused, !isElse, !isBroken else { return false }
        return try Self.receives([1], from: near.rawValue)
    }

    /// Whether a ring reads the bytes of a socket, and reports at once when there are no more.
    private static func receives(_ expected: [UInt8], from socket: Int32) throws(Errno) -> Bool {
        var ring = try ReceiveRing()
        ring.put(socket, tag: 0)
        guard ring.run() == 1, unsafe Array(try ring.bytes(at: 0)) == expected else { return false }
        ring.put(socket, tag: 0)
        guard ring.run() == 1 else { return false }
        do throws(Errno) {
            _ = unsafe try ring.bytes(at: 0)
            return false
        } catch {
            return error == .wouldBlock
        }
    }
}

extension SendRing.Unavailable {
    init(_ error: Errno) {
        let reason =
            switch error.rawValue {
            case EPERM, EACCES:
                "the kernel forbids it (kernel.io_uring_disabled, or the rules of the container)"
            case ENOSYS: "the kernel has none, or hides it"
            case ENOMEM: "the kernel gives no memory for it (the limit of locked memory, ulimit -l)"
            default: "the kernel refuses it"
            }
        description = "\(reason): \(error)"
    }
}
