internal import DeP2PIdentity

/// What both sides of an admission compute over: pure.
///
/// The exporter value binds a proof to one TLS connection, the NodeIDs to its two ends, and the role to one direction:
/// so a proof cannot be replayed on another connection, relayed through a third node, or reflected to its maker.
///
/// Who was dialled has most often proven itself in the handshake already, and then only the other proof is missing.
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
        Self.message(of: [Array(role.rawValue.utf8), exporter, opener.bytes, acceptor.bytes])
    }

    /// What who was dialled proves itself with in the handshake, before it knows by whom: the exporter value is known to the
    /// two ends of the TLS session alone, and whoever reads it checks that its end is the one that it dialled.
    static func earlyProof(of dialled: NodeID, exporter: [UInt8], key: AuthenticationKey) -> [UInt8] {
        key.authenticate(message(of: [Array(earlyRole.utf8), exporter, dialled.bytes]))
    }

    private static let earlyRole = "dep2p-realm-admission-early-v1"

    private static func message(of parts: [[UInt8]]) -> [UInt8] {
        var message: [UInt8] = []
        for part in parts {
            // Every part behind its length, so that no two sequences of parts read the same.
            Varint.append(UInt64(part.count), to: &message)
            message.append(contentsOf: part)
        }
        return message
    }
}
