import Foundation
import WSTransport

/// A certificate authority made for one test run by the openssl command, and its certificates.
final class TestAuthority: Sendable {
    private let directory: URL

    struct CommandFailed: Error { let arguments: [String] }

    /// The authority that clients of the tests accept.
    static let shared: Result<TestAuthority, any Error> = Result {
        // Nothing releases a static value at the end.
        atexit { (try? TestAuthority.shared.get())?.remove() }
        return try TestAuthority()
    }

    /// `localhost` and `127.0.0.1`, signed by ``shared``.
    static let server = Result { try shared.get().sign("server", "DNS:localhost,IP:127.0.0.1") }

    init(named name: String = "test authority") throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "authority-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try makeKey("ca")
        try openssl(
            "req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=\(name)", "-days", "2", "-out", "ca.pem",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    }

    deinit { remove() }

    private func remove() { try? FileManager.default.removeItem(at: directory) }

    /// The path of a file of its directory.
    func path(_ name: String) -> String { directory.appending(path: name).path(percentEncoded: false) }

    var trust: TLSTrust { .file(path("ca.pem")) }

    /// A certificate for `hosts`, or for its common name, `name`, alone; with `days` -1 one that has expired.
    func sign(_ name: String, _ hosts: String?, days: Int = 2) throws -> TLSIdentity {
        try makeKey(name)
        let extensions = (hosts.map { "subjectAltName=\($0)\n" } ?? "") + "basicConstraints=CA:FALSE\n"
        try Data(extensions.utf8).write(to: directory.appending(path: "\(name).ext"))
        try openssl("req", "-new", "-key", "\(name).key", "-subj", "/CN=\(name)", "-out", "\(name).csr")
        try openssl(
            "x509", "-req", "-in", "\(name).csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", String(days),
            "-set_serial", String(UInt32.random(in: 1...(.max))), "-extfile", "\(name).ext", "-out", "\(name).pem")
        return TLSIdentity(certificate: path("\(name).pem"), key: path("\(name).key"))
    }

    private func makeKey(_ name: String) throws {
        try openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "\(name).key")
    }

    func openssl(_ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.currentDirectoryURL = directory
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        if process.terminationStatus != 0 { throw CommandFailed(arguments: arguments) }
    }
}
