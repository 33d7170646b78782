internal import COpenSSL

/// A key in OpenSSL's representation: a public key, or one with its private half.
///
/// Any thread: nothing changes it after `init`.
@safe final class OpenSSLKey: Sendable {
    nonisolated(unsafe) private let handle: OpaquePointer

    private init(_ handle: OpaquePointer) { unsafe self.handle = handle }

    deinit { unsafe EVP_PKEY_free(handle) }

    /// A public key as DER.
    convenience init(subjectPublicKeyInfo der: [UInt8]) throws(KeyError) {
        guard let handle = unsafe Self.read(der, { unsafe d2i_PUBKEY(nil, $0, $1) }, unsafe EVP_PKEY_free) else {
            throw KeyError("this is no public key")
        }
        unsafe self.init(handle)
    }

    /// The key of a certificate as DER.
    convenience init(certificate der: [UInt8]) throws(KeyError) {
        guard let certificate = unsafe Self.read(der, { unsafe d2i_X509(nil, $0, $1) }, unsafe X509_free) else {
            throw KeyError("this is no certificate")
        }
        defer { unsafe X509_free(certificate) }
        guard let handle = unsafe X509_get_pubkey(certificate) else {
            ERR_clear_error()
            throw KeyError("the certificate has no key that can be used")
        }
        unsafe self.init(handle)
    }

    /// A private key as DER: PKCS #8, or the older forms of RSA and of curves.
    convenience init(privateKey der: [UInt8]) throws(KeyError) {
        guard let handle = unsafe Self.read(der, { unsafe d2i_AutoPrivateKey(nil, $0, $1) }, unsafe EVP_PKEY_free)
        else {
            throw KeyError("this is no private key")
        }
        unsafe self.init(handle)
    }

    /// The object that OpenSSL reads from all of `der`: with trailing bytes, two readers might see two different
    /// objects.
    private static func read(
        _ der: [UInt8], _ parse: (UnsafeMutablePointer<UnsafePointer<UInt8>?>, Int) -> OpaquePointer?,
        _ free: (OpaquePointer?) -> Void
    ) -> OpaquePointer? {
        guard Library.isReady else { return nil }
        defer { ERR_clear_error() }
        return unsafe der.withUnsafeBufferPointer { der in
            var position = der.baseAddress
            guard let found = unsafe parse(&position, der.count) else { return nil }
            guard let start = der.baseAddress, let end = unsafe position, unsafe end - start == der.count else {
                unsafe free(found)
                return nil
            }
            return unsafe found
        }
    }

    // MARK: Properties

    /// Its public half as DER; empty if it cannot be encoded.
    var subjectPublicKeyInfo: [UInt8] {
        defer { ERR_clear_error() }
        let count = unsafe i2d_PUBKEY(handle, nil)
        guard count > 0 else { return [] }
        return unsafe [UInt8](unsafeUninitializedCapacity: Int(count)) { space, written in
            var place = space.baseAddress
            written = unsafe Int(max(0, i2d_PUBKEY(handle, &place)))
        }
    }

    /// The kind of the key; throws if it is not one that is used here.
    func kind() throws(KeyError) -> VerificationKey.Kind {
        switch unsafe EVP_PKEY_get_base_id(handle) {
        case EVP_PKEY_RSA: return .rsa
        case EVP_PKEY_ED25519: return .ed25519
        case EVP_PKEY_EC:
            var name = [CChar](repeating: 0, count: 64)
            var count = 0
            let isNamed = unsafe EVP_PKEY_get_group_name(handle, &name, name.count, &count) == 1
            ERR_clear_error()
            switch isNamed ? String(decoding: name.prefix(count).map(UInt8.init(bitPattern:)), as: UTF8.self) : "" {
            case "prime256v1": return .p256
            case "secp384r1": return .p384
            default: throw KeyError("a curve other than P-256 and P-384")
            }
        default: throw KeyError("a key of another kind than RSA, P-256, P-384 and Ed25519")
        }
    }

    var bitCount: Int { Int(unsafe EVP_PKEY_get_bits(handle)) }

    /// The public exponent of an RSA key; `nil` if there is none, or it is longer than 8 bytes.
    var exponent: UInt64? {
        defer { ERR_clear_error() }
        var number: OpaquePointer?
        guard unsafe EVP_PKEY_get_bn_param(handle, OSSL_PKEY_PARAM_RSA_E, &number) == 1, unsafe number != nil else {
            return nil
        }
        defer { unsafe BN_free(number) }
        guard unsafe BN_num_bits(number) <= 64 else { return nil }
        return UInt64(unsafe BN_get_word(number))
    }

    /// Whether an RSA key has primes that can be computed from its modulus.
    var hasPredictablePrimes: Bool {
        defer { ERR_clear_error() }
        var modulus: OpaquePointer?
        guard unsafe EVP_PKEY_get_bn_param(handle, OSSL_PKEY_PARAM_RSA_N, &modulus) == 1, unsafe modulus != nil else {
            return false
        }
        defer { unsafe BN_free(modulus) }
        return PredictablePrimes.have { prime in unsafe UInt(BN_mod_word(modulus, .init(prime))) }
    }

    /// Whether its numbers can be a key: a point on the curve, a modulus without small factors.
    var isConsistent: Bool {
        defer { ERR_clear_error() }
        guard let context = unsafe EVP_PKEY_CTX_new_from_pkey(nil, handle, nil) else { return false }
        defer { unsafe EVP_PKEY_CTX_free(context) }
        return unsafe EVP_PKEY_public_check(context) == 1
    }

    // MARK: Signatures in OpenSSL's encoding

    /// Whether a signature is valid for a message.
    func verifies(_ signature: Span<UInt8>, of message: Span<UInt8>, by algorithm: SignatureAlgorithm) -> Bool {
        defer { ERR_clear_error() }
        // RFC 8017 §8.1.2, §8.2.2: it has as many octets as the modulus; OpenSSL does not check that for PSS.
        guard algorithm.kind != .rsa || signature.count == Int(unsafe EVP_PKEY_get_size(handle)) else { return false }
        guard let context = unsafe EVP_MD_CTX_new() else { return false }
        defer { unsafe EVP_MD_CTX_free(context) }
        var inner: OpaquePointer?
        let function: OpaquePointer?
        do throws(CryptographyError) {
            unsafe function = try unsafe self.function(of: algorithm)
        } catch {
            return false
        }
        guard unsafe EVP_DigestVerifyInit(context, &inner, function, nil, handle) == 1,
            unsafe setPadding(inner, algorithm)
        else { return false }
        return unsafe signature.withUnsafeBufferPointer { signature in
            unsafe message.withUnsafeBufferPointer { message in
                unsafe EVP_DigestVerify(
                    context, signature.baseAddress, signature.count, message.baseAddress, message.count) == 1
            }
        }
    }

    /// The signature of a message.
    func sign(_ message: Span<UInt8>, by algorithm: SignatureAlgorithm) throws(CryptographyError) -> [UInt8] {
        guard let context = unsafe EVP_MD_CTX_new() else { throw .last("no signature") }
        defer { unsafe EVP_MD_CTX_free(context) }
        var inner: OpaquePointer?
        let function = try unsafe function(of: algorithm)
        guard unsafe EVP_DigestSignInit(context, &inner, function, nil, handle) == 1,
            unsafe setPadding(inner, algorithm)
        else { throw .last("no signature") }
        var count = Int(unsafe EVP_PKEY_get_size(handle))
        let signature = unsafe message.withUnsafeBufferPointer { message in
            unsafe filled(count) { bytes in
                unsafe EVP_DigestSign(context, bytes, &count, message.baseAddress, message.count) == 1
            }
        }
        guard let signature, count <= signature.count else { throw .last("no signature") }
        return Array(signature.prefix(count))
    }

    /// `nil` if the algorithm does its own hashing.
    private func function(of algorithm: SignatureAlgorithm) throws(CryptographyError) -> OpaquePointer? {
        guard let hash = algorithm.hash else { return nil }
        return unsafe try hash.implementation().handle
    }

    /// RFC 7518 §3.5: MGF1 with the same hash function, and a salt as long as its digest.
    private func setPadding(_ context: OpaquePointer?, _ algorithm: SignatureAlgorithm) -> Bool {
        guard algorithm.kind == .rsa else { return true }
        guard algorithm.isPSS else { return unsafe EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 }
        return unsafe EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1
            && EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1
    }
}
