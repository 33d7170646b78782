internal import COpenSSL

/// A hash function of the SHA-2 family (FIPS 180-4), with HMAC and PBKDF2.
///
/// Any thread.
package enum HashFunction: Sendable, Hashable {
    case sha256
    case sha384
    case sha512

    /// The size of a digest, in bytes.
    package var digestSize: Int {
        switch self {
        case .sha256: 32
        case .sha384: 48
        case .sha512: 64
        }
    }

    /// The digest of a message: ``digestSize`` bytes.
    package func digest(of message: Span<UInt8>) throws(CryptographyError) -> [UInt8] {
        let function = try implementation()
        let digest = unsafe message.withUnsafeBufferPointer { message in
            unsafe filled(digestSize) { digest in
                unsafe EVP_Digest(message.baseAddress, message.count, digest, nil, function.handle, nil) == 1
            }
        }
        guard let digest else { throw .last("no digest") }
        return digest
    }

    /// The SHA-256 of a message as four numbers, for frequent look-ups: nothing is allocated.
    package static func sha256Words(
        of message: Span<UInt8>
    ) throws(CryptographyError) -> (UInt64, UInt64, UInt64, UInt64) {
        let function = try HashFunction.sha256.implementation()
        var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)
        let isDone = unsafe message.withUnsafeBufferPointer { message in
            unsafe withUnsafeMutableBytes(of: &words) { words in
                unsafe EVP_Digest(
                    message.baseAddress, message.count, words.baseAddress?.assumingMemoryBound(to: UInt8.self), nil,
                    function.handle, nil) == 1
            }
        }
        guard isDone else { throw .last("no digest") }
        return words
    }

    /// The keyed digest of a message (HMAC, RFC 2104): ``digestSize`` bytes.
    package func authenticate(_ message: Span<UInt8>, key: Span<UInt8>) throws(CryptographyError) -> [UInt8] {
        let function = try implementation()
        guard let keyCount = Int32(exactly: key.count) else { throw CryptographyError("the key is too long") }
        let code = unsafe message.withUnsafeBufferPointer { message in
            unsafe key.withUnsafeBufferPointer { key in
                unsafe filled(digestSize) { code in
                    unsafe HMAC(
                        function.handle, key.baseAddress, keyCount, message.baseAddress, message.count, code, nil)
                        != nil
                }
            }
        }
        guard let code else { throw .last("no HMAC") }
        return code
    }

    /// A key derived from a password (PBKDF2, RFC 8018 §5.2).
    ///
    /// - Parameters:
    ///   - count: the size of the key, in bytes.
    ///   - iterations: the number of iterations, at least 1.
    package func stretch(
        _ password: Span<UInt8>, salt: Span<UInt8>, iterations: Int, count: Int
    ) throws(CryptographyError) -> [UInt8] {
        let function = try implementation()
        guard let passwordCount = Int32(exactly: password.count), let saltCount = Int32(exactly: salt.count),
            let rounds = Int32(exactly: iterations), let size = Int32(exactly: count), rounds > 0, size > 0
        else { throw CryptographyError("PBKDF2 with these parameters is not possible") }
        let key = unsafe password.withUnsafeBytes { password in
            unsafe salt.withUnsafeBufferPointer { salt in
                unsafe filled(count) { key in
                    unsafe PKCS5_PBKDF2_HMAC(
                        password.baseAddress?.assumingMemoryBound(to: CChar.self), passwordCount, salt.baseAddress,
                        saltCount, rounds, function.handle, size, key) == 1
                }
            }
        }
        guard let key else { throw .last("no key") }
        return key
    }

    func implementation() throws(CryptographyError) -> Implementation {
        let fetched =
            switch self {
            case .sha256: Implementation.sha256
            case .sha384: Implementation.sha384
            case .sha512: Implementation.sha512
            }
        guard let fetched else { throw CryptographyError("there is no SHA-2") }
        return fetched
    }

    /// OpenSSL's implementation, fetched once, because fetching costs more than the digest of a token.
    @safe struct Implementation: Sendable {
        // Never changed and never freed.
        nonisolated(unsafe) let handle: OpaquePointer

        static let sha256 = Implementation("SHA256")
        static let sha384 = Implementation("SHA384")
        static let sha512 = Implementation("SHA512")

        private init?(_ name: String) {
            guard Library.isReady, let handle = unsafe EVP_MD_fetch(nil, name, nil) else {
                ERR_clear_error()
                return nil
            }
            unsafe self.handle = handle
        }
    }
}

/// `count` bytes written by OpenSSL; `nil` if that failed.
///
/// - Parameter write: writes to the given address, and returns whether it has written all bytes.
func filled(_ count: Int, _ write: (UnsafeMutablePointer<UInt8>) -> Bool) -> [UInt8]? {
    guard count > 0 else { return [] }
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, written in
        guard let start = buffer.baseAddress, unsafe write(start) else { return }
        written = count
    }
    return bytes.count == count ? bytes : nil
}
