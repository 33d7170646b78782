internal import COpenSSL

/// The cost of a scrypt computation (RFC 7914 §2).
package struct Scrypt: Sendable, Hashable {
    /// The logarithm of the cost N.
    package let logarithm: Int
    /// The block size r; a computation needs 128 · N · r bytes of memory.
    package let blockSize: Int
    /// The parallelisation p; OpenSSL makes these computations one after the other.
    package let parallelism: Int

    /// `nil` if a computation would take more than 128 MiB, or more than 2²² blocks of 128 bytes in all.
    ///
    /// Limited, because a value that an administrator writes into a file must not stop the broker.
    package init?(logarithm: Int, blockSize: Int, parallelism: Int) {
        guard 1...20 ~= logarithm, 1...64 ~= blockSize, 1...64 ~= parallelism,
            // RFC 7914 §2: N < 2^(128 * r / 8).
            logarithm < 16 * blockSize,
            blockSize << logarithm <= 1 << 20, (blockSize * parallelism) << logarithm <= 1 << 22
        else { return nil }
        self.init(unchecked: logarithm, blockSize, parallelism)
    }

    private init(unchecked logarithm: Int, _ blockSize: Int, _ parallelism: Int) {
        self.logarithm = logarithm
        self.blockSize = blockSize
        self.parallelism = parallelism
    }

    /// The cost for new passwords: 32 MiB, and about 0.3 s of a processor.
    package static let standard = Scrypt(unchecked: 15, 8, 3)

    /// The memory that a computation takes, in bytes.
    package var memory: Int { 128 * blockSize << logarithm }

    /// A key derived from a password.
    ///
    /// - Parameter count: the size of the key, in bytes.
    package func stretch(
        _ password: Span<UInt8>, salt: Span<UInt8>, count: Int
    ) throws(CryptographyError) -> [UInt8] {
        guard Library.isReady, count > 0 else { throw CryptographyError("there is no scrypt") }
        // OpenSSL counts the blocks of all p computations and some working memory.
        let limit = UInt64(memory + 128 * blockSize * (parallelism + 2) + 4096)
        let key = unsafe password.withUnsafeBytes { password in
            unsafe salt.withUnsafeBufferPointer { salt in
                unsafe filled(count) { key in
                    unsafe EVP_PBE_scrypt(
                        password.baseAddress?.assumingMemoryBound(to: CChar.self), password.count, salt.baseAddress,
                        salt.count, 1 << UInt64(logarithm), UInt64(blockSize), UInt64(parallelism), limit, key, count)
                        == 1
                }
            }
        }
        guard let key else { throw .last("no key") }
        return key
    }
}
