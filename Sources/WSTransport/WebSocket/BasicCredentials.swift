/// A name and a password, as sent in `Authorization: Basic` (RFC 7617).
package struct BasicCredentials: Hashable, Sendable {
    /// Without a colon.
    package let user: String
    /// May be empty.
    package let password: String

    /// `nil` if `user` contains a colon, which would end it, or either contains a control character.
    package init?(user: String, password: String) {
        let isText = { (text: String) in text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }
        guard !user.utf8.contains(UInt8(ascii: ":")), isText(user), isText(password) else { return nil }
        self.user = user
        self.password = password
    }

    /// Parses `user` or `user:password` from a URL, percent-encoded; `nil` if it is malformed.
    init?(userInformation text: Substring) {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard let user = PercentCoding.decode(parts[0]),
            let password = PercentCoding.decode(parts.count == 2 ? parts[1] : "")
        else { return nil }
        self.init(user: user, password: password)
    }

    /// The value of `Authorization` or `Proxy-Authorization`.
    package var fieldValue: String { "Basic " + Base64.encode(Array("\(user):\(password)".utf8)) }
}
