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

/// The side that opened the admission stream: sends its proof at once, then checks the other's.
///
/// States: `proving` → `done`. Send ``proof``, then give the answer to ``receive(_:)``.
struct AdmissionOpener {
    enum OnProof: Equatable {
        case admitted
        case refused
    }

    private let context: AdmissionContext
    private let key: AuthenticationKey

    init(context: AdmissionContext, key: AuthenticationKey) {
        self.context = context
        self.key = key
    }

    var proof: [UInt8] { context.proof(of: .opener, key: key) }

    func receive(_ proof: [UInt8]) -> OnProof {
        constantTimeEqual(proof, context.proof(of: .acceptor, key: key)) ? .admitted : .refused
    }
}

/// The other side: checks the opener's proof and answers with its own, or with one that proves nothing.
///
/// A node with another key and one with none do the same work and answer with 32 bytes that look alike.
struct AdmissionAcceptor {
    struct OnProof: Equatable {
        let isAdmitted: Bool
        let answer: [UInt8]
    }

    private let context: AdmissionContext
    private let key: AuthenticationKey?
    private let standIn: [UInt8]

    /// - Parameters:
    ///   - key: the realm's admission key; `nil` outside a realm.
    ///   - standIn: 32 fresh random bytes.
    init(context: AdmissionContext, key: AuthenticationKey?, standIn: [UInt8]) {
        self.context = context
        self.key = key
        self.standIn = standIn
    }

    func receive(_ proof: [UInt8]) -> OnProof {
        let isEqual = constantTimeEqual(proof, authenticate(context.message(of: .opener)))
        let isAdmitted = isEqual && key != nil
        let answer = context.message(of: .acceptor)
        return OnProof(
            isAdmitted: isAdmitted,
            answer: isAdmitted ? authenticate(answer) : hmacSHA256(key: standIn, message: answer))
    }

    private func authenticate(_ message: [UInt8]) -> [UInt8] {
        key?.authenticate(message) ?? hmacSHA256(key: standIn, message: message)
    }
}
