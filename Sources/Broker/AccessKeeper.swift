internal import Synchronization
internal import WSTransport

/// What became of a changed file of users and tokens.
package enum AccessNews: Sendable, Equatable {
    /// It holds now.
    case takenOver(file: String, users: Int)
    /// It has errors, and what it said before still holds.
    case refused(String)
}

/// Makes what holds of settings and the file of users and tokens, and notices when the file changes.
///
/// The main thread's.
final class AccessKeeper {
    private(set) var current: Access
    private var settings: Settings
    private var stamp: FileStamp

    /// Reads the file, whose absence means that there are no users.
    init(_ settings: Settings) throws(AccessFileErrors) {
        self.settings = settings
        // Before it is read: a change while it is read is found the next time.
        stamp = FileStamp(settings.accessFilePath)
        current = Access(settings, users: try Self.users(settings))
    }

    /// What is to hold by other settings, and the file as it is now.
    struct Next {
        fileprivate let settings: Settings
        fileprivate let stamp: FileStamp
        fileprivate let access: Access
    }

    /// Reads what is to hold by other settings; nothing changes by it.
    func next(_ settings: Settings) throws(AccessFileErrors) -> Next {
        let stamp = FileStamp(settings.accessFilePath)
        return Next(settings: settings, stamp: stamp, access: Access(settings, users: try Self.users(settings)))
    }

    /// Takes over what was read.
    func adopt(_ next: Next) { (settings, stamp, current) = (next.settings, next.stamp, next.access) }

    /// Takes over a file that has changed since it was looked at last; `nil`: it has not.
    func takeOverChange() -> AccessNews? {
        let new = FileStamp(settings.accessFilePath)
        guard new != stamp else { return nil }
        // Also where it has errors, which are told once.
        stamp = new
        do throws(AccessFileErrors) {
            current = Access(settings, users: try Self.users(settings))
            return .takenOver(file: settings.accessFilePath, users: current.users.count)
        } catch {
            return .refused(error.description)
        }
    }

    private static func users(_ settings: Settings) throws(AccessFileErrors) -> UserTable {
        UserTable(try AccessFile.read(settings.accessFilePath, isKept: false))
    }
}
