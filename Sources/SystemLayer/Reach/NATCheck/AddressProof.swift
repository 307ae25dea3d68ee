internal import DeP2PIdentity
internal import DeP2PReactor

/// By which a node shows others that it receives at an address: pure.
///
/// An observer that is asked for one writes it and sends it to where the request came from, so that only who receives
/// there has it. Whoever trusts that observer has it checked by it, and by no one else can it be: the observer keeps
/// nothing, and its key is its process's. Whoever shows a proof that somebody else got has to be told it by him.
struct AddressProof: Sendable {
    /// When it was written, in nanoseconds of the observer's clock, and a code over that and the address.
    static let length = 8 + codeLength
    /// How long it counts: for an exchange through a relay.
    static let lifetime = Duration.seconds(20)
    private static let codeLength = 16
    private static let label = Array("dep2p address proof v1".utf8)

    private let key: [UInt8]

    init(key: [UInt8]) { self.key = key }

    func make(for address: SocketAddress, now: NetworkInstant) -> [UInt8] {
        let time = now.nanoseconds.bigEndianBytes
        return time + code(address, time)
    }

    func isValid(_ proof: [UInt8], for address: SocketAddress, now: NetworkInstant) -> Bool {
        guard proof.count == Self.length else { return false }
        let time = Array(proof.prefix(8))
        guard constantTimeEqual(Array(proof.dropFirst(8)), code(address, time)) else { return false }
        let written = NetworkInstant(nanoseconds: time.reduce(0) { $0 << 8 | UInt64($1) })
        return written <= now && now.duration(since: written) < Self.lifetime
    }

    private func code(_ address: SocketAddress, _ time: [UInt8]) -> [UInt8] {
        let parts = Self.label + [address.ip.family.rawValue] + address.ip.bytes + address.port.bigEndianBytes + time
        return Array(hmacSHA256(key: key, message: parts).prefix(Self.codeLength))
    }
}

/// What the attribute ADDRESS-PROOF has in it, by who sends it (PROTOCOL.md, section 18).
enum AddressProofAttribute: Equatable {
    /// Of a request: a proof is wanted; nothing.
    case wanted
    /// Of a request: is this one right? The address as in MAPPED-ADDRESS, and the proof.
    case question(SocketAddress, [UInt8])
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
        guard !value.isEmpty else { return .wanted }
        guard value.count > AddressProof.length,
            let address = STUNAttribute.address(Array(value.dropLast(AddressProof.length)))
        else { return nil }
        return .question(address, Array(value.suffix(AddressProof.length)))
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
            case .wanted: []
            case .question(let address, let proof): STUNAttribute.bytes(address) + proof
            case .proof(let proof): proof
            case .verdict(let isRight): [0, 0, 0, isRight ? 1 : 0]
            }
        return .other(STUNAttribute.Code.addressProof, value)
    }
}
