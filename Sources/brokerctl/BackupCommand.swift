internal import ArgumentParser
internal import Broker
internal import CLinux
internal import Glibc

/// `brokerctl backup DIR`.
struct BackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Has the running broker write a copy of its store, as it is at one moment.",
        discussion: """
            The broker writes DIR/broker.mdb while everything goes on; DIR is made where there is none, and a backup that
            is there already is not touched.

            Example:
              brokerctl backup /var/backups/broker/2026-11-24
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The directory, on the broker's machine.")
    var directory: String

    func run() async throws {
        let path = try Self.absolute(directory)
        let reply = try await AdminReply.ask(connection, "backup") { $0.member("path", path) }
        if connection.json { return reply.print() }
        let bytes = try reply.read { (result) throws(JSONError) in try result.integer("bytes", as: Int.self) ?? 0 }
        Output.print("\(path)/broker.mdb: \(Quantity.size(bytes))")
    }

    /// The broker has a working directory of its own.
    private static func absolute(_ path: String) throws -> String {
        if path.hasPrefix("/") { return path }
        guard let here = unsafe getcwd(nil, 0) else { throw Failure.failed("the working directory cannot be read") }
        defer { unsafe free(here) }
        return unsafe String(cString: here) + "/" + path
    }
}

/// `brokerctl restore DIR`.
struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Puts a backup in the place of a store whose broker is stopped.",
        discussion: """
            The backup's pages are checked first. The store that was there is moved aside, not removed. Sequence numbers go
            on above those of both, and clients that resume are told that the store was replaced.

            Examples:
              brokerctl restore /var/backups/broker/2026-11-24 --data-dir /var/lib/broker
              brokerctl restore backup --json
            """)

    @OptionGroup var connection: ConnectionOptions

    @Argument(help: "The directory that `backup` wrote.")
    var directory: String

    @Option(help: ArgumentHelp("The data directory of the broker, which must not run.", valueName: "directory"))
    var dataDir = "./data"

    func run() throws {
        let restoration: Restoration
        do throws(StorageError) {
            restoration = try LMDBStore.restore(from: directory, to: dataDir, time: time(nil))
        } catch .damaged(let what) {
            throw Failure.failed("the backup is damaged: \(what)")
        } catch .inUse(let what) {
            throw Failure.failed("a broker runs on \(what); stop it first")
        } catch {
            throw Failure.failed("\(error)")
        }
        if connection.json {
            var writer = JSONWriter()
            writer.beginObject()
            writer.member("values", restoration.values)
            writer.member("messages", restoration.messages)
            if let aside = restoration.movedAside { writer.member("movedAside", aside) }
            writer.endObject()
            return Output.print(writer.bytes)
        }
        if let aside = restoration.movedAside { Output.print("the store that was there is now \(aside)") }
        Output.print("restored: \(restoration.values) values, \(restoration.messages) messages of the history")
    }
}
