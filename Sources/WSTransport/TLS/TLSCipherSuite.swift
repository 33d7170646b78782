internal import COpenSSL

/// OpenSSL's functions for a cipher, and its state.
typealias TLSCipher = tls_cipher

/// The cipher suites of TLS 1.3 that OpenSSL negotiates by default (RFC 8446 §B.4), by their numbers on the wire.
package enum TLSCipherSuite: UInt16, CaseIterable {
    case aes128GCM = 0x1301
    case aes256GCM = 0x1302
    case chaCha20Poly1305 = 0x1303

    /// The length of the authentication tag at the end of each record, in bytes; the same for all of them.
    static let tagLength = 16

    /// The length of a key, in bytes.
    package var keyLength: Int { self == .aes128GCM ? 16 : 32 }

    /// The length of the hash, and so of a traffic secret, in bytes.
    package var hashLength: Int { self == .aes256GCM ? 48 : 32 }

    /// Its place in a list of all suites.
    var index: Int { Int(rawValue &- Self.aes128GCM.rawValue) }

    /// OpenSSL's name of the cipher.
    private var name: String {
        switch self {
        case .aes128GCM: "AES-128-GCM"
        case .aes256GCM: "AES-256-GCM"
        case .chaCha20Poly1305: "ChaCha20-Poly1305"
        }
    }

    /// OpenSSL's functions for the ciphers, found once; without those that it does not have.
    private nonisolated(unsafe) static let ciphers: [TLSCipherSuite: tls_cipher] = {
        var found: [TLSCipherSuite: tls_cipher] = unsafe [:]
        for suite in allCases {
            var cipher = unsafe tls_cipher()
            if unsafe tls_cipher_find(&cipher, suite.name) == 1 { unsafe found[suite] = cipher }
        }
        TLSErrorQueue.clear()
        return unsafe found
    }()

    /// Whether OpenSSL offers the functions that ``makeCipher()`` needs.
    var isAvailable: Bool { unsafe Self.ciphers[self] != nil }

    /// Makes OpenSSL's state for this cipher, without a key; `nil` if it is not available, or memory has run out.
    ///
    /// The caller closes it.
    func makeCipher() -> tls_cipher? {
        guard var cipher = unsafe Self.ciphers[self], unsafe tls_cipher_open(&cipher) == 1 else { return nil }
        return unsafe cipher
    }

    /// HKDF-Expand-Label with an empty context (RFC 8446 §7.1): fills `result`, which is at most as long as the hash.
    ///
    /// One block is enough for such a length, so it is one HMAC (RFC 5869 §2.3).
    ///
    /// - Returns: `false` if OpenSSL failed.
    func expand(_ secret: UnsafeRawBufferPointer, _ label: StaticString, into result: UnsafeMutableRawBufferPointer)
        -> Bool
    {
        let name = "tls13 \(label)"
        var info = [UInt8(truncatingIfNeeded: result.count >> 8), UInt8(truncatingIfNeeded: result.count)]
        info += [UInt8(truncatingIfNeeded: name.utf8.count)] + name.utf8
        // The context's length, and the number of the block.
        info += [0, 1]
        var block = [UInt8](repeating: 0, count: hashLength)
        var count: UInt32 = 0
        let hash = unsafe self == .aes256GCM ? EVP_sha384() : EVP_sha256()
        let isDone =
            unsafe HMAC(
                hash, secret.baseAddress, Int32(truncatingIfNeeded: secret.count), info, info.count, &block, &count)
            != nil
        guard isDone, count >= result.count else { return false }
        unsafe result.copyBytes(from: block.prefix(result.count))
        unsafe OPENSSL_cleanse(&block, block.count)
        return true
    }
}
