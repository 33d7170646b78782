import Testing

@Suite("deploy: everything that its files name exists")
struct DeployTests {
    static let dockerfile = "deploy/Dockerfile"
    static let unit = "deploy/brokerd.service"
    static let settings = "deploy/broker.yaml"
    static let all = [dockerfile, unit, settings]

    /// A Dockerfile's instructions: a stage's name, the word, and what follows, continued lines joined.
    struct Instruction {
        let stage: Int
        let word: Substring
        let rest: Substring
    }

    static func instructions() throws -> [Instruction] {
        let text = try Repository.text(of: dockerfile).replacing(/\\\n\s*/, with: "")
        var stage = 0
        return text.split(separator: "\n").filter { !$0.hasPrefix("#") }.map { line in
            let word = line.prefix { $0 != " " }
            if word == "FROM" { stage += 1 }
            return Instruction(stage: stage, word: word, rest: line.dropFirst(word.count + 1))
        }
    }

    static func instructions(_ word: String) throws -> [Instruction] { try instructions().filter { $0.word == word } }

    /// The strings of a JSON array, as the exec form has them.
    static func strings(_ text: Substring) -> [Substring] { text.matches(of: /"([^"]*)"/).map(\.output.1) }

    /// The unit's assignments, with their section.
    static func assignments() throws -> [(section: Substring, name: Substring, value: Substring)] {
        var section: Substring = ""
        return try Repository.lines(of: unit).compactMap { line in
            if let header = line.wholeMatch(of: /\[(\w+)\]/) { section = header.output.1 }
            return line.wholeMatch(of: /(\w+)=(.*)/).map { (section, $0.output.1, $0.output.2) }
        }
    }

    static func values(_ name: String) throws -> [Substring] {
        try assignments().filter { $0.name == name }.map(\.value)
    }

    /// The value of a key that occurs once in a YAML file, without its comment and quotes.
    static func value(of key: String, in path: String) throws -> String {
        let lines = try Repository.lines(of: path).filter { !$0.drop { $0 == " " }.hasPrefix("#") }
        let values = lines.compactMap { line -> Substring? in
            let line = line.drop { $0 == " " || $0 == "-" }
            return line.hasPrefix("\(key): ") ? line.dropFirst(key.count + 2).prefix { $0 != " " && $0 != "#" } : nil
        }
        #expect(values.count == 1)
        return String(try #require(values.first))
    }

    /// The executables of the package.
    static func products() throws -> Set<String> {
        let package = try Repository.text(of: "Package.swift")
        return Set(package.matches(of: /\.executable\(name: "(\w+)"/).map { String($0.output.1) })
    }

    /// The options that an executable's sources declare: properties named in camel case, or given a name.
    static func options(of product: String) throws -> Set<String> {
        try Repository.swiftFiles(in: "Sources/\(product)").reduce(into: []) { options, path in
            let text = try Repository.text(of: path)
            for match in text.matches(of: /(?s)@(?:Option|Flag)\b(.*?)\bvar (\w+)/) {
                options.insert(String(match.output.2).replacing(/[A-Z]/) { "-\($0.output.lowercased())" })
                options.formUnion(match.output.1.matches(of: /customLong\("([a-z-]+)"/).map { String($0.output.1) })
            }
        }
    }

    @Test(arguments: all)
    func everyFileExists(path: String) {
        #expect(Repository.exists(path))
    }

    @Test func buildsAndInstallsProductsOfThePackage() throws {
        let run = try Self.instructions("RUN").map(\.rest).joined(separator: "\n")
        let built = Set(run.matches(of: /--product (\w+)/).map { String($0.output.1) })
        #expect(try built == Self.products())
        let copied = try Self.instructions("COPY").filter { $0.rest.hasPrefix("--from=builder ") }
        let names = copied.flatMap { $0.rest.matches(of: /\.build\/release\/(\w+)/).map { String($0.output.1) } }
        #expect(Set(names) == built)
        let started = try Self.instructions("ENTRYPOINT").flatMap { Self.strings($0.rest) }
        #expect(started == ["brokerd"])
        let unit = try Repository.text(of: Self.unit)
        for match in unit.matches(of: /\.build\/release\/(\w+)|\/usr\/local\/bin\/(\w+)/) {
            #expect(built.contains(String(match.output.1 ?? match.output.2 ?? "")))
        }
    }

    @Test func copiesOnlyExistingFiles() throws {
        for copy in try Self.instructions("COPY") where !copy.rest.hasPrefix("--from") {
            let words = copy.rest.split(separator: " ")
            #expect(words.count >= 2)
            for source in words.dropLast() {
                #expect(Repository.exists(source == "Package.*" ? "Package.swift" : String(source)), "\(source)")
            }
        }
        for path in try Repository.text(of: Self.unit).matches(of: /\b(?:deploy|Config)\/[\w.]+/).map(\.output) {
            #expect(Repository.exists(String(path)), "\(path)")
        }
    }

    /// Each system library of the package is there to build with and to run with, from one Debian release.
    @Test func installsThePackagesTheProductsLink() throws {
        let runtime = [
            "liblmdb-dev": "liblmdb0", "libssl-dev": "libssl3", "libyaml-dev": "libyaml-0-2", "zlib1g-dev": "zlib1g",
        ]
        let package = try Repository.text(of: "Package.swift")
        let needed = Set(package.matches(of: /\.apt\(\["([\w.-]+)"\]\)/).map { String($0.output.1) })
        #expect(!needed.isEmpty)
        let installs = try Self.instructions("RUN").filter { $0.rest.contains("apt-get install") }
        #expect(installs.map(\.stage) == [1, 2])
        let installed = installs.map { Set($0.rest.split { " &".contains($0) }.map(String.init)) }
        for name in needed {
            let library = try #require(runtime[name], "say which package \(name) needs at run time")
            #expect(installed.first?.contains(name) == true && installed.last?.contains(library) == true)
        }
        let bases = try Self.instructions("FROM").map(\.rest)
        #expect(bases.first?.hasPrefix("swift:6.3-bookworm ") == true && bases.last == "debian:bookworm-slim")
    }

    @Test func usesOnlyOptionsThatExist() throws {
        let unit = try Self.values("ExecStart") + Self.values("ExecStartPre")
        let exec = try (Self.instructions("ENTRYPOINT") + Self.instructions("CMD")).flatMap { Self.strings($0.rest) }
        let health = try Self.instructions("HEALTHCHECK").flatMap { Self.strings($0.rest) }
        var used = unit.map { $0.split(separator: " ") } + [exec, health]
        used = used.filter { !$0.isEmpty }
        #expect(used.count == 3)
        for words in used {
            let product = try #require(words.first?.split(separator: "/").last.map(String.init))
            let options = try Self.options(of: product)
            for option in words where option.hasPrefix("--") {
                #expect(options.contains(String(option.dropFirst(2))), "\(product) has no \(option)")
            }
        }
        #expect(health.last == "status")
        let verbs = try Repository.swiftFiles(in: "Sources/brokerctl").map(Repository.text)
        #expect(verbs.contains { $0.contains("struct Status") || $0.contains("\"status\"") })
    }

    @Test func agreesOnFilesAndPorts() throws {
        let directory = try Self.value(of: "data_dir", in: Self.settings)
        #expect(try Self.instructions("VOLUME").map(\.rest) == [Substring(directory)])
        #expect(try Self.instructions("WORKDIR").last?.rest == Substring(directory))
        #expect(try Self.values("WorkingDirectory") == [Substring(directory)])
        #expect(try Self.values("StateDirectory").map { "/var/lib/\($0)" } == [directory])
        let socket = "\(directory)/admin.sock"
        #expect(try Self.instructions("HEALTHCHECK").flatMap { Self.strings($0.rest) }.contains(Substring(socket)))
        #expect(try Self.value(of: "socket", in: "Config/broker.yaml") == "DATA_DIR/admin.sock")

        let copied = try Self.instructions("COPY").first { $0.rest.hasPrefix("\(Self.settings) ") }
        let file = try #require(copied?.rest.split(separator: " ").last)
        #expect(try Self.instructions("CMD").flatMap { Self.strings($0.rest) } == ["--config", file])
        #expect(try Self.values("ExecStart") == ["/usr/local/bin/brokerd --config \(file)"])

        let address = try Self.value(of: "address", in: Self.settings)
        let port = try #require(address.split(separator: ":").last)
        #expect(try Self.instructions("EXPOSE").map(\.rest) == [port])
        #expect(try Repository.text(of: Self.dockerfile).contains("-p \(port):\(port)"))
    }

    @Test func runsWithoutPrivileges() throws {
        let user = try #require(try Self.instructions("USER").last?.rest.split(separator: ":").first)
        #expect(try Self.instructions("RUN").contains { $0.rest.contains("--uid \(user) ") })
        #expect(user != "0")
        for (name, value) in [
            ("User", "broker"), ("NoNewPrivileges", "yes"), ("ProtectSystem", "strict"), ("PrivateTmp", "yes"),
            ("MemoryDenyWriteExecute", "yes"), ("CapabilityBoundingSet", ""), ("SystemCallFilter", "@system-service"),
            ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX"),
        ] {
            #expect(try Self.values(name) == [Substring(value)], "\(name)")
        }
    }

    @Test func reloadsAndStopsByTheSignalsOfTheBroker() throws {
        #expect(try Self.values("ExecReload") == ["/bin/kill -HUP $MAINPID"])
        #expect(try Self.values("KillSignal") == ["SIGTERM"])
        #expect(try Self.values("Type") == ["notify"])
        let sources = try Repository.swiftFiles(in: "Sources").map(Repository.text)
        #expect(sources.contains { $0.contains("SIGHUP") } && sources.contains { $0.contains("SIGTERM") })
    }

    @Test func hasADescriptorForEachConnection() throws {
        let descriptors = try #require(try Self.values("LimitNOFILE").first.flatMap { Int($0) })
        // The limits of all clients come first; those of one address have the same names.
        let text = try Repository.text(of: "Config/broker.yaml")
        let connections = try #require(text.firstMatch(of: /\n  connections: (\d+)/).flatMap { Int($0.output.1) })
        #expect(descriptors >= connections + 1024)
    }

    /// systemd ignores unknown names, so a typo would silently disable a protection.
    @Test func usesOnlyKnownSystemdDirectives() throws {
        let known: [Substring: Set<Substring>] = [
            "Unit": ["Description", "Documentation", "After", "Wants"],
            "Service": [
                "Type", "ExecStart", "ExecReload", "KillSignal", "TimeoutStopSec", "Restart", "RestartSec",
                "LimitNOFILE",
                "TimeoutStartSec", "WatchdogSec", "RemoveIPC", "User", "Group", "StateDirectory", "StateDirectoryMode",
                "WorkingDirectory", "UMask", "ProtectSystem",
                "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectClock", "ProtectControlGroups",
                "ProtectHostname", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables", "ProtectProc",
                "CapabilityBoundingSet", "AmbientCapabilities", "NoNewPrivileges", "LockPersonality",
                "MemoryDenyWriteExecute", "RestrictAddressFamilies", "RestrictNamespaces", "RestrictRealtime",
                "RestrictSUIDSGID", "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber",
            ],
            "Install": ["WantedBy"],
        ]
        let assignments = try Self.assignments()
        #expect(assignments.count > 30)
        for (section, name, _) in assignments {
            #expect(known[section]?.contains(name) == true, "[\(section)] \(name)")
        }
        let lines = try Repository.lines(of: Self.unit).filter {
            !$0.isEmpty && !$0.hasPrefix("#") && !$0.hasPrefix("[")
        }
        #expect(lines.count == assignments.count)
    }

    @Test func setsOnlyExistingKeys() throws {
        let pattern = /(?m)^\s*(?:- )?(?:#\s+)?([a-z_]+):/
        let shown = Set(try Repository.text(of: "Config/broker.yaml").matches(of: /([a-z_]+):/).map(\.output.1))
        let set = try Repository.text(of: Self.settings).matches(of: pattern).map(\.output.1)
        #expect(set.count > 4 && shown.isSuperset(of: set))
    }
}
