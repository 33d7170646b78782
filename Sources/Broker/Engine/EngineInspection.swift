/// Checks whether an engine may keep a log; the result is a sentence that says what to set.
enum EngineInspection {
    private static let commands: [RESPCommand] = [
        ["INFO", "memory"], ["INFO", "persistence"], ["CONFIG", "GET", "save"],
    ]

    /// Asks the primary; `then` gets why it may not keep a log or why it did not answer, or `nil` if it may.
    ///
    /// - Parameter needsPersistence: whether a server that keeps nothing on disk is refused.
    static func begin(_ link: EngineLink, needsPersistence: Bool, _ then: @escaping (EngineFailure?) -> Void) {
        var answers: [EngineLink.Answer] = []
        for command in commands {
            link.ask(command) { answer in
                answers.append(answer)
                guard answers.count == commands.count else { return }
                then(objection(to: answers, needsPersistence: needsPersistence))
            }
        }
    }

    private static func objection(to answers: [EngineLink.Answer], needsPersistence: Bool) -> EngineFailure? {
        do throws(EngineFailure) {
            let memory = facts(try answers[0].get())
            let persistence = facts(try answers[1].get())
            if let policy = memory["maxmemory_policy"], policy != "noeviction" {
                return .unfit(
                    "The engine may evict the log (maxmemory-policy \(policy)): set maxmemory-policy noeviction in it.")
            }
            // A service that does not show its settings is trusted to persist its data.
            guard needsPersistence, persistence["aof_enabled"] == "0", case .success(let saving) = answers[2],
                saving.elements?.last?.text == ""
            else { return nil }
            return .unfit("The engine keeps nothing on disk: set appendonly yes in it, or save.")
        } catch {
            return error
        }
    }

    /// The lines `name:value` of an answer to `INFO`.
    static func facts(_ answer: RESPValue) -> [Substring: Substring] {
        var facts: [Substring: Substring] = [:]
        for line in (answer.text ?? "").split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            facts[line[..<colon]] = line[line.index(after: colon)...]
        }
        return facts
    }
}

extension EngineFunctions {
    /// The digest of the library of the version before, which has the same functions except for `number`.
    ///
    /// Brokers of that version use no other, so it is used while the engine has it.
    private static let former: UInt64 = 0x3D08_12E4_C47B_B531

    /// The digest FNV-1a of a text's lines.
    private static func digest(of lines: [Substring]) -> UInt64 {
        lines.joined(separator: "\n").utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }

    /// Loads the library into the primary if it is missing; `then` gets why the primary does not have it, or `nil`.
    static func provide(_ link: EngineLink, _ then: @escaping (EngineFailure?) -> Void) {
        link.ask(["FUNCTION", "LIST", "LIBRARYNAME", .text(library), "WITHCODE"]) { answer in
            do throws(EngineFailure) {
                guard let found = code(in: try answer.get()) else { return load(link, then) }
                // The server may end the text with other line breaks.
                let lines = found.split(whereSeparator: \.isNewline)
                let isUsable = lines == source.split(whereSeparator: \.isNewline) || digest(of: lines) == former
                then(isUsable ? nil : otherVersion)
            } catch {
                then(error)
            }
        }
    }

    private static let otherVersion = EngineFailure.unfit(
        "The engine's functions \(library) are those of another version of the broker: stop its brokers, "
            + "then send it FUNCTION DELETE \(library).")

    private static func load(_ link: EngineLink, _ then: @escaping (EngineFailure?) -> Void) {
        link.ask(["FUNCTION", "LOAD", .text(source)]) { answer in
            switch answer {
            case .success: then(nil)
            // Another broker has loaded it meanwhile.
            case .failure(.refused(let error)) where error.description.contains("already exists"): then(nil)
            case .failure(let failure): then(failure)
            }
        }
    }

    private static func code(in answer: RESPValue) -> String? {
        guard let words = answer.elements?.first?.elements else { return nil }
        for place in stride(from: 0, to: words.count - 1, by: 2) where words[place].text == "library_code" {
            return words[place + 1].text
        }
        return nil
    }
}
