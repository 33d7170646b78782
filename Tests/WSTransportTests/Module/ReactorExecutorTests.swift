import Synchronization
import Testing

@testable import WSTransport

@Suite("ws: closures and listeners on the connection's thread", .timeLimit(.minutes(10)))
struct ReactorExecutorTests {
    /// Messages that a closure sends at once do not overtake those that it has sent in other ways.
    @Test func keepsTheOrderOfWhatIsSent() async throws {
        let harness = try EchoServer { routing, _ in
            routing.append(
                "/order",
                ws.upgrade(.patient) { (socket: WebSocket) async throws in
                    let room = Broadcast()
                    room.add(socket)
                    for round in 0..<100 {
                        try await socket.send("\(round) first")
                        room.send("\(round) broadcast")
                        try await socket.send("\(round) after it")
                        // From another thread.
                        try await Task.detached { try await socket.send("\(round) detached") }.value
                        try await socket.sendInParts(WS.TEXT) { writer in
                            try await writer.write("\(round) in ")
                            try await writer.write("parts")
                        }
                        if try !socket.trySend("\(round) last") { try await socket.send("\(round) last") }
                    }
                    try socket.close()
                })
        }
        let socket = try await ws.open(harness.url + "/order", options: .patient)
        var texts: [String] = []
        for try await message in socket.messages { texts.append(message.data?.text ?? "") }
        let expected = (0..<100).flatMap { round in
            ["first", "broadcast", "after it", "detached", "in parts", "last"].map { "\(round) \($0)" }
        }
        #expect(texts == expected)
    }

    /// What a closure sends counts as unsent until the bytes of the turn have been sent.
    @Test func countsWhatIsSentInATurn() async throws {
        var options = UpgradeOptions.patient
        options.executor = .reactor
        let harness = try EchoServer { [options] routing, log in
            routing.append(
                "/amounts",
                ws.upgrade(options) { (socket: WebSocket) async throws in
                    for try await message in socket.messages {
                        log.add("\(socket.bufferedAmount)")
                        try await socket.send(message)
                        try await socket.send([UInt8](repeating: 7, count: 1000))
                        log.add("\(socket.bufferedAmount)")
                    }
                })
        }
        let socket = try await ws.open(harness.url + "/amounts", options: .patient)
        for _ in 0..<3 {
            try await socket.send("four")
            #expect(try await socket.receive()?.length == 4)
            #expect(try await socket.receive()?.length == 1000)
        }
        #expect(harness.log.all == ["0", "1004", "0", "1004", "0", "1004"])
    }

    /// A listener that waits does not delay the listeners of other sockets, however many wait.
    @Test func aWaitingListenerDelaysNoOtherSocket() async throws {
        let harness = try EchoServer { routing, log in
            routing.append(
                "/listen",
                ws.upgrade(.patient) { socket in
                    socket.onmessage = { message in
                        log.add("called")
                        // All continue when the tenth has been called.
                        await log.wait(for: 10)
                        try? await socket.send(message)
                    }
                })
        }
        var sockets: [WebSocket] = []
        for _ in 0..<10 { sockets.append(try await ws.open(harness.url + "/listen", options: .patient)) }
        for round in 0..<3 {
            for (index, socket) in sockets.enumerated() { try await socket.send("\(round) \(index)") }
            for (index, socket) in sockets.enumerated() {
                #expect(try await socket.receive()?.data?.text == "\(round) \(index)")
            }
        }
    }

    /// What makes the waits of a closure cheap: a task, its parts and its continuations are known to be the same.
    @Test func marksATaskInTheSameWayWhateverShowsIt() async {
        let executor = MarkingExecutor()
        let seen = Mutex<TaskMark?>(nil)
        let other = Task {}
        let task = Task(executorPreference: executor) {
            await withUnsafeContinuation { (waiter: UnsafeContinuation<Void, Never>) in
                seen.withLock { $0 = TaskMark(waiter) }
                waiter.resume()
            }
        }
        await task.value
        let mark = TaskMark(task)
        #expect(mark != nil && seen.withLock { $0 } == mark)
        #expect(executor.marks.withLock { $0.first } == mark)
        #expect(TaskMark(other) != mark)
        await other.value
    }
}

/// Runs the parts of tasks on Swift's threads, and keeps their marks.
private final class MarkingExecutor: TaskExecutor {
    let marks = Mutex<[TaskMark?]>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        marks.withLock { $0.append(TaskMark(job)) }
        globalConcurrentExecutor.enqueue(ExecutorJob(job))
    }
}
