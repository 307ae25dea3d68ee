import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

@Suite struct AddressProofTests {
    private let client = v4(203, 0, 113, 9, 40_000)
    private let now = NetworkInstant.milliseconds(5_000)
    private let context = [UInt8](repeating: 3, count: AddressProof.contextLength)
    private let proofs = AddressProof(key: Array(0..<32))

    @Test func aProofIsOfOneAddressForAWhile() {
        let proof = proofs.make(for: client, in: context, now: now)
        #expect(proof.count == AddressProof.length && proofs.isValid(proof, for: client, in: context, now: now))
        #expect(!proofs.isValid(proof, for: SocketAddress(client.ip, port: 40_001), in: context, now: now))
        #expect(!proofs.isValid(proof, for: v4(203, 0, 113, 10, 40_000), in: context, now: now))
        #expect(!proofs.isValid(proof, for: client, in: context, now: now.advanced(by: AddressProof.lifetime)))
        #expect(!proofs.isValid(proof, for: client, in: context, now: .milliseconds(0)), "from before it was written")
        let other = [UInt8](repeating: 4, count: AddressProof.contextLength)
        #expect(!proofs.isValid(proof, for: client, in: other, now: now), "for another connection")
        #expect(!proofs.isValid(proof, for: client, in: [], now: now))
        #expect(!AddressProof(key: [1]).isValid(proof, for: client, in: context, now: now), "another observer's")
        for mutated in mutations(of: proof, rounds: 200, seed: 3) where mutated != proof {
            #expect(!proofs.isValid(mutated, for: client, in: context, now: now))
        }
    }

    private func ask(
        _ responder: inout STUNResponder, _ attribute: AddressProofAttribute, _ others: [STUNAttribute] = [],
        from source: SocketAddress? = nil, longest: Int = STUNResponder.longestProof
    ) throws -> (answer: AddressProofAttribute?, count: Int, asked: Int) {
        let request = STUNMessage.bindingRequest(
            STUNTransactionID(high: 1, low: 2), [attribute.attribute] + others, longest: longest)
        let found = responder.respond(
            to: request.bytes, from: source ?? client, on: v4(198, 51, 100, 1, 4001), alternatePort: 9, now: now)
        let response = try #require(found)
        return (AddressProofAttribute(try STUNMessage(response.bytes)), response.bytes.count, request.bytes.count)
    }

    @Test("an observer writes a proof for where a request came from, and knows it again")
    func observer() throws {
        var responder = STUNResponder(makeKey: { [7] })
        let wide = SocketAddress(IPAddress(v6High: 0x2a02_0000_0000_0001, low: 5), port: 4001)
        for source in [client, wide] {
            let (answer, count, asked) = try ask(&responder, .wanted(context), from: source)
            #expect(count <= asked)
            guard case .proof(let proof) = answer else { return #expect(Bool(false), "\(String(describing: answer))") }
            // Whoever asks, from wherever: it is the address in the question that counts.
            #expect(try ask(&responder, .question(source, context, proof)).answer == .verdict(true))
            let other = SocketAddress(source.ip, port: source.port + 1)
            #expect(try ask(&responder, .question(other, context, proof)).answer == .verdict(false))
        }
    }

    @Test("none for an answer that goes to another port, none that would make the answer longer, none without a key")
    func refused() throws {
        var responder = STUNResponder(makeKey: { [7] })
        #expect(try ask(&responder, .wanted(context), [.responsePort(9)]).answer == nil)
        let short = try ask(&responder, .wanted(context), longest: 0)
        #expect(short.answer == nil && short.count <= short.asked)
        var plain = STUNResponder()
        #expect(try ask(&plain, .wanted(context)).answer == nil)
    }

    @Test func whatIsNoQuestionGetsNoVerdict() throws {
        var responder = STUNResponder(makeKey: { [7] })
        for count in [0, 1, 4, 15, 17, 24, 31, 33, 40, 44, 45, 47, 49, 60, 61] {
            let attribute = STUNAttribute.other(STUNAttribute.Code.addressProof, [UInt8](repeating: 0, count: count))
            let request = STUNMessage.bindingRequest(STUNTransactionID(high: 1, low: 2), [attribute], longest: 200)
            let found = responder.respond(to: request.bytes, from: client, on: nil, now: now)
            let response = try #require(found)
            #expect(AddressProofAttribute(try STUNMessage(response.bytes)) == nil)
        }
    }
}
