import Testing

@testable import Broker

@Suite("§3.1: the commands of broker.v1.json")
struct JSONCommandTests {
    /// A command in short: the parsed command, or the code of the refusal.
    private func read(_ text: String, limits: TopicLimits = TopicLimits()) throws -> String {
        let bytes = Array(text.utf8)
        let object = try JSONObject.parse(bytes.span)
        do throws(Refusal) {
            return Self.describe(try JSONCommand(object, limits: limits))
        } catch {
            #expect(!error.message.isEmpty && error.message.hasSuffix("."))
            return error.code.rawValue
        }
    }

    private static func describe(_ command: JSONCommand) -> String {
        switch command {
        case .subscribe(let filters, let options):
            var words = ["subscribe"] + filters.map(\.name)
            if !options.wantsSnapshot { words.append("no-snapshot") }
            if !options.hearsItself { words.append("no-echo") }
            if let since = options.since { words.append("since=\(since.epoch.map { "\($0)-" } ?? "")\(since.seq)") }
            if let rewind = options.rewind { words.append("\(rewind)") }
            if options.slow != .close { words.append(options.slow.rawValue) }
            return words.joined(separator: " ")
        case .unsubscribe(let filters): return "unsubscribe " + filters.map(\.name).joined(separator: " ")
        case .ping: return "ping"
        case .authenticate(.bearer(let token)): return "authenticate \(token)"
        case .authenticate(.basic(let user, let password)): return "authenticate \(user) \(password)"
        case .authenticate: return "authenticate"
        case .request(let draft, let timeout): return describe(.publish(draft)) + " timeout=\(timeout)"
        case .publish(let draft):
            var words = ["publish", draft.topic.name, "\(draft.kind)", String(decoding: draft.payload, as: UTF8.self)]
            if draft.isRetained { words.append("retained") }
            words.append("\(draft.acknowledgement)")
            if let key = draft.key { words.append("key=\(key.text)") }
            if let type = draft.contentType { words.append(type) }
            if let time = draft.timeToLive { words.append("ttl=\(time)") }
            switch draft.condition {
            case .none, .expired, .ended: break
            case .ephemeral(let lease):
                words.append("ephemeral grace=\(lease.grace)")
                if let farewell = lease.farewell { words.append(String(decoding: farewell.payload, as: UTF8.self)) }
            case .absent: words.append("absent")
            case .present: words.append("present")
            case .matches(let seqs): words.append("seq=\(seqs)")
            }
            return words.joined(separator: " ")
        }
    }

    static let accepted: [(String, String)] = [
        (#"{"op":"ping"}"#, "ping"),
        (
            #"{"op":"publish","topic":"a","data":1,"ephemeral":true,"grace":1.5,"farewell":{"data":"bye"}}"#,
            "publish a json 1 retained routed ephemeral grace=1500 bye"
        ),
        (#"{"op":"ping","id":5,"unknown":{"op":"x"}}"#, "ping"),
        (#"{"op":"authenticate","token":"t"}"#, "authenticate t"),
        (#"{"op":"authenticate","user":"u","password":"p"}"#, "authenticate u p"),
        (#"{"op":"subscribe","filter":"sensors/+/temp"}"#, "subscribe sensors/+/temp"),
        (#"{"op":"subscribe","filter":["a","b/#"]}"#, "subscribe a b/#"),
        (#"{"op":"subscribe","filter":"a","snapshot":false,"echo":false}"#, "subscribe a no-snapshot no-echo"),
        (#"{"op":"subscribe","filter":"a","snapshot":true,"echo":null}"#, "subscribe a"),
        (#"{"op":"subscribe","filter":"a","slow":"close","since":null}"#, "subscribe a"),
        (#"{"op":"subscribe","filter":"a","slow":"latest","since":0}"#, "subscribe a since=0 latest"),
        (#"{"op":"subscribe","filter":"a","slow":"drop-oldest","since":"17"}"#, "subscribe a since=17 drop-oldest"),
        (#"{"op":"subscribe","filter":"a","since":"9007-12"}"#, "subscribe a since=9007-12"),
        (#"{"op":"subscribe","filter":"a","since":"-50"}"#, "subscribe a last(50)"),
        (#"{"op":"subscribe","filter":"a","since":"10m"}"#, "subscribe a age(600000)"),
        (#"{"op":"subscribe","filter":"a","since":"0s"}"#, "subscribe a age(0)"),
        (#"{"op":"subscribe","filter":"a","since":"all"}"#, "subscribe a all"),
        (#"{"op":"subscribe","filter":"a","since":"latest"}"#, "subscribe a last(1)"),
        (#"{"op":"unsubscribe","filter":"a/+"}"#, "unsubscribe a/+"),
        (#"{"op":"unsubscribe","filter":["a","b"]}"#, "unsubscribe a b"),
        (#"{"op":"publish","topic":"a","data":21.5}"#, "publish a json 21.5 routed"),
        (#"{"op":"publish","topic":"a","data":"21.5"}"#, "publish a text 21.5 routed"),
        (#"{"op":"publish","topic":"a","data":"é\n"}"#, "publish a text é\n routed"),
        (#"{"op":"publish","topic":"a","data":null}"#, "publish a json null routed"),
        (#"{"op":"publish","topic":"a","data":{"b":[ 1 ]}}"#, #"publish a json {"b":[ 1 ]} routed"#),
        (#"{"op":"publish","topic":"a","data":""}"#, "publish a text  routed"),
        (#"{"op":"publish","topic":"a","data":"aGk=","encoding":"base64"}"#, "publish a binary hi routed"),
        (#"{"op":"publish","topic":"a","data":"","encoding":"base64"}"#, "publish a binary  routed"),
        (#"{"op":"publish","topic":"a","data":1,"retain":true}"#, "publish a json 1 retained stored"),
        (#"{"op":"publish","topic":"a","data":1,"retain":true,"ack":"routed"}"#, "publish a json 1 retained routed"),
        (#"{"op":"publish","topic":"a","data":1,"ack":"stored"}"#, "publish a json 1 stored"),
        (#"{"op":"publish","topic":"a","data":1,"type":"image/png"}"#, "publish a json 1 routed image/png"),
        (#"{"op":"publish","topic":"a","data":1,"key":"k é"}"#, "publish a json 1 routed key=k é"),
        (#"{"op":"publish","topic":"a","data":1,"reply":true}"#, "publish a json 1 routed timeout=10000"),
        (#"{"op":"publish","topic":"a","data":1,"reply":true,"timeout":0.5}"#, "publish a json 1 routed timeout=500"),
        (#"{"op":"publish","topic":"a","data":1,"reply":false,"timeout":0.5}"#, "publish a json 1 routed"),
        (#"{"op":"publish","topic":"a","data":1,"ttl":1.5}"#, "publish a json 1 routed ttl=1500"),
        (#"{"op":"publish","topic":"a","data":1,"retain":true,"ifSeq":0}"#, "publish a json 1 retained stored absent"),
        (#"{"op":"publish","topic":"a","data":1,"retain":true,"ifSeq":7}"#, "publish a json 1 retained stored seq=[7]"),
        (#"{"op":"publish","topic":"a b/é//","data":1}"#, "publish a b/é// json 1 routed"),
    ]

    /// Headers keep their order, and the values of a name theirs.
    @Test func readsMessageProperties() throws {
        let command = #"""
            {"op":"publish","topic":"a","data":1,"headers":{"b":"1","a":["2","","é"],"none":[]},"replyTo":"r/1",
            "correlation":"\u00e9"}
            """#
        let object = try JSONObject.parse(Array(command.utf8).span)
        guard case .publish(let draft) = try JSONCommand(object, limits: TopicLimits()) else { return }
        let properties = try #require(draft.properties)
        #expect(properties.headers.map { "\($0.name)=\($0.value)" } == ["b=1", "a=2", "a=", "a=é"])
        #expect(properties.replyTo?.name == "r/1" && properties.correlation == Array("é".utf8))
        var writer = JSONWriter()
        writer.beginObject()
        MessageObject.write(properties, to: &writer)
        writer.endObject()
        #expect(
            String(decoding: writer.bytes, as: UTF8.self)
                == #"{"headers":{"b":"1","a":["2","","é"]},"replyTo":"r/1","correlation":"é"}"#)
    }

    @Test(arguments: accepted)
    func accepts(command: String, understood: String) throws {
        #expect(try read(command) == understood)
    }

    static let refused: [(String, String)] = [
        ("{}", "bad-request"), (#"{"op":null}"#, "bad-request"), (#"{"op":5}"#, "bad-request"),
        (#"{"op":""}"#, "bad-request"), (#"{"op":"Subscribe","filter":"a"}"#, "bad-request"),
        (#"{"op":"message"}"#, "bad-request"), (#"{"op":"authenticate"}"#, "bad-request"),
        (#"{"op":"authenticate","token":"t","user":"u","password":"p"}"#, "bad-request"),
        (#"{"op":"authenticate","user":"u"}"#, "bad-request"),
        (#"{"op":"subscribe"}"#, "bad-filter"), (#"{"op":"subscribe","filter":""}"#, "bad-filter"),
        (#"{"op":"subscribe","filter":null}"#, "bad-filter"), (#"{"op":"subscribe","filter":[]}"#, "bad-filter"),
        (#"{"op":"subscribe","filter":"a/#/b"}"#, "bad-filter"), (#"{"op":"subscribe","filter":"a+"}"#, "bad-filter"),
        (#"{"op":"subscribe","filter":["a","b#"]}"#, "bad-filter"),
        (#"{"op":"subscribe","filter":"a\u0000"}"#, "bad-filter"),
        (#"{"op":"subscribe","filter":5}"#, "bad-request"), (#"{"op":"subscribe","filter":["a",5]}"#, "bad-request"),
        (#"{"op":"subscribe","filter":[["a"]]}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","snapshot":1}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","echo":"false"}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","since":-5}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","since":1.5}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","since":""}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","since":"1-"}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","since":"+1"}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","since":"-0"}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","since":"-"}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","since":"10x"}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","since":"m"}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","since":"1.5h"}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","since":"newest"}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","since":"1-2-3"}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","since":true}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","slow":"never"}"#, "bad-request"),
        (#"{"op":"subscribe","filter":"a","slow":5}"#, "bad-request"),
        (#"{"op":"unsubscribe"}"#, "bad-filter"), (##"{"op":"unsubscribe","filter":"#/a"}"##, "bad-filter"),
        (#"{"op":"publish","topic":"a","data":1,"key":""}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"key":1}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"headers":["b"]}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"headers":{"b":1}}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"headers":{"b":["1",2]}}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"headers":{"":"1"}}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"replyTo":"a/+"}"#, "bad-topic"),
        (#"{"op":"publish","topic":"a","data":1,"correlation":1}"#, "bad-request"),
        (#"{"op":"publish","data":1}"#, "bad-topic"), (#"{"op":"publish","topic":null,"data":1}"#, "bad-topic"),
        (#"{"op":"publish","topic":"","data":1}"#, "bad-topic"),
        (#"{"op":"publish","topic":"a/+","data":1}"#, "bad-topic"),
        (##"{"op":"publish","topic":"#","data":1}"##, "bad-topic"),
        (#"{"op":"publish","topic":"a\u007f","data":1}"#, "bad-topic"),
        (#"{"op":"publish","topic":5,"data":1}"#, "bad-request"), (#"{"op":"publish","topic":"a"}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":"x","encoding":"hex"}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":"x","encoding":"base64"}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"encoding":"base64"}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":"aGk=","encoding":1}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"type":""}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"type":"a\r\nb"}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"type":1}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"retain":"true"}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"ack":"disk"}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"ack":true}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"ttl":0}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"ttl":-5}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"ttl":1e300}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"ttl":1e999}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"ttl":"5s"}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"ifSeq":7}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"retain":true,"ifSeq":-1}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"retain":true,"ifSeq":1.5}"#, "bad-request"),
        (#"{"op":"publish","topic":"a","data":1,"retain":true,"ifSeq":18446744073709551616}"#, "bad-request"),
    ]

    @Test(arguments: refused)
    func refuses(command: String, code: String) throws {
        #expect(try read(command) == code)
    }

    @Test func saysThatAFilterIsAString() throws {
        let bytes = Array(#"{"op":"subscribe","filter":null}"#.utf8)
        let object = try JSONObject.parse(bytes.span)
        do throws(Refusal) {
            Issue.record("accepted: \(Self.describe(try JSONCommand(object, limits: TopicLimits())))")
        } catch {
            #expect(error == Refusal(.badFilter, "filter: expected a string or a list of strings, found null."))
        }
    }

    /// What the object at the beginning of `text` publishes, read in one pass, and what follows it; `nil`: it is not
    /// read so.
    private func readPlainly(_ text: String, limits: TopicLimits = TopicLimits()) -> (draft: String, rest: String)? {
        let bytes = Array(text.utf8)
        guard let publication = PlainPublication(bytes.span, from: 0),
            let topic = try? Topic(bytes: publication.topicName(in: bytes.span), limits: limits)
        else { return nil }
        let draft = publication.draft(of: bytes.span, to: topic)
        return (Self.describe(.publish(draft)), String(decoding: bytes[publication.end...], as: UTF8.self))
    }

    static let plain = [
        #"{"op":"publish","topic":"a/b","data":21.5}"#,
        #" { "data" : { "b":[1,"\u00e9"] } , "topic":"a/é" ,"op":"publish" } "#,
        #"{"op":"publish","id":"x","topic":"a","data":"\"\u00e9\n","retain":true}"#,
        #"{"op":"publish","id":7,"topic":"a","data":null,"retain":false,"ack":"stored"}"#,
        #"{"op":"publish","topic":"a long name of a topic","data":"","retain":true,"ack":"routed"}"#,
    ]

    @Test(arguments: plain)
    func theFastReaderAgreesOnPublications(command: String) throws {
        #expect(readPlainly(command)?.draft == (try read(command)))
    }

    static let shortNumbers = [
        "0", "7", "-7", "10", "123456", "1234567", "12345678", "0.5", "-0.5", "1.25", "12345.6", "123456.7", "1e3",
        "1.5e-3", "1E3",
        "00", "01", "1.", ".5", "1.e3", "-", "+1", "1.2.3", "1..2", "1-2", "0x1", "1e", "123456.", "1 2", "truth",
        "tru", "falsehood",
    ]

    /// The value of every kind that JSON knows and does not know, before another member and as the last.
    @Test(arguments: JSONVectors.valid.map { ($0) } + JSONVectors.invalid.map { $0.0 } + shortNumbers)
    func theFastReaderAgreesOnEveryValue(value: String) throws {
        for object in [
            #"{"op":"publish","topic":"a","data":\#(value),"retain":true}"#,
            #"{"op":"publish","topic":"a","data":\#(value)}"#,
            #"{"op":"publish","topic":"a","retain":false,"id":\#(value),"data":1}"#,
            #"{"op":"publish","topic":"a","data":1,"retain":\#(value)}"#,
        ] {
            guard let found = readPlainly(object) else { continue }
            #expect(found.draft == (try read(object)))
        }
    }

    /// Like most publications, so that the test above covers this fast path.
    @Test(arguments: ["0", "7", "123456", "0.5", "12345.6", "true", "false", #""text""#, "{}", "-7", "1e3"])
    func theFastReaderAcceptsCommonValues(value: String) throws {
        let command = #"{"op":"publish","id":3,"topic":"a/b","data":\#(value),"retain":true}"#
        #expect(readPlainly(command)?.draft == (try read(command)))
    }

    @Test func theFastReaderStopsAfterTheObject() {
        #expect(readPlainly(#"{"op":"publish","topic":"a","data":1} {"op":"ping"}"#)?.rest == #" {"op":"ping"}"#)
    }

    @Test(arguments: accepted + refused)
    func theFastReaderNeverDisagrees(command: String, understood: String) {
        guard let found = readPlainly(command) else { return }
        #expect(found.draft == understood)
    }

    static let notPlain = [
        "", " ", "{}", "[]", "{", #"{"op":"publish"}"#, #"{"op":"ping","topic":"a","data":1}"#,
        #"{"op":"publish","topic":"a","data":1"#, #"{"op":"publish","topic":"a","data":1,}"#,
        #"{"op":"publish","topic":"a","data":1,"data":1}"#, #"{"op":"publish","op":"publish","topic":"a","data":1}"#,
        #"{"op":"publish","topic":"a","d\u0061ta":1}"#, #"{"op":"publish","topic":"a","data":1,"x":1}"#,
        #"{"op":"publish","topic":"\u0061","data":1}"#, #"{"op":"publish","topic":"a/+","data":1}"#,
        #"{"op":"publish","topic":"a","data":01}"#, #"{"op":"publish","topic":"a","data":"\ud800"}"#,
        #"{"op":"publish","topic":"a","data":1,"id":null}"#, #"{"op":"publish","topic":"a","data":1,"retain":null}"#,
        #"{"op":"publish","topic":"a","data":1,"ack":null}"#,
        #"{"op":"publish","topic":"a","data":"# + String(repeating: "[", count: 64)
            + String(repeating: "]", count: 64) + "}",
    ]

    @Test(arguments: notPlain)
    func theFastReaderDeclinesUnusualCommands(command: String) {
        #expect(readPlainly(command)?.draft == nil)
    }

    @Test func enforcesTopicLimits() throws {
        let limits = TopicLimits(maximumBytes: 5, maximumLevels: 2)
        #expect(
            try read(#"{"op":"publish","topic":"abcde","data":1}"#, limits: limits) == "publish abcde json 1 routed")
        #expect(try read(#"{"op":"publish","topic":"abcdef","data":1}"#, limits: limits) == "bad-topic")
        #expect(readPlainly(#"{"op":"publish","topic":"abcdef","data":1}"#, limits: limits)?.draft == nil)
        #expect(try read(#"{"op":"subscribe","filter":"a/b/c"}"#, limits: limits) == "bad-filter")
    }
}
