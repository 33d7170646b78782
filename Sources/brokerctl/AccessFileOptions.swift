internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Cryptography
internal import Glibc

/// The choice between the running broker, which changes users and tokens, and a file that `brokerctl` changes itself.
struct AccessFileOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Change this file of users and tokens directly. (default: $BROKER_ACCESS_FILE, otherwise the running broker makes the change)",
            valueName: "path"))
    var file: String?

    /// The file; `nil` if the broker makes the change.
    var path: String? {
        if let file { return file }
        guard let value = unsafe getenv("BROKER_ACCESS_FILE"), unsafe value.pointee != 0 else { return nil }
        return unsafe String(cString: value)
    }

    /// Sends the request to the broker or applies it to the file; returns when the change is in force.
    func ask<Request: AccessFileRequest>(
        _ request: Request, _ connection: ConnectionOptions
    ) async throws -> Request.Answer {
        guard let path else {
            return try await Self.advised { try await connection.ask(request).answer }
        }
        do throws(AccessFileErrors) { return try request.apply(toFile: path) } catch {
            throw Failure.failed(error.description)
        }
    }

    /// All pages of a list.
    func list<Request: AccessFileRequest, Element>(
        _ connection: ConnectionOptions, _ part: (_ after: Int) -> Request
    ) async throws -> [Element] where Request.Answer == AdminList<Element> {
        var all: [Element] = []
        guard let path else {
            return try await Self.advised {
                let admin = try await AdminConnection(connection)
                var position: String?
                repeat {
                    let answer = try await admin.ask(part(position.flatMap { Int($0) } ?? 0)).answer
                    all += answer.elements
                    position = answer.next
                } while position != nil
                await admin.close()
                return all
            }
        }
        do throws(AccessFileErrors) {
            var position: String?
            repeat {
                let answer = try part(position.flatMap { Int($0) } ?? 0).apply(toFile: path)
                all += answer.elements
                position = answer.next
            } while position != nil
            return all
        } catch {
            throw Failure.failed(error.description)
        }
    }

    /// Adds advice to the error if no broker can be reached.
    private static func advised<Value>(_ body: () async throws -> Value) async throws -> Value {
        do { return try await body() } catch let failure as Failure where failure.status == 2 {
            throw Failure(status: 2, message: failure.message + "; to work without a broker, name the file with --file")
        }
    }
}

extension Array where Element: AdminObject {
    /// Prints it as JSON.
    ///
    /// - Parameter isAlone: whether to print the only element, without brackets.
    func printJSON(isAlone: Bool = false) {
        var writer = JSONWriter()
        if !isAlone { writer.beginArray() }
        for element in self {
            writer.beginObject()
            element.write(to: &writer)
            writer.endObject()
        }
        if !isAlone { writer.endArray() }
        Output.printJSON(writer.bytes)
    }
}

/// The source of a new password; it is never an argument, because other users of the machine could see it.
struct PasswordOptions: ParsableArguments {
    @Flag(help: "Read the password from the first line of standard input instead of asking for it.")
    var passwordStdin = false

    func read() throws(Failure) -> String {
        let password: String?
        if passwordStdin {
            var reader = try LineReader(path: "-")
            guard case .line(let bytes)? = try reader.next(), let text = String(validating: bytes, as: UTF8.self) else {
                throw .usage("--password-stdin: expected a line of UTF-8")
            }
            password = text
        } else {
            guard isatty(STDIN_FILENO) == 1 else {
                throw .usage("there is no terminal to ask for a password; use --password-stdin")
            }
            password = Self.ask("Password: ")
            guard password == Self.ask("Again: ") else { throw .failed("the passwords do not match; nothing was done") }
        }
        guard let password, 1...PasswordHash.maximumLength ~= password.utf8.count else {
            throw .failed("expected a password of 1 to \(PasswordHash.maximumLength) bytes; nothing was done")
        }
        return password
    }

    /// Reads a line from the terminal without showing it.
    static func ask(_ question: String) -> String? {
        var state = termios()
        guard unsafe tcgetattr(STDIN_FILENO, &state) == 0 else {
            Output.printPart(question)
            return readLine()
        }
        var silent = state
        silent.c_lflag &= ~tcflag_t(ECHO)
        // Before the question: anything typed earlier would be shown, and lost.
        unsafe _ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        Output.printPart(question)
        defer {
            unsafe _ = tcsetattr(STDIN_FILENO, TCSAFLUSH, &state)
            Output.printPart("\n")
        }
        return readLine()
    }
}
