internal import CLinux
internal import Glibc
internal import Synchronization

/// One GET on the caller's thread, which waits for it; for small documents that are read now and then.
///
/// Follows no redirects, keeps no connection, and uses no proxy. Without TLS it connects only to this machine.
package struct PlainFetch: ~Copyable {
    /// Why there is no document, as a phrase.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        /// What went wrong.
        package let description: String

        init(_ description: String) { self.description = description }
    }

    /// The maximum size of a response's head, in bytes.
    private static let maximumHead = 16 << 10

    private let deadline: MonotonicTime
    /// Called regularly while it waits.
    private let beat: () -> Void
    private let descriptor: FileDescriptor
    private var session: TLSSession?
    /// Received bytes, decrypted.
    private var input: [UInt8] = []
    private var isAtEnd = false

    /// Gets the body of a response with status 200.
    ///
    /// - Parameters:
    ///   - tls: verifies an `https` server; `nil` to accept the authorities that the system trusts.
    ///   - timeout: the time limit for everything, including the resolver and all addresses of a name, in nanoseconds.
    ///   - maximumBody: the maximum size of the body, in bytes; a longer one is a failure.
    ///   - beat: called while it waits, several times a second.
    package static func get(
        _ url: WebSocketURL, tls: TLSContext? = nil, timeout: Int64, maximumBody: Int,
        beat: @escaping () -> Void = {}
    ) throws(Failure) -> [UInt8] {
        let deadline = MonotonicTime.now.advanced(byNanoseconds: timeout)
        let addresses = try addresses(of: url.endpoint, deadline, beat)
        if case .internet(_, _, isSecure: false) = url.endpoint, !addresses.allSatisfy(\.isLoopback) {
            // Even if the resolver has another address for `localhost`.
            throw Failure("without TLS, only this machine is asked")
        }
        var fetch = try connect(addresses, deadline, beat)
        try fetch.secure(url.endpoint, tls)
        return try fetch.ask(url, maximumBody)
    }

    private init(_ descriptor: consuming FileDescriptor, _ deadline: MonotonicTime, _ beat: @escaping () -> Void) {
        self.descriptor = descriptor
        self.deadline = deadline
        self.beat = beat
    }

    /// The addresses of a host; another thread calls the system's resolver, which knows no deadline.
    private static func addresses(
        of endpoint: Endpoint, _ deadline: MonotonicTime, _ beat: () -> Void
    ) throws(Failure) -> [SocketAddress] {
        let answer = ResolverAnswer()
        Resolver.resolve(endpoint) { answer.give($0) }
        try wait(for: POLLIN, on: answer.alarm, until: deadline, beat)
        do throws(ConnectError) { return try answer.taken?.get() ?? [] } catch { throw Failure("\(error)") }
    }

    /// Connects to the first address that answers; each but the last gets only a part of the time.
    package static func connect(
        _ addresses: [SocketAddress], _ deadline: MonotonicTime, _ beat: @escaping () -> Void = {}
    ) throws(Failure) -> PlainFetch {
        var failure = Failure("there is no address")
        for (number, address) in addresses.enumerated() {
            let now = MonotonicTime.now
            let share = deadline.nanoseconds(since: now) / Int64(addresses.count - number)
            do throws(Errno) {
                let fetch = PlainFetch(try Socket.connecting(to: address), deadline, beat)
                do throws(Failure) {
                    try wait(
                        for: POLLOUT, on: fetch.descriptor.rawValue, until: now.advanced(byNanoseconds: share), beat)
                } catch {
                    throw Errno(rawValue: ETIMEDOUT)
                }
                if let error = Socket.pendingError(fetch.descriptor.rawValue) { throw error }
                return fetch
            } catch {
                failure = Failure("\(error)")
            }
        }
        throw failure
    }

    private mutating func secure(_ endpoint: Endpoint, _ tls: TLSContext?) throws(Failure) {
        guard case .internet(let host, _, isSecure: true) = endpoint else { return }
        let context: TLSContext
        do throws(TLSFileError) { context = if let tls { tls } else { try TLSContext.client() } } catch {
            throw Failure("\(error)")
        }
        guard let session = TLSSession(client: context, host: host, pipe: TLSPipe()) else {
            throw Failure("the name \(host) cannot be verified")
        }
        self.session = session
        session.start()
        try flush(session)
        while !session.isEstablished {
            guard !isAtEnd else { throw Failure("the server closed the connection") }
            try receive()
        }
    }

    // MARK: Request and response

    private mutating func ask(_ url: WebSocketURL, _ maximumBody: Int) throws(Failure) -> [UInt8] {
        var request = "GET \(url.target) HTTP/1.1\r\nHost: \(url.endpoint.hostField)\r\n"
        request += "Accept: application/json\r\nUser-Agent: broker\r\nConnection: close\r\n\r\n"
        try send(Array(request.utf8))
        var head = try readHead()
        // RFC 9110 §15.2: interim answers may precede the final one.
        while 100..<200 ~= head.status { head = try readHead() }
        guard head.status == 200 else {
            let isElsewhere = 300..<400 ~= head.status && head.status != 304
            throw Failure("the server answered \(head.status)\(isElsewhere ? ", and redirects are not followed" : "")")
        }
        if head.fields.first("Transfer-Encoding") != nil { return try readChunks(head, maximumBody) }
        guard let length = head.fields.first("Content-Length") else { return try readToTheEnd(maximumBody) }
        guard let count = Int(length), count >= 0 else { throw Failure("the length of the answer is malformed") }
        guard count <= maximumBody else { throw .tooLong(maximumBody) }
        while input.count < count { try receiveMore() }
        return Array(input.prefix(count))
    }

    private mutating func readHead() throws(Failure) -> HTTPResponseHead {
        while true {
            do throws(HTTPParseError) {
                let found = try unsafe input.span.bytes.withUnsafeBytes { (bytes) throws(HTTPParseError) in
                    try unsafe HTTPHeadParser.parseResponse(bytes, maximumHeadSize: Self.maximumHead)
                }
                if let found {
                    input.removeFirst(found.byteCount)
                    return found.head
                }
            } catch {
                throw Failure("the answer is malformed: \(error)")
            }
            try receiveMore()
        }
    }

    private mutating func readChunks(_ head: HTTPResponseHead, _ maximumBody: Int) throws(Failure) -> [UInt8] {
        guard head.fields.list("Transfer-Encoding").map({ $0.lowercased() }) == ["chunked"] else {
            throw Failure("the answer is encoded in an unknown way")
        }
        var decoder = ChunkedDecoder()
        var body: [UInt8] = []
        while true {
            var offset = 0
            while true {
                let event: ChunkedDecoder.Event?
                do throws(HTTPParseError) {
                    event = try unsafe input.span.bytes.withUnsafeBytes { (bytes) throws(HTTPParseError) in
                        try unsafe decoder.next(bytes, &offset)
                    }
                } catch {
                    throw Failure("the answer is malformed: \(error)")
                }
                guard let event else { break }
                guard case .data(let range) = event else { return body }
                body += input[range]
                guard body.count <= maximumBody else { throw .tooLong(maximumBody) }
            }
            input.removeAll(keepingCapacity: true)
            try receiveMore()
        }
    }

    private mutating func readToTheEnd(_ maximumBody: Int) throws(Failure) -> [UInt8] {
        while !isAtEnd {
            guard input.count <= maximumBody else { throw .tooLong(maximumBody) }
            try receive()
        }
        guard input.count <= maximumBody else { throw .tooLong(maximumBody) }
        return input
    }

    // MARK: The connection

    private mutating func receiveMore() throws(Failure) {
        guard !isAtEnd else { throw Failure("the answer ends too early") }
        try receive()
    }

    private mutating func receive() throws(Failure) {
        try wait(for: POLLIN)
        var bytes = [UInt8](repeating: 0, count: 16 << 10)
        let count: Int
        do throws(Errno) {
            var space = bytes.mutableSpan
            count = try unsafe space.withUnsafeMutableBytes { (space) throws(Errno) in
                try unsafe descriptor.read(into: space)
            }
        } catch {
            if error == .wouldBlock { return }
            throw Failure("\(error)")
        }
        guard count > 0 else {
            // Without `close_notify`, an attacker on the network may have cut it short.
            if let session, session.isEstablished, !session.isEndedByPeer { throw Failure("the answer ends too early") }
            isAtEnd = true
            return
        }
        guard let session else {
            input += bytes[..<count]
            return
        }
        unsafe bytes.withUnsafeBytes { all in
            let plaintext = unsafe session.receive(UnsafeRawBufferPointer(rebasing: all[..<count]))
            unsafe input.append(contentsOf: plaintext)
        }
        if let failure = session.failure { throw Failure("\(failure)") }
        try flush(session)
        if session.isEndedByPeer { isAtEnd = true }
    }

    private func send(_ bytes: [UInt8]) throws(Failure) {
        guard let session else { return try write(bytes) }
        guard unsafe bytes.withUnsafeBytes({ unsafe session.send($0) }) else {
            throw Failure(session.failure.map { "\($0)" } ?? "the connection ended")
        }
        try flush(session)
    }

    private func flush(_ session: TLSSession) throws(Failure) {
        let bytes = unsafe session.pipe.withOutput { unsafe Array($0) }
        session.pipe.clearOutput()
        try write(bytes)
        if let failure = session.failure { throw Failure("\(failure)") }
    }

    private func write(_ bytes: [UInt8]) throws(Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            do throws(Errno) {
                let sent = try unsafe rest.span.bytes.withUnsafeBytes { (bytes) throws(Errno) in
                    try unsafe descriptor.send(bytes)
                }
                rest = rest.dropFirst(sent)
            } catch {
                guard error == .wouldBlock else { throw Failure("\(error)") }
                try wait(for: POLLOUT)
            }
        }
    }

    /// Waits until the socket is ready, or the time is over.
    private borrowing func wait(for events: Int32) throws(Failure) {
        try Self.wait(for: events, on: descriptor.rawValue, until: deadline, beat)
    }

    /// The longest wait between two calls of `beat`, in milliseconds.
    private static let pause: Int64 = 200

    private static func wait(
        for events: Int32, on descriptor: Int32, until deadline: MonotonicTime, _ beat: () -> Void
    ) throws(Failure) {
        while true {
            let left = deadline.nanoseconds(since: .now) / 1_000_000
            guard left > 0 else { throw Failure("it took too long") }
            var entry = pollfd(fd: descriptor, events: Int16(truncatingIfNeeded: events), revents: 0)
            let count = unsafe poll(&entry, 1, Int32(clamping: min(left, pause)))
            if count > 0 { return }
            if count < 0, Errno.current != .interrupted { throw Failure("\(Errno.current)") }
            beat()
        }
    }
}

/// The resolver's answer, which may come when nothing waits for it any more.
private final class ResolverAnswer: Sendable {
    /// Readable when the answer has arrived.
    let alarm = eventfd(0, Int32(EFD_CLOEXEC))
    private let result = Mutex<Result<[SocketAddress], ConnectError>?>(nil)

    deinit { Socket.close(alarm) }

    func give(_ answer: Result<[SocketAddress], ConnectError>) {
        result.withLock { $0 = answer }
        _ = eventfd_write(alarm, 1)
    }

    /// `nil` if it has not arrived yet.
    var taken: Result<[SocketAddress], ConnectError>? { result.withLock { $0 } }
}

extension PlainFetch.Failure {
    fileprivate static func tooLong(_ maximum: Int) -> Self { Self("the answer has more than \(maximum) bytes") }
}
