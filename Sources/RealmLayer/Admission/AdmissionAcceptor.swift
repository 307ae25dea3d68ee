internal import DeP2PIdentity

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
