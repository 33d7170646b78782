import Testing

@testable import WSTransport

@Suite("RFC 9110 §5.6.7: dates")
struct HTTPDateTests {
    @Test(
        arguments: [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"), (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (-62_135_596_800, "Mon, 01 Jan 0001 00:00:00 GMT"), (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] as [(Int64, String)])
    func formatsAndParses(seconds: Int64, text: String) {
        #expect(HTTPDate.format(unixSeconds: seconds) == text)
        #expect(HTTPDate.parse(text) == seconds)
    }

    @Test func clampsTheYearToFourDigits() {
        #expect(HTTPDate.format(unixSeconds: .max) == "Fri, 31 Dec 9999 23:59:59 GMT")
        #expect(HTTPDate.format(unixSeconds: .min) == "Mon, 01 Jan 0001 00:00:00 GMT")
    }

    @Test(arguments: [
        "", "Sun, 06 Nov 1994 08:49:37", "Mon, 06 Nov 1994 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT ",
        "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:60 GMT", "Thu, 00 Nov 1994 08:49:37 GMT", "Wed, 29 Feb 2023 00:00:00 GMT",
        "Sat, 31 Jun 2023 00:00:00 GMT", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun  06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov +994 08:49:37 GMT", "Sun, 06 Nov 0000 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994     ", "Sün, 06 Nov 1994 08:49:37 GM",
    ])
    func rejectsInvalidDates(text: String) {
        #expect(HTTPDate.parse(text) == nil)
    }

    /// 2026-11-28, from which two digits are read.
    private static let now: Int64 = 1_795_850_000

    @Test(
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777), ("Tue Feb 29 00:00:00 2000", 951_782_400),
            ("Wednesday, 01-Jan-70 00:00:00 GMT", 3_155_760_000),
            ("Wednesday, 01-Jan-76 00:00:00 GMT", 3_345_062_400), ("Saturday, 01-Jan-77 00:00:00 GMT", 220_924_800),
            ("Monday, 06-Nov-94 08:49:37 GMT", nil), ("Sun, 06-Nov-94 08:49:37 GMT", nil),
            ("Sun Nov 6 08:49:37 1994", nil),
            ("Sun Nov 06 08:49:37 1994", nil), ("Sunday, 06-Nov-1994 08:49:37 GMT", nil),
            ("Sunday, 06-Nov-94 08:49:37", nil),
            ("Sunday, 06-Nov-9x 08:49:37 GMT", nil), ("Sunday, --94 08:49:37 GMT", nil), ("", nil), ("yesterday", nil),
            ("Sun Nov 31 08:49:37 1994", nil),
        ] as [(String, Int64?)])
    func parsesObsoleteForms(text: String, seconds: Int64?) {
        #expect(HTTPDate.parseAny(text, now: Self.now) == seconds)
    }

    @Test(arguments: 0..<200)
    func roundTrips(seed: UInt64) {
        var random = SplitMix(seed: seed)
        let seconds = Int64.random(in: -62_135_596_800...253_402_300_799, using: &random)
        #expect(HTTPDate.parse(HTTPDate.format(unixSeconds: seconds)) == seconds)
    }
}
