import Foundation

/// The repository's files, as the tests of its text see them.
enum Repository {
    static let root = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// The paths of all Swift files below `folder`, relative to the root.
    static func swiftFiles(in folder: String) -> [String] {
        files(in: folder).filter { $0.hasSuffix(".swift") }
    }

    /// The paths of all files below `folder` that are text, relative to the root.
    static func files(in folder: String) -> [String] {
        let names = FileManager.default.enumerator(atPath: root.appending(path: folder).path(percentEncoded: false))
        let paths = (names?.compactMap { $0 as? String } ?? []).map { "\(folder)/\($0)" }
        return paths.filter { !isDirectory($0) && !$0.contains("/__pycache__/") && !$0.hasSuffix(".png") }.sorted()
    }

    static func text(of path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    static func lines(of path: String) throws -> [Substring] {
        try text(of: path).split(separator: "\n", omittingEmptySubsequences: false)
    }

    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: root.appending(path: path).path(percentEncoded: false))
    }

    /// A link to a folder is one, too.
    private static func isDirectory(_ path: String) -> Bool {
        var isFolder: ObjCBool = false
        let place = root.appending(path: path).path(percentEncoded: false)
        return FileManager.default.fileExists(atPath: place, isDirectory: &isFolder) && isFolder.boolValue
    }
}
