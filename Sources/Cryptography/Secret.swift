internal import COpenSSL

/// Random bytes that cannot be guessed, and a comparison in constant time.
///
/// Any thread.
package enum Secret {
    /// Random bytes for keys, tokens and salts.
    package static func random(_ count: Int) throws(CryptographyError) -> [UInt8] {
        guard let size = Int32(exactly: count), size >= 0, Library.isReady else {
            throw CryptographyError("that many random bytes are not available")
        }
        guard let bytes = unsafe filled(count, { unsafe RAND_bytes($0, size) == 1 }) else {
            throw .last("no random bytes")
        }
        return bytes
    }

    /// Whether two secrets are equal.
    ///
    /// The time it takes depends only on their length.
    package static func areEqual(_ one: Span<UInt8>, _ other: Span<UInt8>) -> Bool {
        guard one.count == other.count else { return false }
        return unsafe one.withUnsafeBytes { one in
            unsafe other.withUnsafeBytes { other in
                unsafe CRYPTO_memcmp(one.baseAddress, other.baseAddress, one.count) == 0
            }
        }
    }
}
