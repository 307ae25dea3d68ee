internal import DeP2PIdentity

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
    /// Whether the other side has proven itself in the handshake.
    let isPeerProven: Bool

    /// - Parameter greeting: what the other side said in the handshake, where this one dialled it and it said anything.
    init(context: AdmissionContext, key: AuthenticationKey, greeting: [UInt8]? = nil) {
        self.context = context
        self.key = key
        isPeerProven =
            greeting.map {
                constantTimeEqual(
                    $0, AdmissionContext.earlyProof(of: context.acceptor, exporter: context.exporter, key: key))
            } ?? false
    }

    var proof: [UInt8] { context.proof(of: .opener, key: key) }

    func receive(_ proof: [UInt8]) -> OnProof {
        constantTimeEqual(proof, context.proof(of: .acceptor, key: key)) ? .admitted : .refused
    }
}
