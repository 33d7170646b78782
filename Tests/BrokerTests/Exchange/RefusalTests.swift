import Testing

@testable import Broker
@testable import WSTransport

@Suite("§3.5: error codes, HTTP statuses and close codes")
struct RefusalTests {
    static let statuses: [(String, Int)] = [
        ("bad-request", 400), ("bad-topic", 400), ("bad-filter", 400), ("unauthenticated", 401), ("forbidden", 403),
        ("not-found", 404), ("conflict", 412), ("too-large", 413), ("limit-exceeded", 429), ("rate-limited", 429),
        ("internal", 500), ("unavailable", 503), ("storage-full", 507),
    ]

    @Test(arguments: statuses)
    func mapsCodesToHTTPStatuses(word: String, status: Int) throws {
        let code = try #require(ErrorCode(rawValue: word))
        #expect(code.status == status)
        // Back again, the code may be another of the same status.
        #expect(ErrorCode(status: status).status == status)
    }

    @Test func theTableListsEveryCode() {
        #expect(Set(ErrorCode.allCases.map(\.rawValue)) == Set(Self.statuses.map(\.0)))
    }

    @Test(arguments: [
        (405, "bad-request"), (408, "bad-request"), (414, "too-large"), (415, "bad-request"), (417, "bad-request"),
        (426, "bad-request"), (431, "too-large"), (500, "internal"), (501, "bad-request"), (502, "internal"),
        (505, "bad-request"),
    ])
    func mapsHTTPStatusesToCodes(status: Int, word: String) {
        #expect(ErrorCode(status: status).rawValue == word)
    }

    @Test(arguments: [
        (StorageError.full, ErrorCode.storageFull), (.limit("retained.maximum_bytes"), .limitExceeded),
        (.damaged("x"), .internal), (.inUse("x"), .internal), (.system(code: 5, what: "x"), .unavailable),
    ])
    func mapsStorageErrorsToCodes(error: StorageError, code: ErrorCode) {
        let refusal = Refusal(error)
        #expect(refusal.code == code && refusal.message.hasSuffix("."))
    }

    /// §3.6, for sockets that have no error messages.
    @Test(arguments: [
        (ErrorCode.forbidden, UInt16(4403)), (.rateLimited, 4429), (.unavailable, 1013), (.storageFull, 1011),
        (.internal, 1011), (.badTopic, 4400), (.limitExceeded, 4400),
    ])
    func mapsCodesToCloseCodes(code: ErrorCode, close: UInt16) {
        #expect(CloseCode(Refusal(code, "")).rawValue == close)
    }

    @Test func writesTheErrorObjectOfTheContract() {
        let answer = Routes.refusal(HTTPRefusal(Refusal(.badTopic, "No \"topic\".")))
        #expect(answer.status == 400 && answer.fields.first("Content-Type") == "application/json")
        let text = String(decoding: answer.body, as: UTF8.self)
        #expect(text == #"{"error":{"code":"bad-topic","message":"No \"topic\"."}}"# + "\n")
        let bare = Routes.refusal(HTTPRefusal(status: 431, message: "Too much."))
        #expect(String(decoding: bare.body, as: UTF8.self).contains(#""code":"too-large""#))
    }
}
