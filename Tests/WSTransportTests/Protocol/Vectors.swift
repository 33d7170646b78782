import Foundation

/// Cases in data files, one list a file.
enum Vectors {
    /// The cases of `Vectors/NAME.json`.
    static func load<Case: Decodable>(_ name: String, as type: Case.Type = Case.self) -> [Case] {
        let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        do {
            let file = try Data(contentsOf: folder.appending(path: "Vectors/\(name).json"))
            return try JSONDecoder().decode([Case].self, from: file)
        } catch {
            preconditionFailure("Vectors/\(name).json: \(error)")
        }
    }

    /// The bytes that `text` stands for: hexadecimal digits, or `2a*65536` for a byte repeated.
    static func bytes(_ text: some StringProtocol) -> [UInt8] {
        let parts = text.split(separator: "*")
        if parts.count == 2, let byte = UInt8(parts[0], radix: 16), let count = Int(parts[1]) {
            return [UInt8](repeating: byte, count: count)
        }
        let digits = Array(text.utf8)
        return stride(from: 0, to: digits.count, by: 2).map { index in
            UInt8(String(decoding: digits[index..<index + 2], as: UTF8.self), radix: 16) ?? 0
        }
    }

    /// Where to cut `count` bytes in two: everywhere, or at the ends and at some places between where that is too much.
    static func cuts(of count: Int) -> [Int] {
        guard count > 400 else { return Array(0...count) }
        return Array(0...40) + Array(stride(from: 41, to: count - 40, by: max(1, count / 20)))
            + Array(count - 40...count)
    }
}
