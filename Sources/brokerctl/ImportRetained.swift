internal import ArgumentParser
internal import Broker
internal import WSTransport

/// `brokerctl retained import [FILE|-]`.
struct ImportRetained: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Publishes retained values from lines of JSON, and reports the lines that were refused.",
        discussion: """
            A line is what `retained export` prints, or less: {"topic":"a/b","data":21.5}. Data that is not a string is \
            published as JSON, a string as text, or as bytes if "encoding" is "base64". Values get new numbers and \
            times; expired values are left out. A refused line does not stop the others.

            Examples:
              brokerctl retained import values.jsonl
              zcat sensors.jsonl.gz | brokerctl retained import
            """)

    @OptionGroup(title: "Connection options") var connection: ConnectionOptions

    @Argument(help: "The file; by default, or with -, standard input.")
    var file = "-"

    /// The maximum number of lines, and of their bytes, in flight at once.
    private static let window = 256
    private static let windowBytes = 4 << 20
    /// How many errors are printed; the rest are counted.
    private static let maximumErrors = 1000

    /// The outcome of the lines so far.
    private struct Tally {
        var imported = 0
        var expired = 0
        var failed = 0
        var errors: [(line: Int, message: String)] = []

        mutating func fail(_ line: Int, _ message: String) {
            failed += 1
            if errors.count < ImportRetained.maximumErrors { errors.append((line, message)) }
        }
    }

    func run() async throws {
        var lines = try LineReader(path: file)
        let admin = try await AdminConnection(connection)
        lines.maximumLength = try await admin.ask(StatusRequest()).answer.maximumQuestion - 64
        var tally = Tally()
        var pending: [Int: Int] = [:]
        var pendingBytes = 0
        while let line = try lines.next() {
            let request: [UInt8]
            switch line {
            case .line(let bytes):
                if bytes.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }) { continue }
                do throws(Failure) {
                    request = try Self.question(bytes, line: lines.number)
                } catch {
                    tally.fail(lines.number, error.message)
                    continue
                }
            case .tooLong:
                tally.fail(lines.number, "longer than the broker accepts, \(lines.maximumLength) bytes (too-large)")
                continue
            }
            while pending.count >= Self.window || (pendingBytes > Self.windowBytes && !pending.isEmpty) {
                pendingBytes -= try await settle(admin, &pending, &tally)
            }
            pending[lines.number] = request.count
            pendingBytes += request.count
            try await admin.send(request)
        }
        while !pending.isEmpty { _ = try await settle(admin, &pending, &tally) }
        await admin.close()
        try report(tally)
    }

    /// Receives the next answer; returns the size of its request in bytes.
    private func settle(
        _ admin: AdminConnection, _ pending: inout [Int: Int], _ tally: inout Tally
    ) async throws -> Int {
        let reply = try AdminReply<RetainedSetRequest.Answer>(understanding: try await admin.receive())
        do throws(Failure) {
            switch try reply.success {
            case .expired: tally.expired += 1
            case .set: tally.imported += 1
            }
        } catch {
            tally.fail(reply.id, error.message)
        }
        return pending.removeValue(forKey: reply.id) ?? 0
    }

    /// The request for a line; the line's number is the request's id.
    private static func question(_ line: [UInt8], line number: Int) throws(Failure) -> [UInt8] {
        var refusal: String?
        do throws(JSONError) {
            let object = try JSONObject.parse(line.span, maximumDepth: JSONScanner.maximumDepth + 1)
            if object.kind(of: "topic") != .string { refusal = "topic: expected a string" }
            if object.kind(of: "data") == nil { refusal = refusal ?? "data is missing" }
            if refusal == nil {
                do throws(JSONError) {
                    return try RetainedSetRequest(object).encoded(id: number)
                } catch {
                    refusal = "\(error)."
                }
            }
        } catch {
            refusal = "\(error)"
        }
        throw .failed("\(refusal ?? "") (bad-request)")
    }

    private func report(_ tally: Tally) throws {
        if connection.json {
            var writer = JSONWriter()
            writer.beginObject()
            writer.member("imported", tally.imported)
            writer.member("expired", tally.expired)
            writer.member("failed", tally.failed)
            writer.name("errors")
            writer.beginArray()
            for error in tally.errors {
                writer.beginObject()
                writer.member("line", error.line)
                writer.member("message", error.message)
                writer.endObject()
            }
            writer.endArray()
            writer.endObject()
            Output.print(writer.bytes)
        } else {
            for error in tally.errors { Output.complain("line \(error.line): \(Output.printable(error.message))") }
            if tally.failed > tally.errors.count {
                Output.complain("and \(tally.failed - tally.errors.count) more")
            }
            let expired = tally.expired > 0 ? ", expired: \(tally.expired)" : ""
            let failed = tally.failed > 0 ? ", failed: \(tally.failed)" : ""
            Output.print("imported: \(tally.imported)\(expired)\(failed)")
        }
        if tally.failed > 0 { throw ExitCode(1) }
    }
}
