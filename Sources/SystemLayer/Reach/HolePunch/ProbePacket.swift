internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor

/// A path probe or its answer: a datagram beside QUIC, authenticated by keys of one connection.
///
/// Layout, 57 bytes, integers in network order: `0x20 ‖ kind ‖ link (8) ‖ sequence (4) ‖ nonce (8) ‖ family ‖ ip (16) ‖
/// port (2) ‖ tag (16)`. The address is, in an answer, where the probe came from; zero in a probe. The tag is
/// HMAC-SHA256, cut to 16 bytes, over all before it, under the sender's key.
struct ProbePacket: Equatable, Sendable {
    enum Kind: UInt8, Sendable {
        case probe = 1
        case answer = 2
        /// From the server to the client, which alone can migrate: the path drops what QUIC sends, small as this is.
        case stalled = 3
        /// From the server to the client, which would hear nothing else from there: this is where it is now.
        case moved = 4
    }

    static let length = 57
    private static let tagLength = 16

    let kind: Kind
    /// Of the probe; an answer repeats it.
    let sequence: UInt32
    /// Unpredictable, so that only who received the probe can answer it.
    let nonce: UInt64
    /// Where the answered probe came from.
    let observed: SocketAddress?

    func encoded(link: UInt64, key: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = [DatagramKind.pathProbeByte, kind.rawValue]
        bytes.reserveCapacity(Self.length)
        bytes += link.bigEndianBytes + sequence.bigEndianBytes + nonce.bigEndianBytes
        let ip = observed?.ip
        bytes.append(ip?.family.rawValue ?? 0)
        let address = ip?.bytes ?? []
        bytes += address + [UInt8](repeating: 0, count: 16 - address.count)
        bytes += (observed?.port ?? 0).bigEndianBytes
        return bytes + hmacSHA256(key: key, message: bytes).prefix(Self.tagLength)
    }

    /// The link that a datagram claims to be of; `nil` when it cannot be a probe.
    static func link(of datagram: [UInt8]) -> UInt64? {
        guard datagram.count == length, datagram[0] == DatagramKind.pathProbeByte else { return nil }
        return datagram[2..<10].reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// `nil` when the datagram is no probe, or not the key's owner's.
    init?(_ datagram: [UInt8], key: [UInt8]) {
        guard Self.link(of: datagram) != nil, let kind = Kind(rawValue: datagram[1]) else { return nil }
        let signed = Array(datagram.dropLast(Self.tagLength))
        let tag = Array(hmacSHA256(key: key, message: signed).prefix(Self.tagLength))
        guard constantTimeEqual(tag, Array(datagram.suffix(Self.tagLength))) else { return nil }
        self.kind = kind
        sequence = datagram[10..<14].reduce(0) { $0 << 8 | UInt32($1) }
        nonce = datagram[14..<22].reduce(0) { $0 << 8 | UInt64($1) }
        let count = datagram[22] == 4 ? 4 : datagram[22] == 6 ? 16 : 0
        let port = datagram[39..<41].reduce(0) { $0 << 8 | UInt16($1) }
        observed = IPAddress(bytes: datagram[23..<23 + count]).map { SocketAddress($0, port: port) }
    }

    init(_ kind: Kind, sequence: UInt32, nonce: UInt64, observed: SocketAddress? = nil) {
        (self.kind, self.sequence, self.nonce, self.observed) = (kind, sequence, nonce, observed)
    }
}

/// The keys of one connection's probes, from its TLS exporter: nobody else has them, and no other connection.
struct ProbeKeys: Sendable {
    static let label = "EXPORTER-dep2p-holepunch"
    static let secretLength = 32

    let own: [UInt8]
    let peer: [UInt8]
    private let host: [UInt8]
    /// Of what proofs of addresses are for: those of the client's, and of the server's.
    private let contexts: (client: [UInt8], server: [UInt8])
    private let isClient: Bool

    /// - Parameter secret: of what the exporter gives for ``label``, without a salt.
    init(_ secret: HKDF, isClient: Bool) {
        func derive(_ info: String) -> [UInt8] { secret.expand(info: Array(info.utf8), count: 32) }
        own = derive(isClient ? "client" : "server")
        peer = derive(isClient ? "server" : "client")
        host = derive("host")
        contexts = (
            Array(derive("client address").prefix(AddressProof.contextLength)),
            Array(derive("server address").prefix(AddressProof.contextLength))
        )
        self.isClient = isClient
    }

    /// What a proof of this side's address is for, and one of the peer's (``AddressProof``).
    var ownContext: [UInt8] { isClient ? contexts.client : contexts.server }
    var peerContext: [UInt8] { isClient ? contexts.server : contexts.client }

    /// Names the connection in its probes.
    static func link(_ secret: HKDF) -> UInt64 {
        secret.expand(info: Array("link".utf8), count: 8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Proves to the peer that this node runs on the machine with that secret, when the peer does too.
    ///
    /// The key is the connection's, and so bound to the NodeIDs of its two ends; the role is in the message, so that
    /// what one side has sent proves nothing when the other sends it back.
    func hostMark(_ machine: [UInt8]) -> [UInt8] { hostMark(machine, ofClient: isClient) }

    /// Whether `mark` is such a proof, by the peer.
    func isHostMark(_ mark: [UInt8], of machine: [UInt8]) -> Bool {
        constantTimeEqual(mark, hostMark(machine, ofClient: !isClient))
    }

    private func hostMark(_ machine: [UInt8], ofClient: Bool) -> [UInt8] {
        let key = hmacSHA256(key: machine, message: host)
        let role = ofClient ? "dep2p host mark client v1" : "dep2p host mark server v1"
        return Array(hmacSHA256(key: key, message: Array(role.utf8)).prefix(HolePunchMessage.hostMarkLength))
    }
}
