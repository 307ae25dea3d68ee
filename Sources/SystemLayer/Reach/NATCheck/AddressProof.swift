internal import DeP2PIdentity
internal import DeP2PReactor

/// By which a node shows others that it receives at an address: pure.
///
/// An observer that is asked for one writes it and sends it to where the request came from, so that only who receives
/// there has it. Whoever trusts that observer has it checked by it, and by no one else can it be: the observer keeps
/// nothing, and its key is its process's. A proof is written for one connection, of which the asker names something that
/// only its two ends know: what a node shows one peer that peer can show nobody else.
struct AddressProof: Sendable {
    /// When it was written, in nanoseconds of the observer's clock, and a code over that, the address and what it is for.
    static let length = 8 + codeLength
    /// How long it counts: for an exchange through a relay.
    static let lifetime = Duration.seconds(20)
    /// Of what names the connection that it is for, and the side.
    static let contextLength = 16
    private static let codeLength = 16
    private static let label = Array("dep2p address proof v1".utf8)

    private let key: [UInt8]

    init(key: [UInt8]) { self.key = key }

    func make(for address: SocketAddress, in context: [UInt8], now: NetworkInstant) -> [UInt8] {
        let time = now.nanoseconds.bigEndianBytes
        return time + code(address, context, time)
    }

    func isValid(_ proof: [UInt8], for address: SocketAddress, in context: [UInt8], now: NetworkInstant) -> Bool {
        guard proof.count == Self.length, context.count == Self.contextLength else { return false }
        let time = Array(proof.prefix(8))
        guard constantTimeEqual(Array(proof.dropFirst(8)), code(address, context, time)) else { return false }
        let written = NetworkInstant(nanoseconds: time.reduce(0) { $0 << 8 | UInt64($1) })
        return written <= now && now.duration(since: written) < Self.lifetime
    }

    private func code(_ address: SocketAddress, _ context: [UInt8], _ time: [UInt8]) -> [UInt8] {
        let parts =
            Self.label + context + [address.ip.family.rawValue] + address.ip.bytes + address.port.bigEndianBytes + time
        return Array(hmacSHA256(key: key, message: parts).prefix(Self.codeLength))
    }
}
