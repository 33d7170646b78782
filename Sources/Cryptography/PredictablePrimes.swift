/// Recognises RSA keys that a faulty generator has made (CVE-2017-15361, "ROCA").
///
/// Its primes are powers of 65537 modulo the product of the first small primes, and so is a modulus of two of them. Such
/// keys can be factored. Nemec et al., "The Return of Coppersmith's Attack", §2.3.
enum PredictablePrimes {
    /// The primes that are tried.
    ///
    /// A random modulus passes all of them once in some hundred million cases.
    private static let primes: [UInt] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
        113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ]

    /// Whether a modulus is a power of 65537 for each of the small primes.
    ///
    /// - Parameter remainder: the modulus's remainder by a prime.
    static func have(_ remainder: (UInt) -> UInt) -> Bool {
        primes.allSatisfy { prime in
            let wanted = remainder(prime)
            var power: UInt = 1
            repeat {
                if power == wanted { return true }
                power = power * 65537 % prime
            } while power != 1
            return false
        }
    }
}
