internal import WSTransport

/// Retained values with their data, a piece at a time, and a copy of the whole store.
extension AdminDesk {
    /// A piece ends after this many values or bytes of payload.
    private static let pieceRows = 1000
    private static let pieceBytes = 1 << 20

    /// Answers the next values with all that belongs to them, and where to go on; each value is as stored at its moment.
    func exportRetained(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        let everything = try Self.everything()
        let filter = try filter(question) ?? everything
        var rows: [[UInt8]] = []
        var bytes = 0
        var last: Topic?
        scan(filter, after: question.after.flatMap { storedTopic(Array($0.utf8)) }) { message in
            rows.append(Self.describeWhole(message))
            bytes += message.payload.count
            last = message.topic
            return rows.count < Self.pieceRows && bytes < Self.pieceBytes
        } then: { end in
            then(
                end.map { isFinished in
                    AdminAnswer { writer in
                        writer.name("values")
                        writer.beginArray()
                        for row in rows { writer.raw(row.span) }
                        writer.endArray()
                        if !isFinished, let last { writer.member("next", last.name) }
                    }
                })
        }
    }

    private static func describeWhole(_ message: Message) -> [UInt8] {
        AdminAnswer { writer in
            writer.member("kind", name(of: message.kind))
            if message.expiry != 0 { writer.member("expires", message.expiry) }
            MessageObject.write(message, isSnapshot: false, to: &writer)
        }.json
    }

    /// Has the store copied by a thread of its own; one copy at a time.
    func backUp(_ question: AdminQuestion, _ then: @escaping Completion) throws(Refusal) {
        guard let path = question.path, path.hasPrefix("/") else {
            throw Refusal(.badRequest, "path: expected a path from the root on.")
        }
        guard !isBackingUp else { throw Refusal(.conflict, "A backup is being written already.") }
        isBackingUp = true
        var thread: ThreadHandle?
        let token = shard.park { [self] answer in
            // It has nothing left to do.
            thread?.join()
            isBackingUp = false
            let text = String(decoding: answer ?? [], as: UTF8.self)
            // A number of bytes, or what went wrong.
            guard let bytes = Int(text) else { return then(.failure(Refusal(.unavailable, "\(text)."))) }
            then(
                .success(
                    AdminAnswer { writer in
                        writer.member("path", path)
                        writer.member("bytes", bytes)
                    }))
        }
        let here = shard.reactor.remote
        do throws(Errno) {
            thread = try startThread(named: "backup") { [backup = facts.backup] in
                let answer: String
                do throws(StorageError) {
                    let bytes = try backup(path)
                    answer = "\(bytes)"
                } catch {
                    answer = "\(error)"
                }
                here.run { reactor in (reactor.attachment as? Shard)?.unpark(token, Array(answer.utf8)) }
            }
        } catch {
            shard.unpark(token, Array("cannot start a thread: \(error)".utf8))
        }
    }
}
