import Testing

@testable import Broker

@Suite("The admin protocol: requests and answers, read and written")
struct AdminProtocolTests {
    /// The contract about the rights of verbs.
    @Test func everyVerbRequiresTheRightOfTheContract() {
        let expected: [String: AdminRight] = [
            "status": .read, "clients": .read, "client": .read, "topics": .read, "subscriptions": .read,
            "client.policy": .write,
            "retained.list": .read, "retained.get": .read, "retained.export": .read,
            "retained.set": .write, "retained.delete": .write, "kick": .write,
            "bans.list": .read, "bans.add": .write, "bans.remove": .write,
            "users.list": .read, "users.add": .operate, "users.password": .operate, "users.remove": .operate,
            "users.disable": .operate, "users.role": .operate, "token.list": .read, "token.mint": .operate,
            "token.revoke": .operate, "token.check": .read, "acl.explain": .read, "acl.list": .read,
            "audit": .operate,
            "events": .read, "trace": .read, "why": .read,
            "backup": .operate, "backup.next": .operate, "drain": .operate, "reload": .operate, "log.level": .operate,
            "config.show": .operate, "config.plan": .operate, "cluster": .read, "cluster.forget": .operate,
        ]
        let declared = AdminSession.verbs.mapValues { $0.right }
        for verb in Set(expected.keys).union(declared.keys).sorted() {
            #expect(declared[verb] == expected[verb], "\(verb)")
        }
    }

    /// A request with all its members, as it is sent.
    static let requests = [
        #"{"id":7,"verb":"status","clients":true}"#,
        #"{"id":7,"verb":"clients","user":"u","filter":"a/+","where":["pending > 1KiB"],"sort":"rtt","reverse":true,"limit":5,"node":"b"}"#,
        #"{"id":7,"verb":"client","client":"eb1","node":"b"}"#,
        #"{"id":7,"verb":"client.policy","client":"eb1","slow":"latest"}"#,
        #"{"id":7,"verb":"kick","client":"eb1","user":"u","filter":"a/#","reason":"r","dryRun":true,"node":"b"}"#,
        #"{"id":7,"verb":"kick","user":"u","ban":true,"seconds":60,"note":"n"}"#,
        #"{"id":7,"verb":"bans.list"}"#,
        #"{"id":7,"verb":"cluster"}"#,
        #"{"id":7,"verb":"cluster.forget","node":"5f3c"}"#,
        #"{"id":7,"verb":"bans.add","kind":"user","name":"u","seconds":60,"note":"n"}"#,
        #"{"id":7,"verb":"bans.remove","ban":"b1"}"#,
        #"{"id":7,"verb":"users.list","user":"u","after":5}"#,
        #"{"id":7,"verb":"users.add","user":"u","roles":["r"],"password":"p"}"#,
        #"{"id":7,"verb":"users.password","user":"u","password":"p"}"#,
        #"{"id":7,"verb":"users.remove","user":"u"}"#,
        #"{"id":7,"verb":"users.disable","user":"u","enable":true}"#,
        #"{"id":7,"verb":"users.role","user":"u","changes":["+a","-b"]}"#,
        #"{"id":7,"verb":"token.list","after":5}"#,
        #"{"id":7,"verb":"token.mint","user":"u","publish":["a"],"subscribe":["b"],"admin":["read"],"seconds":9,"#
            + #""from":["::1"],"note":"n","inURL":true}"#,
        #"{"id":7,"verb":"token.revoke","token":"abcdefgh"}"#,
        #"{"id":7,"verb":"token.revoke","user":"u","before":9}"#,
        #"{"id":7,"verb":"token.revoke","jti":"j"}"#,
        #"{"id":7,"verb":"token.check","token":"t","address":"::1"}"#,
        #"{"id":7,"verb":"acl.explain","client":"eb1","user":"u","roles":["r"],"address":"::1","action":"retain","name":"a"}"#,
        #"{"id":7,"verb":"acl.list","client":"eb1","user":"u","roles":["r"],"address":"::1"}"#,
        #"{"id":7,"verb":"audit","after":5,"since":6,"user":"u","wait":true}"#,
        #"{"id":7,"verb":"events","after":5,"since":6,"wait":true,"kinds":["slow"],"client":"c","user":"u"}"#,
        #"{"id":7,"verb":"trace","number":9,"filter":"a/+","client":"eb1","last":true}"#,
        #"{"id":7,"verb":"why","client":"eb1","topic":"a","limit":5,"node":"b"}"#,
        #"{"id":7,"verb":"topics","filter":"a/+","seconds":1.5,"node":"b"}"#,
        #"{"id":7,"verb":"subscriptions","filter":"a/+"}"#,
        #"{"id":7,"verb":"retained.list","filter":"a/+","after":"a/1"}"#,
        #"{"id":7,"verb":"retained.get","topic":"a","exact":true}"#,
        #"{"id":7,"verb":"retained.set","topic":"a","data":{"b":[1.50]},"kind":"json","type":"x/y","ttl":1.5,"expires":9}"#,
        #"{"id":7,"verb":"retained.set","topic":"a","data":"AP8=","kind":"binary","encoding":"base64"}"#,
        #"{"id":7,"verb":"retained.set","topic":"a","data":"a string of JSON","kind":"json"}"#,
        #"{"id":7,"verb":"retained.delete","filter":"a/+","dryRun":true}"#,
        #"{"id":7,"verb":"retained.export","filter":"a/+","after":"a/1"}"#,
        #"{"id":7,"verb":"backup"}"#,
        #"{"id":7,"verb":"backup","path":"weekly/a.mdb"}"#,
        #"{"id":7,"verb":"backup.next"}"#,
        #"{"id":7,"verb":"drain","retrySpread":5,"node":"b"}"#,
        #"{"id":7,"verb":"reload"}"#,
        #"{"id":7,"verb":"config.show","explained":true}"#,
        #"{"id":7,"verb":"config.plan","text":"t","name":"n"}"#,
        #"{"id":7,"verb":"log.level","level":"debug","seconds":600}"#,
    ]

    private func encodedAgain<Request: AdminRequest>(
        _ type: Request.Type, _ text: String
    ) throws(JSONError) -> String {
        let bytes = Array(text.utf8)
        return String(decoding: try Request(JSONObject.parse(bytes.span)).encoded(id: 7), as: UTF8.self)
    }

    @Test(arguments: requests)
    func requestsRoundTrip(request: String) throws {
        let verb = try #require(request.firstMatch(of: /"verb":"([a-z.]+)"/)?.output.1)
        let type = try #require(AdminSession.verbs[String(verb)])
        #expect(try encodedAgain(type, request) == request)
    }

    @Test(arguments: [(0, 0, false), (2, 2, false), (3, 2, true)])
    func limitsAListAndSaysWhetherItIsTruncated(count: Int, rows: Int, isTruncated: Bool) {
        let all = (0..<count).map { FilterSummary(filter: "\($0)", clients: $0) }
        let list = AdminList(all, atMost: 2)
        #expect(list.elements.map(\.filter) == all.prefix(rows).map(\.filter))
        #expect(list.isTruncated == isTruncated)
    }

    @Test func theExamplesCoverEveryVerb() {
        let missing = AdminSession.verbs.keys.filter { verb in !Self.requests.contains { $0.contains("\"\(verb)\"") } }
        #expect(missing == [])
    }

    @Test(arguments: [
        ("clients", "user"), ("clients", "filter"), ("client", "client"), ("kick", "filter"), ("topics", "filter"),
        ("retained.list", "after"), ("retained.get", "topic"), ("retained.set", "kind"), ("retained.set", "encoding"),
        ("retained.set", "type"), ("retained.delete", "filter"),
    ])
    func rejectsAMemberOfTheWrongType(verb: String, member: String) throws {
        let type = try #require(AdminSession.verbs[verb])
        #expect(throws: JSONError.self) { _ = try encodedAgain(type, "{\"\(member)\":5}") }
    }

    /// An answer with all its members, as it is sent.
    private func expectRoundTrip<Answer: AdminAnswer>(_ answer: String, _ type: Answer.Type) throws {
        let reply = try AdminReply<Answer>(Array("{\"id\":5,\(answer)}".utf8))
        #expect(reply.id == 5)
        let again = AdminWire.answer([UInt8(ascii: "5")]) { [outcome = reply.outcome] writer in
            if case .success(let answer) = outcome { answer.writeAnswer(to: &writer) }
        }
        #expect(String(decoding: again, as: UTF8.self) == "{\"id\":5,\(answer)}")
    }

    @Test func answersRoundTrip() throws {
        let client =
            #""id":"a","node":"b","user":null,"address":"x","protocol":"p","origin":"o","agent":"b","published":7,"connectedAt":1,"#
            + #""subscriptions":2,"pendingBytes":3,"#
            + #""kernelBytes":4,"roundTripMilliseconds":0.5,"waitingMilliseconds":1.5,"behind":true,"policy":"close","#
            + #""receivedBytes":5,"sentBytes":6,"listener":"l","tls":"TLSv1.3","reactor":1"#
        try expectRoundTrip(
            #""result":[{\#(client)},{\#(client)}],"truncated":true,"missing":["b"]"#, ClientsRequest.Answer.self)
        try expectRoundTrip(#""result":{\#(client),"filters":["a/+"]}"#, ClientRequest.Answer.self)
        try expectRoundTrip(#""result":{"kicked":2}"#, KickRequest.Answer.self)
        try expectRoundTrip(#""result":{"kicked":0,"matching":2}"#, KickRequest.Answer.self)
        try expectRoundTrip(
            #""result":{"kicked":2,"missing":["b"],"banned":["user u"],"notBanned":1}"#, KickRequest.Answer.self)
        let ban = #""id":"b1","kind":"user","name":"u","added":1,"expires":2,"note":"n""#
        try expectRoundTrip(#""result":[{\#(ban)}]"#, BansRequest.Answer.self)
        try expectRoundTrip(#""result":{\#(ban),"disconnected":3}"#, AddBanRequest.Answer.self)
        try expectRoundTrip(#""result":{\#(ban)}"#, RemoveBanRequest.Answer.self)
        try expectRoundTrip(
            #""result":[{"topic":"a","subscriptions":1,"retained":true,"bytes":1,"seq":2,"time":3,"messagesPerSecond":0.5,"#
                + #""bytesPerSecond":1.5},{"topic":"b","subscriptions":0,"retained":false}]"#, TopicsRequest.Answer.self
        )
        try expectRoundTrip(#""result":[{"filter":"a/+","clients":2}]"#, SubscriptionsRequest.Answer.self)
        try expectRoundTrip(
            #""result":[{"topic":"a","seq":1,"time":2,"bytes":3,"kind":"text","type":"x/y","expires":4}],"next":"a""#,
            RetainedListRequest.Answer.self)
        try expectRoundTrip(
            #""result":{"kind":"json","topic":"a","later":{},"data":[1.0]}"#, RetainedGetRequest.Answer.self)
        try expectRoundTrip(
            #""result":{"values":[{"kind":"text","topic":"a","data":"b"}],"next":"a"}"#,
            RetainedExportRequest.Answer.self)
        try expectRoundTrip(#""result":{"seq":1,"stored":true}"#, RetainedSetRequest.Answer.self)
        try expectRoundTrip(#""result":{"expired":true}"#, RetainedSetRequest.Answer.self)
        try expectRoundTrip(#""result":{"deleted":0,"matching":3}"#, RetainedDeleteRequest.Answer.self)
        try expectRoundTrip(#""result":{}"#, BackupRequest.Answer.self)
        try expectRoundTrip(#""result":{"path":"/b/a.mdb","bytes":4096}"#, BackupRequest.Answer.self)
    }

    @Test func answersAboutTheBrokerRoundTrip() throws {
        try expectRoundTrip(
            #""result":{"changed":["limits.message"],"needsRestart":["store.views"]}"#, ReloadRequest.Answer.self)
        let change = #"{"path":"p","change":"restart","old":"1","new":"2"}"#
        try expectRoundTrip(
            #""result":{"file":"f","text":"t","settings":{"a":1.0},"waiting":[\#(change)]}"#,
            ConfigShowRequest.Answer.self)
        try expectRoundTrip(
            #""result":{"file":"f","errors":["e"],"changes":[\#(change),{"path":"p","change":"live"}],"clients":1,"#
                + #""losses":{"disconnected":2,"clients":3,"subscriptions":4,"partial":true}}"#,
            ConfigPlanRequest.Answer.self)
        try expectRoundTrip(
            #""result":{"level":"debug","configured":"info","until":5}"#, LogLevelRequest.Answer.self)
        try expectRoundTrip(
            #""result":{"server":"s","pid":1,"startedAt":2,"uptimeSeconds":3,"listen":["l"],"dataDirectory":"d","#
                + #""reactors":4,"backend":"epoll","connections":5,"clients":6,"subscriptions":7,"seq":8,"epoch":9,"#
                + #""published":10,"delivered":11,"retained":{"values":12,"payloadBytes":13},"#
                + #""history":{"messages":14,"payloadBytes":15},"#
                + #""store":{"usedBytes":16,"maximumBytes":17,"fileBytes":18,"views":19},"#
                + #""canaryMilliseconds":2.5,"commit":{"lastMilliseconds":0.5,"p99Milliseconds":1.5},"disk":{"bytes":20,"freeBytes":21},"#
                + #""descriptors":{"open":22,"maximum":23},"maximumConnections":24,"heldBytes":25,"#
                + #""maximumHeldBytes":26,"certificateSeconds":-27,"#
                + #""backlog":{"clientsBehind":28,"pendingBytes":29,"largestPendingBytes":30},"#
                + #""maximumQuestion":31,"memoryBytes":32,"ready":false,"reason":"r","movedAside":"m"}"#,
            StatusRequest.Answer.self)
    }

    @Test func answersAboutAccessRoundTrip() throws {
        try expectRoundTrip(
            #""result":[{"user":"u","roles":["r"],"password":"weak","certificate":true,"tokens":2,"disabled":true}],"next":"1""#,
            ListUsersRequest.Answer.self)
        try expectRoundTrip(#""result":{"tokens":2}"#, RemoveUserRequest.Answer.self)
        try expectRoundTrip(
            #""result":[{"right":"publish","denied":true,"filters":["a"],"rule":"r"}]"#, ListAccessRequest.Answer.self)
        try expectRoundTrip(
            #""result":[{"filter":"a","clients":1}],"truncated":true,"late":[0,2]"#, SubscriptionsRequest.Answer.self)
        try expectRoundTrip(#""result":{"roles":["r"]}"#, SetRolesRequest.Answer.self)
        try expectRoundTrip(
            #""result":[{"id":"a","user":"u","publish":["p"],"subscribe":[],"admin":["read"],"expires":1,"from":["::1"],"#
                + #""created":2,"note":"n"}]"#, ListTokensRequest.Answer.self)
        try expectRoundTrip(#""result":{"id":"a","token":"t"}"#, MintTokenRequest.Answer.self)
        try expectRoundTrip(#""result":{"valid":false,"reason":"expired"}"#, CheckTokenRequest.Answer.self)
        try expectRoundTrip(
            #""result":{"valid":true,"kind":"jwt","user":"u","token":"j","roles":["r"],"expires":1,"rights":["publish a"],"#
                + #""atMost":["publish b"]}"#, CheckTokenRequest.Answer.self)
        try expectRoundTrip(
            #""result":{"allowed":false,"reason":"n","lines":[{"rule":"r","template":"{user}","deny":true,"#
                + #""filters":["u"],"matches":true}]}"#, ExplainAccessRequest.Answer.self)
        try expectRoundTrip(
            #""result":{"lines":[{"time":"t"},{}],"next":3,"more":true,"missed":4}"#, ReadAuditRequest.Answer.self)
    }

    @Test func rejectsAnAnswerWithoutAResult() throws {
        #expect(throws: JSONError.self) { _ = try AdminReply<KickRequest.Answer>(Array(#"{"id":1}"#.utf8)) }
        let refused = try AdminReply<KickRequest.Answer>(
            Array(#"{"id":1,"error":{"code":"not-found","message":"There is none."}}"#.utf8))
        #expect(throws: AdminRefusal(code: "not-found", message: "There is none.")) { _ = try refused.outcome.get() }
    }

    @Test func readsARetainedValueByteForByte() throws {
        for (members, payload) in [
            (#""kind":"text","data":"é""#, Array("é".utf8)), (#""kind":"json","data":[1.0]"#, Array("[1.0]".utf8)),
            (#""kind":"json","data":"s""#, Array("\"s\"".utf8)),
            (#""kind":"binary","encoding":"base64","data":"AP8=""#, [0, 255]),
            (#""kind":"text""#, []),
        ] {
            let reply = try AdminReply<RetainedValue>(Array("{\"id\":1,\"result\":{\(members)}}".utf8))
            #expect(try reply.outcome.get().payload == payload)
        }
    }

    // MARK: Where a backup is written

    @Test(arguments: [
        ("a.mdb", ["a.mdb"]), ("a/b/c", ["a", "b", "c"]), ("/backups/a", ["a"]), ("...", ["..."]), ("/backups", nil),
        ("/backups/", nil), ("/backups//a", nil), ("/backups2/a", nil), ("/a", nil), ("", nil), (".", nil), ("..", nil),
        ("a/../b", nil), ("/backups/../b", nil), ("a/", nil), ("a\0b", nil),
        (String(repeating: "a/", count: 16) + "a", nil),
    ])
    func acceptsBackupPathsBelowTheDirectory(path: String, names: [String]?) {
        for directory in ["/backups", "/backups/"] {
            #expect(BackupRequest.names(of: path, below: directory) == names)
        }
    }

    /// Whatever the path: no component goes up, and together they are the path.
    @Test func noBackupPathEscapesTheDirectory() {
        let parts = ["a", ".", "..", "/", "//", "\0", "b", "", "é", "/b", "/b/"]
        var found = 0
        for _ in 0..<20_000 {
            let path = (0..<Int.random(in: 0...6)).map { _ in parts.randomElement() ?? "" }.joined()
            guard let names = BackupRequest.names(of: path, below: "/b") else { continue }
            found += 1
            #expect(
                !names.isEmpty
                    && names.allSatisfy { !["", ".", ".."].contains($0) && !$0.contains { "/\0".contains($0) } })
            #expect(names.joined(separator: "/") == path || "/b/" + names.joined(separator: "/") == path)
        }
        #expect(found > 1000)
    }
}
