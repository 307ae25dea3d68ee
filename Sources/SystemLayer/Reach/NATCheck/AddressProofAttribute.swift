internal import DeP2PIdentity
internal import DeP2PReactor

/// What the attribute ADDRESS-PROOF has in it, by who sends it (PROTOCOL.md, section 18).
enum AddressProofAttribute: Equatable {
    /// Of a request: a proof is wanted, for that context.
    case wanted([UInt8])
    /// Of a request: is this one right? The address as in MAPPED-ADDRESS, the context and the proof.
    case question(SocketAddress, [UInt8], [UInt8])
    /// Of a response: the proof.
    case proof([UInt8])
    /// Of a response: whether it is, in four bytes.
    case verdict(Bool)

    init?(_ message: STUNMessage) {
        for case .other(STUNAttribute.Code.addressProof, let value) in message.attributes {
            guard let found = message.kind == .request ? Self.asked(value) : Self.answered(value) else { return nil }
            self = found
            return
        }
        return nil
    }

    private static func asked(_ value: [UInt8]) -> Self? {
        guard value.count != AddressProof.contextLength else { return .wanted(value) }
        let rest = AddressProof.contextLength + AddressProof.length
        guard value.count > rest, let address = STUNAttribute.address(Array(value.dropLast(rest))) else { return nil }
        let behind = Array(value.suffix(rest))
        return .question(
            address, Array(behind.prefix(AddressProof.contextLength)), Array(behind.suffix(AddressProof.length)))
    }

    private static func answered(_ value: [UInt8]) -> Self? {
        switch value.count {
        case AddressProof.length: .proof(value)
        case 4: .verdict(value == [0, 0, 0, 1])
        default: nil
        }
    }

    var attribute: STUNAttribute {
        let value: [UInt8] =
            switch self {
            case .wanted(let context): context
            case .question(let address, let context, let proof): STUNAttribute.bytes(address) + context + proof
            case .proof(let proof): proof
            case .verdict(let isRight): [0, 0, 0, isRight ? 1 : 0]
            }
        return .other(STUNAttribute.Code.addressProof, value)
    }
}
