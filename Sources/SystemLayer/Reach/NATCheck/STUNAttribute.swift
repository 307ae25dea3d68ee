internal import DeP2PIdentity
package import DeP2PReactor

/// A STUN attribute: those of RFC 8489 and RFC 5780 that a Binding needs, every other one as raw bytes.
package enum STUNAttribute: Equatable, Sendable {
    /// Attribute types (RFC 8489 section 18.3, RFC 5780 section 10).
    package enum Code {
        package static let mappedAddress: UInt16 = 0x0001
        package static let changeRequest: UInt16 = 0x0003
        package static let username: UInt16 = 0x0006
        package static let messageIntegrity: UInt16 = 0x0008
        package static let errorCode: UInt16 = 0x0009
        package static let unknownAttributes: UInt16 = 0x000a
        package static let realm: UInt16 = 0x0014
        package static let nonce: UInt16 = 0x0015
        package static let messageIntegritySHA256: UInt16 = 0x001c
        package static let xorMappedAddress: UInt16 = 0x0020
        package static let padding: UInt16 = 0x0026
        package static let responsePort: UInt16 = 0x0027
        package static let software: UInt16 = 0x8022
        package static let fingerprint: UInt16 = 0x8028
        package static let responseOrigin: UInt16 = 0x802b
        package static let otherAddress: UInt16 = 0x802c
        /// dep2p's own, from the range that need not be understood (RFC 8489 section 18.3): OTHER-ADDRESS is only for
        /// servers with a second address, and most nodes have one.
        package static let alternatePort: UInt16 = 0xc2d2
        /// dep2p's own, as above: zeros that make a request as long as the answer that it hopes for. PADDING has to be
        /// understood, and most servers don't.
        package static let filler: UInt16 = 0xc2d3
        /// dep2p's own, as above: see ``AddressProofAttribute``.
        package static let addressProof: UInt16 = 0xc2d4
    }

    /// Longest SOFTWARE and reason phrase: fewer than 128 characters of at most 6 bytes (RFC 8489 section 14.14).
    package static let maximumTextLength = 763

    case mappedAddress(SocketAddress)
    case xorMappedAddress(SocketAddress)
    case changeRequest(address: Bool, port: Bool)
    case errorCode(Int, reason: String)
    case unknownAttributes([UInt16])
    /// That many bytes of zeros (RFC 5780 section 7.6).
    case padding(Int)
    case responsePort(UInt16)
    case software(String)
    case responseOrigin(SocketAddress)
    case otherAddress(SocketAddress)
    /// The observer's second port, at the same address, which answers too and which a change of port asks for.
    case alternatePort(UInt16)
    case other(UInt16, [UInt8])

    package var type: UInt16 {
        switch self {
        case .mappedAddress: Code.mappedAddress
        case .xorMappedAddress: Code.xorMappedAddress
        case .changeRequest: Code.changeRequest
        case .errorCode: Code.errorCode
        case .unknownAttributes: Code.unknownAttributes
        case .padding: Code.padding
        case .responsePort: Code.responsePort
        case .software: Code.software
        case .responseOrigin: Code.responseOrigin
        case .otherAddress: Code.otherAddress
        case .alternatePort: Code.alternatePort
        case .other(let type, _): type
        }
    }

    init(type: UInt16, value: [UInt8], transaction: STUNTransactionID) throws(STUNError) {
        guard let attribute = Self.parse(type, value, transaction) else { throw STUNError(.malformed(type)) }
        self = attribute
    }

    private static func parse(_ type: UInt16, _ value: [UInt8], _ transaction: STUNTransactionID) -> Self? {
        switch type {
        case Code.mappedAddress: address(value).map(mappedAddress)
        case Code.xorMappedAddress: address(value, mask: mask(transaction)).map(xorMappedAddress)
        case Code.responseOrigin: address(value).map(responseOrigin)
        case Code.otherAddress: address(value).map(otherAddress)
        case Code.changeRequest where value.count == 4:
            .changeRequest(address: value[3] & 0x04 != 0, port: value[3] & 0x02 != 0)
        case Code.responsePort where value.count == 4: .responsePort(port(value))
        case Code.alternatePort where value.count == 4: .alternatePort(port(value))
        case Code.padding: .padding(value.count)
        case Code.errorCode: error(value)
        case Code.unknownAttributes where value.count % 2 == 0:
            .unknownAttributes(
                stride(from: 0, to: value.count, by: 2).map { UInt16(value[$0]) << 8 | UInt16(value[$0 + 1]) })
        case Code.software where value.count <= maximumTextLength: .software(String(decoding: value, as: UTF8.self))
        case Code.changeRequest, Code.responsePort, Code.alternatePort, Code.unknownAttributes, Code.software: nil
        default: .other(type, value)
        }
    }

    private static func port(_ value: [UInt8]) -> UInt16 { UInt16(value[0]) << 8 | UInt16(value[1]) }

    /// RFC 8489 section 14.8: class 3 to 6, number 0 to 99.
    private static func error(_ value: [UInt8]) -> Self? {
        guard value.count >= 4, value.count <= 4 + maximumTextLength else { return nil }
        let (hundreds, number) = (Int(value[2] & 0x07), Int(value[3]))
        guard (3...6).contains(hundreds), number < 100 else { return nil }
        return .errorCode(hundreds * 100 + number, reason: String(decoding: value[4...], as: UTF8.self))
    }

    func value(transaction: STUNTransactionID) -> [UInt8] {
        switch self {
        case .mappedAddress(let address), .responseOrigin(let address), .otherAddress(let address):
            Self.bytes(address)
        case .xorMappedAddress(let address): Self.bytes(address, mask: Self.mask(transaction))
        case .changeRequest(let address, let port): [0, 0, 0, (address ? 0x04 : 0) | (port ? 0x02 : 0)]
        case .errorCode(let code, let reason):
            [0, 0, UInt8(clamping: code / 100), UInt8(clamping: code % 100)]
                + reason.utf8.prefix(Self.maximumTextLength)
        case .unknownAttributes(let types): types.flatMap(\.bigEndianBytes)
        case .padding(let count): [UInt8](repeating: 0, count: min(max(count, 0), STUNMessage.maximumLength))
        case .responsePort(let port), .alternatePort(let port): port.bigEndianBytes + [0, 0]
        case .software(let text): Array(text.utf8.prefix(Self.maximumTextLength))
        case .other(_, let value): Array(value.prefix(STUNMessage.maximumLength))
        }
    }

    // MARK: Addresses (RFC 8489 sections 14.1 and 14.2)

    private static func mask(_ transaction: STUNTransactionID) -> [UInt8] {
        STUNMessage.magicCookie.bigEndianBytes + transaction.bytes
    }

    static func address(_ value: [UInt8], mask: [UInt8] = [UInt8](repeating: 0, count: 16)) -> SocketAddress? {
        guard value.count == 8 && value[1] == 1 || value.count == 20 && value[1] == 2 else { return nil }
        let port = UInt16(value[2] ^ mask[0]) << 8 | UInt16(value[3] ^ mask[1])
        guard let ip = IPAddress(bytes: zip(value[4...], mask).map { $0 ^ $1 }) else { return nil }
        return SocketAddress(ip, port: port)
    }

    static func bytes(
        _ address: SocketAddress, mask: [UInt8] = [UInt8](repeating: 0, count: 16)
    ) -> [UInt8] {
        let port = address.port.bigEndianBytes
        return [0, address.ip.family == .v4 ? 1 : 2, port[0] ^ mask[0], port[1] ^ mask[1]]
            + zip(address.ip.bytes, mask).map { $0 ^ $1 }
    }
}
