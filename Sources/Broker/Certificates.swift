internal import CLinux
internal import Glibc
internal import Synchronization
internal import WSTransport

/// The result of reading certificate files that have changed.
package enum CertificateNews: Sendable, Equatable {
    /// New connections get the new certificate.
    case takenOver(certificate: String)
    /// It cannot be used, and the old one stays in use; the value is a sentence.
    case refused(String)
}

/// The certificates of the listeners, as their files were when they were last valid.
///
/// A connection keeps the certificate it began with, so a change ends only connections whose client certificates are no
/// longer accepted. Any thread.
final class Certificates: Sendable {
    private struct Entry: Sendable {
        let files: Settings.Listener.TLS
        let context: TLSContext
        /// The stamps of the files when they were last read, whatever the result.
        var stamps: [FileStamp]
    }

    private let entries: Mutex<[Int: Entry]>
    /// Increases when the context of a listener may have changed.
    let revision = Atomic<Int>(0)

    /// Reads all files.
    init(_ listeners: [Settings.Listener]) throws(BrokerError) {
        entries = Mutex(try Self.load(listeners))
    }

    var isEmpty: Bool { entries.withLock { $0.isEmpty } }

    /// The time until the first of them expires, in seconds, below 0 if one has; `nil` if there are none.
    var secondsLeft: Int? { entries.withLock { $0.values.compactMap(\.context.secondsLeft).min() } }

    /// Each certificate, with its file and the time until it expires, in the order of the listeners.
    var all: [CertificateSummary] {
        entries.withLock { $0 }.sorted { $0.key < $1.key }.flatMap { _, entry in
            let files = [entry.files.certificate] + entry.files.others.map(\.certificate)
            return zip(files, entry.context.allSecondsLeft).map { CertificateSummary(file: $0, seconds: $1) }
        }
    }

    /// The TLS context for new connections of a listener; `nil` if the listener has no TLS.
    func context(of listener: Int) -> TLSContext? { entries.withLock { $0[listener]?.context } }

    /// Reads the files that `new` names, and uses all or none; its listeners must differ from the present ones in
    /// nothing else.
    ///
    /// - Returns: the certificates that have changed.
    func reload(_ new: [Settings.Listener]) throws(BrokerError) -> [String] {
        let loaded = try Self.load(new)
        // After the new ones are in use.
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
            // Taken before the files are read: a change during the reading is noticed next time.
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

    /// The errors in the files of `listeners`, a sentence each.
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
    /// A key of root that a group may read, as with Debian's `ssl-cert`, is intended and not included.
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

    /// The setting that names the file of `error`; if several do, the first, which is read first.
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
