import Foundation

/// Cases in data files, one list a file.
enum Vectors {
    /// The cases of `Vectors/NAME.json`.
    static func load<Case: Decodable>(_ name: String, as type: Case.Type = Case.self) -> [Case] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
        do {
            let file = try Data(contentsOf: folder.appending(path: "Vectors/\(name).json"))
            return try JSONDecoder().decode([Case].self, from: file)
        } catch {
            preconditionFailure("Vectors/\(name).json: \(error)")
        }
    }

    /// The bytes that hexadecimal digits stand for.
    static func bytes(_ text: String) -> [UInt8] {
        let digits = Array(text.utf8)
        return stride(from: 0, to: digits.count, by: 2).map { index in
            UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16) ?? 0
        }
    }
}
