internal import DeP2PIdentity

/// What both sides of an admission compute over: pure.
///
/// The exporter value binds a proof to one TLS connection, the NodeIDs to its two ends, and the role to one direction:
/// so a proof cannot be replayed on another connection, relayed through a third node, or reflected to its maker.
struct AdmissionContext: Equatable {
    enum Role: String {
        case opener = "dep2p-realm-admission-opener-v1"
        case acceptor = "dep2p-realm-admission-acceptor-v1"
    }

    static let exporterLabel = "EXPORTER-dep2p-realm"
    static let exporterLength = 32
    static let proofLength = 32
    /// The label of the admission key below the realm key.
    static let keyLabel = "dep2p-realm-admission-v1"

    let exporter: [UInt8]
    /// The node that opened the admission stream.
    let opener: NodeID
    let acceptor: NodeID

    func proof(of role: Role, key: AuthenticationKey) -> [UInt8] { key.authenticate(message(of: role)) }

    /// What a proof is computed over.
    func message(of role: Role) -> [UInt8] {
        var message: [UInt8] = []
        for part in [Array(role.rawValue.utf8), exporter, opener.bytes, acceptor.bytes] {
            // Every part behind its length, so that no two sequences of parts read the same.
            Varint.append(UInt64(part.count), to: &message)
            message.append(contentsOf: part)
        }
        return message
    }
}
