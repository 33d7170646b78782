import Foundation
import Testing

/// The fuzz targets' first inputs, and all inputs that once broke one: each must end as its target demands of all
/// inputs.
@Suite("Fuzz targets: the corpora and the regressions, replayed")
struct ReplayTests {
    static let targets: [String: @Sendable ([UInt8]) -> Void] = [
        "FuzzAnswer": fuzzAnswer, "FuzzChunked": fuzzChunked, "FuzzClose": fuzzClose, "FuzzDeflate": fuzzDeflate,
        "FuzzFrames": fuzzFrames, "FuzzHead": fuzzHead, "FuzzJSON": fuzzJSON, "FuzzLogRecord": fuzzLogRecord,
        "FuzzMessage": fuzzMessage, "FuzzMessagePack": fuzzMessagePack, "FuzzPacked": fuzzPacked,
        "FuzzProxyHeader": fuzzProxyHeader, "FuzzRESP": fuzzRESP, "FuzzRequest": fuzzRequest,
        "FuzzToken": fuzzToken, "FuzzTopics": fuzzTopics,
    ]

    private static let folder = URL(filePath: #filePath).deletingLastPathComponent()

    /// The inputs by name: the lines of `corpus/TARGET.hex`, and the files in `regressions/TARGET`.
    private static func inputs(of target: String) throws -> [(name: String, bytes: [UInt8])] {
        let lines = try String(contentsOf: folder.appending(path: "corpus/\(target).hex"), encoding: .utf8)
        var inputs = lines.split(separator: "\n").enumerated().map { number, line in
            (name: "corpus/\(target).hex:\(number + 1)", bytes: bytes(ofDigits: line))
        }
        let regressions = folder.appending(path: "regressions/\(target)")
        let names = (try? FileManager.default.contentsOfDirectory(atPath: regressions.path)) ?? []
        for name in names.sorted() {
            inputs.append(
                ("regressions/\(target)/\(name)", Array(try Data(contentsOf: regressions.appending(path: name)))))
        }
        return inputs
    }

    private static func bytes(ofDigits line: Substring) -> [UInt8] {
        let digits = Array(line.utf8)
        return stride(from: 0, to: digits.count - 1, by: 2).map { index in
            UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) ?? 0
        }
    }

    /// Runs in a separate process, because a target traps on a mistake; the process reports which input that was.
    @Test(arguments: targets.keys.sorted())
    func replaysEveryInput(target: String) async {
        await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) { [target] in
            let look = try #require(ReplayTests.targets[target])
            let inputs = try ReplayTests.inputs(of: target)
            try #require(inputs.count > 5)
            for (name, bytes) in inputs {
                FileHandle.standardError.write(Data("\(name)\n".utf8))
                look(bytes)
            }
        }
    }

    /// A target that is not in the table is never replayed.
    @Test func listsEveryTarget() throws {
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        let names = files.filter { $0.hasPrefix("Fuzz") && $0.hasSuffix(".swift") }.map { String($0.dropLast(6)) }
        #expect(Set(names) == Set(Self.targets.keys))
        let corpora = try FileManager.default.contentsOfDirectory(atPath: Self.folder.appending(path: "corpus").path)
        #expect(Set(corpora.map { String($0.dropLast(4)) }) == Set(names))
    }
}
