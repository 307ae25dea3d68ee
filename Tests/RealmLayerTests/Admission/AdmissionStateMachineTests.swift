import DeP2PIdentity
import DeP2PSimulation
import Testing

@testable import DeP2PRealm

@Suite struct AdmissionStateMachineTests {
    private let nodes = (0..<3).map { _ in IdentityKey.generate().nodeID }
    private let key = AuthenticationKey(SecureRandom.bytes(32))
    private let standIn = SecureRandom.bytes(32)
    private let exporter = SecureRandom.bytes(32)

    private func context(exporter: [UInt8]? = nil, opener: Int = 0, acceptor: Int = 1) -> AdmissionContext {
        AdmissionContext(exporter: exporter ?? self.exporter, opener: nodes[opener], acceptor: nodes[acceptor])
    }

    private func acceptor(_ context: AdmissionContext, key: AuthenticationKey?) -> AdmissionAcceptor {
        AdmissionAcceptor(context: context, key: key, standIn: standIn)
    }

    @Test func theSameKeyAdmitsBothWays() {
        let opener = AdmissionOpener(context: context(), key: key)
        let verdict = acceptor(context(), key: key).receive(opener.proof)
        #expect(verdict.isAdmitted)
        #expect(opener.receive(verdict.answer) == .admitted)
    }

    @Test func anotherKeyAndNoKeyAnswerAlike() {
        let opener = AdmissionOpener(context: context(), key: key)
        let other = acceptor(context(), key: AuthenticationKey(SecureRandom.bytes(32))).receive(opener.proof)
        let none = acceptor(context(), key: nil).receive(opener.proof)
        #expect(other == none)
        #expect(!none.isAdmitted && none.answer.count == AdmissionContext.proofLength)
        #expect(opener.receive(none.answer) == .refused)
    }

    /// A node outside a realm is not entered by whoever guesses the key it stands in with.
    @Test func noKeyAdmitsNobodyEvenWithTheStandIn() {
        let opener = AdmissionOpener(context: context(), key: AuthenticationKey(standIn))
        #expect(!acceptor(context(), key: nil).receive(opener.proof).isAdmitted)
    }

    @Test func aProofIsGoodForOneConnectionOnly() {
        let proof = AdmissionOpener(context: context(), key: key).proof
        let replayed = acceptor(context(exporter: SecureRandom.bytes(32)), key: key)
        #expect(!replayed.receive(proof).isAdmitted)
    }

    @Test func aProofIsGoodForItsTwoNodesOnly() {
        let proof = AdmissionOpener(context: context(), key: key).proof
        for (opener, acceptor) in [(2, 1), (0, 2), (1, 0), (2, 0)] {
            let relayed = self.acceptor(context(opener: opener, acceptor: acceptor), key: key)
            #expect(!relayed.receive(proof).isAdmitted)
        }
    }

    @Test func aProofReflectedProvesNothing() {
        let opener = AdmissionOpener(context: context(), key: key)
        #expect(opener.receive(opener.proof) == .refused)
        // The peer opens an admission of its own with what it was just sent.
        #expect(!acceptor(context(opener: 1, acceptor: 0), key: key).receive(opener.proof).isAdmitted)
    }

    @Test func partsCannotBeShiftedIntoOneAnother() {
        let one = AdmissionContext(exporter: [1, 2, 3], opener: nodes[0], acceptor: nodes[1])
        let two = AdmissionContext(exporter: [1, 2], opener: nodes[0], acceptor: nodes[1])
        #expect(one.proof(of: .opener, key: key) != two.proof(of: .opener, key: key))
        #expect(one.proof(of: .opener, key: key) != one.proof(of: .acceptor, key: key))
    }

    private func early(of node: Int, exporter: [UInt8]? = nil, key: AuthenticationKey? = nil) -> [UInt8] {
        AdmissionContext.earlyProof(of: nodes[node], exporter: exporter ?? self.exporter, key: key ?? self.key)
    }

    /// And nobody can tell by what is sent then, or by how long it is.
    @Test func whoHasProvenItselfInTheHandshakeIsAMemberAlready() {
        let opener = AdmissionOpener(context: context(), key: key, greeting: early(of: 1))
        let unknowing = AdmissionOpener(context: context(), key: key)
        #expect(opener.isPeerProven && !unknowing.isPeerProven && opener.proof == unknowing.proof)
        let verdict = acceptor(context(), key: key).receive(opener.proof)
        let refusal = acceptor(context(), key: nil).receive(opener.proof)
        #expect(verdict.isAdmitted && opener.receive(verdict.answer) == .admitted)
        #expect(!refusal.isAdmitted && opener.receive(refusal.answer) == .refused)
        #expect(verdict.answer.count == refusal.answer.count)
    }

    /// Of another session, another node, another realm, or no bytes of the sort: and then its word counts for nothing.
    @Test func anyOtherGreetingProvesNothing() {
        let other = AuthenticationKey(SecureRandom.bytes(32))
        let right = early(of: 1)
        let wrong = [
            early(of: 1, exporter: SecureRandom.bytes(32)), early(of: 0), early(of: 2), early(of: 1, key: other), [],
            Array(right.dropLast()), right + [0], SecureRandom.bytes(32),
            context().proof(of: .opener, key: key), context().proof(of: .acceptor, key: key),
        ]
        for greeting in wrong.map(Optional.some) + [nil] {
            let opener = AdmissionOpener(context: context(), key: key, greeting: greeting)
            #expect(!opener.isPeerProven)
            #expect(opener.receive([]) == .refused)
            #expect(opener.receive(right) == .refused)
        }
    }

    @Test func aGreetingIsNoOtherProof() {
        for node in 0..<2 {
            let verdict = acceptor(context(), key: key).receive(early(of: node))
            #expect(!verdict.isAdmitted)
            let opener = AdmissionOpener(context: context(), key: key)
            #expect(opener.receive(early(of: node)) == .refused)
        }
    }

    @Test func wrongLengthsAndRandomBytesAreRefused() {
        var random = SplitMix64(seed: 6)
        let acceptor = acceptor(context(), key: key)
        let proof = AdmissionOpener(context: context(), key: key).proof
        for _ in 0..<500 {
            let bytes = random.bytes(upTo: 64)
            if let decoded = try? AdmissionMessage.decode(bytes) { #expect(!acceptor.receive(decoded).isAdmitted) }
            #expect(!acceptor.receive(bytes).isAdmitted)
            #expect(!acceptor.receive(Array(proof.prefix(bytes.count % 32))).isAdmitted)
        }
        #expect(!acceptor.receive(proof + [0]).isAdmitted)
    }
}
