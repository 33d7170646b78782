internal import CLinux
internal import Glibc
internal import Synchronization
internal import WSTransport

/// What became of certificate files that have changed.
package enum CertificateNews: Sendable, Equatable {
    /// New connections are shown the new certificate.
    case takenOver(certificate: String)
    /// It cannot be used, and the old one stays; a sentence.
    case refused(String)
}

/// The certificates of the listeners, as their files were when they were last in order.
///
/// A connection keeps what it began with, so that a change ends none but those whose client certificates are not accepted
/// any more. Any thread.
final class Certificates: Sendable {
    private struct Entry: Sendable {
        let files: Settings.Listener.TLS
        let context: TLSContext
        /// Of the files when they were last read, whatever came of it.
        var stamps: [FileStamp]
    }

    private let entries: Mutex<[Int: Entry]>
    /// Increases when a listener's context may be another.
    let revision = Atomic<Int>(0)

    /// Reads all files.
    init(_ listeners: [Settings.Listener]) throws(BrokerError) {
        entries = Mutex(try Self.load(listeners))
    }

    var isEmpty: Bool { entries.withLock { $0.isEmpty } }

    /// How long all of them still hold, in seconds, below 0 if one has ended; `nil`: there are none.
    var secondsLeft: Int? { entries.withLock { $0.values.compactMap(\.context.secondsLeft).min() } }

    /// Each with its file and how long it still holds, in the order of the listeners.
    var all: [CertificateSummary] {
        entries.withLock { $0 }.sorted { $0.key < $1.key }.flatMap { _, entry in
            let files = [entry.files.certificate] + entry.files.others.map(\.certificate)
            return zip(files, entry.context.allSecondsLeft).map { CertificateSummary(file: $0, seconds: $1) }
        }
    }

    /// What a new connection of a listener is encrypted with; `nil`: it is not.
    func context(of listener: Int) -> TLSContext? { entries.withLock { $0[listener]?.context } }

    /// Takes over the files that `new` names, all or none; its listeners must differ in nothing else from those there are.
    ///
    /// - Returns: the certificates that are others now.
    func reload(_ new: [Settings.Listener]) throws(BrokerError) -> [String] {
        let loaded = try Self.load(new)
        // When the new ones are there.
        defer { revision.add(1, ordering: .releasing) }
        return entries.withLock { entries in
            for (listener, entry) in loaded { entries[listener]?.context.giveWay(to: entry.context) }
            defer { entries = loaded }
            return loaded.sorted { $0.key < $1.key }.compactMap { number, entry in
                entries[number]?.stamps == entry.stamps ? nil : entry.files.certificate
            }
        }
    }

    /// Reads the files that have changed since they were last read.
    func takeOverChanges() -> [CertificateNews] {
        var news: [CertificateNews] = []
        for (listener, old) in entries.withLock({ $0 }).sorted(by: { $0.key < $1.key }) {
            // Before they are read: a change while they are is found the next time.
            let stamps = FileStamp.stamps(of: old.files)
            guard stamps != old.stamps else { continue }
            var entry = old
            entry.stamps = stamps
            do throws(TLSFileError) {
                entry = Entry(files: old.files, context: try old.files.makeContext(), stamps: stamps)
                old.context.giveWay(to: entry.context)
                news.append(.takenOver(certificate: old.files.certificate))
            } catch {
                news.append(.refused("listen[\(listener)].tls.\(old.files.key(of: error)): \(error)"))
            }
            entries.withLock { $0[listener] = entry }
            revision.add(1, ordering: .releasing)
        }
        return news
    }

    /// What is wrong with the files of `listeners`: a sentence each.
    static func errors(in listeners: [Settings.Listener]) -> [String] {
        listeners.enumerated().compactMap { number, listener in
            do throws(TLSFileError) {
                _ = try listener.tls?.makeContext()
                return nil
            } catch {
                return "listen[\(number)].tls.\(listener.tls?.key(of: error) ?? ""): \(error)"
            }
        }
    }

    /// The key files that users other than their owner may read.
    ///
    /// A key of root's that a group may read, as Debian's `ssl-cert`, is meant to be.
    static func exposedKeys(in listeners: [Settings.Listener]) -> [String] {
        let keys = listeners.compactMap(\.tls).flatMap { [$0.key] + $0.others.map(\.key) }
        return keys.filter { path in
            var status = stat()
            guard unsafe stat(path, &status) == 0 else { return false }
            return status.st_mode & (status.st_uid == 0 ? 0o004 : 0o044) != 0
        }
    }

    private static func load(_ listeners: [Settings.Listener]) throws(BrokerError) -> [Int: Entry] {
        var loaded: [Int: Entry] = [:]
        for (number, listener) in listeners.enumerated() {
            guard let files = listener.tls else { continue }
            let stamps = FileStamp.stamps(of: files)
            do throws(TLSFileError) {
                loaded[number] = Entry(files: files, context: try files.makeContext(), stamps: stamps)
            } catch {
                throw BrokerError("listen[\(number)].tls.\(files.key(of: error)): \(error)")
            }
        }
        return loaded
    }
}

extension Settings.Listener.TLS {
    fileprivate func makeContext() throws(TLSFileError) -> TLSContext {
        try .server(
            TLSIdentity(certificate: certificate, key: key),
            others: others.map { TLSIdentity(certificate: $0.certificate, key: $0.key) },
            clients: clientAuthorities.map { path in
                var clients = TLSClientAuthorities(path)
                clients.revocations = clientRevocations
                clients.isOptional = clientAuthentication == .optional
                return clients
            })
    }

    /// The setting that names the file of `error`: of several, the first, which is read first.
    fileprivate func key(of error: TLSFileError) -> String {
        let role = error.role.rawValue
        if [certificate, key, clientAuthorities, clientRevocations].contains(error.path) { return role }
        guard let number = others.firstIndex(where: { $0.certificate == error.path || $0.key == error.path }) else {
            return role
        }
        return "certificates[\(number)].\(role)"
    }
}

extension FileStamp {
    fileprivate static func stamps(of files: Settings.Listener.TLS) -> [FileStamp] {
        let others = files.others.flatMap { [$0.certificate, $0.key] }
        let all =
            [files.certificate, files.key] + others
            + [files.clientAuthorities, files.clientRevocations].compactMap { $0 }
        return all.map { FileStamp($0) }
    }
}
