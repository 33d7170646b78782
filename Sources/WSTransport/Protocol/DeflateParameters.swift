/// The settings of permessage-deflate for one side of a connection (RFC 7692).
public struct CompressionOptions: Sendable, Equatable {
    /// The compression level, from 1 (fast) to 9 (small).
    public var level = 1
    /// The smallest message that is compressed, in bytes; smaller ones are sent as they are.
    public var minimum = 256
    /// Whether the server compresses each message independently of earlier ones.
    ///
    /// If so, a broadcast is compressed once for all clients, and an idle connection needs no memory for a window.
    public var serverNoContextTakeover = true
    /// Whether the client compresses each message independently of earlier ones.
    public var clientNoContextTakeover = true
    /// The maximum window bits of the server's messages, 9 to 15.
    public var serverWindowBits = 15
    /// The maximum window bits of the client's messages, 9 to 15.
    public var clientWindowBits = 15

    /// Creates options; those not given have their defaults, and all are checked when a server starts or a socket is
    /// opened.
    public init(
        level: Int = 1, minimum: Int = 256, serverNoContextTakeover: Bool = true, clientNoContextTakeover: Bool = true,
        serverWindowBits: Int = 15, clientWindowBits: Int = 15
    ) {
        self.level = level
        self.minimum = minimum
        self.serverNoContextTakeover = serverNoContextTakeover
        self.clientNoContextTakeover = clientNoContextTakeover
        self.serverWindowBits = serverWindowBits
        self.clientWindowBits = clientWindowBits
    }

    /// An invalid value; `nil` if there is none.
    var problem: String? {
        if !(1...9).contains(level) {
            "level: \(level) is not from 1 to 9"
        } else if minimum < 0 {
            "minimum: \(minimum) is below 0"
        } else if !(9...15).contains(serverWindowBits) || !(9...15).contains(clientWindowBits) {
            "window bits are from 9 to 15"
        } else {
            nil
        }
    }
}

/// The parameters that both sides have agreed on (RFC 7692 §7.1).
package struct DeflateParameters: Equatable, Sendable {
    /// The extension's name.
    static let name = "permessage-deflate"
    /// The window bits that RFC 7692 defines.
    static let windowBits = 8...15

    /// Whether the server compresses each message by itself.
    package var serverNoContextTakeover = false
    /// Whether the client compresses each message by itself.
    package var clientNoContextTakeover = false
    /// The window bits of the server's messages; `nil` if not limited: 15.
    package var serverWindowBits: Int?
    /// The window bits of the client's messages; `nil` if not limited: 15.
    package var clientWindowBits: Int?

    /// No parameters.
    package init() {}

    /// The extension with its parameters, as written in the header field.
    package var fieldValue: String {
        var text = Self.name
        if serverNoContextTakeover { text += "; server_no_context_takeover" }
        if clientNoContextTakeover { text += "; client_no_context_takeover" }
        if let serverWindowBits { text += "; server_max_window_bits=\(serverWindowBits)" }
        if let clientWindowBits { text += "; client_max_window_bits=\(clientWindowBits)" }
        return text
    }

    // MARK: Server

    /// The agreement on the first of `offers` that is acceptable; `nil` if there is none (RFC 7692 §5.1).
    ///
    /// A parameter that is unknown, illegal or given twice declines its offer.
    package static func accept(
        _ offers: [NegotiatedExtension], _ options: CompressionOptions
    ) -> DeflateParameters? {
        for offer in offers where offer.name == name {
            if let parameters = accept(offer, options) { return parameters }
        }
        return nil
    }

    private static func accept(_ offer: NegotiatedExtension, _ options: CompressionOptions) -> DeflateParameters? {
        guard let asked = Readout(offer, isOffer: true) else { return nil }
        var agreed = asked.parameters
        agreed.serverNoContextTakeover = agreed.serverNoContextTakeover || options.serverNoContextTakeover
        // §7.1.1.2: the server may require this although the client did not offer it.
        agreed.clientNoContextTakeover = agreed.clientNoContextTakeover || options.clientNoContextTakeover
        if asked.parameters.serverWindowBits != nil || options.serverWindowBits < windowBits.upperBound {
            let bits = min(asked.parameters.serverWindowBits ?? windowBits.upperBound, options.serverWindowBits)
            // zlib makes no raw stream with a window of 8 bits, and an answer must not exceed the requested bits.
            guard Deflater.windowBits.contains(bits) else { return nil }
            agreed.serverWindowBits = bits
        }
        // §7.1.2.2: only a client that named the parameter can be limited.
        if asked.namesClientWindowBits {
            let bits = min(asked.parameters.clientWindowBits ?? windowBits.upperBound, options.clientWindowBits)
            agreed.clientWindowBits =
                asked.parameters.clientWindowBits != nil || bits < windowBits.upperBound ? bits : nil
        }
        return agreed
    }

    // MARK: Client

    /// The offer of a client with these options, as written in the header field.
    package static func offer(_ options: CompressionOptions) -> String {
        var asked = DeflateParameters()
        asked.serverNoContextTakeover = options.serverNoContextTakeover
        asked.clientNoContextTakeover = options.clientNoContextTakeover
        if options.serverWindowBits < windowBits.upperBound { asked.serverWindowBits = options.serverWindowBits }
        if options.clientWindowBits < windowBits.upperBound { asked.clientWindowBits = options.clientWindowBits }
        return asked.fieldValue + (asked.clientWindowBits == nil ? "; client_max_window_bits" : "")
    }

    /// The agreement in a server's answer to ``offer(_:)``; `nil` if the RFC does not allow it (§7.1).
    package static func check(
        _ answer: NegotiatedExtension, offered options: CompressionOptions
    ) -> DeflateParameters? {
        guard answer.name == name, let read = Readout(answer, isOffer: false) else { return nil }
        var agreed = read.parameters
        guard agreed.serverNoContextTakeover || !options.serverNoContextTakeover else { return nil }
        if options.serverWindowBits < windowBits.upperBound {
            guard let bits = agreed.serverWindowBits, bits <= options.serverWindowBits else { return nil }
        }
        // §7.1.1.2, §7.1.2.2: the offer's parameters for our own side were a hint, which we keep in any case.
        agreed.clientNoContextTakeover = agreed.clientNoContextTakeover || options.clientNoContextTakeover
        if options.clientWindowBits < windowBits.upperBound {
            agreed.clientWindowBits = min(agreed.clientWindowBits ?? windowBits.upperBound, options.clientWindowBits)
        }
        return agreed
    }
}

/// The parameters of one offer or answer; each must be legal and occur once.
private struct Readout {
    var parameters = DeflateParameters()
    /// Whether `client_max_window_bits` is present, with or without a value.
    var namesClientWindowBits = false

    init?(_ read: NegotiatedExtension, isOffer: Bool) {
        // There are four legal names, so few parameters are compared.
        for (place, parameter) in read.parameters.enumerated() {
            guard !read.parameters[..<place].contains(where: { $0.name == parameter.name }) else { return nil }
            switch (parameter.name, parameter.value) {
            case ("server_no_context_takeover", nil): parameters.serverNoContextTakeover = true
            case ("client_no_context_takeover", nil): parameters.clientNoContextTakeover = true
            case ("server_max_window_bits", let value?):
                guard let bits = Self.windowBits(value) else { return nil }
                parameters.serverWindowBits = bits
            case ("client_max_window_bits", let value?):
                guard let bits = Self.windowBits(value) else { return nil }
                parameters.clientWindowBits = bits
                namesClientWindowBits = true
            // §7.1.2.2: it may have no value in an offer, and must have one in an answer.
            case ("client_max_window_bits", nil) where isOffer: namesClientWindowBits = true
            default: return nil
            }
        }
    }

    /// §7.1.2: a decimal number from 8 to 15 without leading zeros.
    private static func windowBits(_ text: String) -> Int? {
        guard text.utf8.first != UInt8(ascii: "0"), text.utf8.count <= 2, text.utf8.allSatisfy(\.isDigit),
            let bits = Int(text), DeflateParameters.windowBits.contains(bits)
        else { return nil }
        return bits
    }
}
