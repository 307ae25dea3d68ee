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

    init(context: AdmissionContext, key: AuthenticationKey) {
        self.context = context
        self.key = key
    }

    var proof: [UInt8] { context.proof(of: .opener, key: key) }

    func receive(_ proof: [UInt8]) -> OnProof {
        constantTimeEqual(proof, context.proof(of: .acceptor, key: key)) ? .admitted : .refused
    }
}
