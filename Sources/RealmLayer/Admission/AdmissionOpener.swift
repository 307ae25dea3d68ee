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

    var proof: AdmissionMessage {
        AdmissionMessage(mac: context.proof(of: .opener, key: key), isProven: isPeerProven)
    }

    func receive(_ answer: AdmissionMessage) -> OnProof {
        // A stranger's word that this side's proof was right is no proof of its own.
        if answer.isProven, isPeerProven { return .admitted }
        return constantTimeEqual(answer.mac, context.proof(of: .acceptor, key: key)) ? .admitted : .refused
    }
}
