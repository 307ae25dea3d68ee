import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

/// What is on the wire of probes, and what is not taken for one.
@Suite struct ProbePacketTests {
    private let secret = HKDF(key: [UInt8](repeating: 7, count: ProbeKeys.secretLength), salt: [])
    private var client: ProbeKeys { ProbeKeys(secret, isClient: true) }
    private var server: ProbeKeys { ProbeKeys(secret, isClient: false) }
    private var link: UInt64 { ProbeKeys.link(secret) }

    private func encoded(_ packet: ProbePacket) -> [UInt8] { packet.encoded(link: link, key: client.own) }

    @Test(arguments: [nil, v4(45, 1, 2, 3, 65_535), v6(0x2600_0000_0000_0001, 5, 1)])
    func isReadAsItWasWritten(observed: SocketAddress?) {
        let packet = ProbePacket(observed == nil ? .probe : .answer, sequence: .max, nonce: .max, observed: observed)
        let bytes = encoded(packet)
        #expect(bytes.count == ProbePacket.length && bytes[0] == 0x20)
        #expect(ProbePacket.link(of: bytes) == link)
        #expect(ProbePacket(bytes, key: server.peer) == packet)
    }

    @Test func eachDirectionHasItsKey() {
        let bytes = encoded(ProbePacket(.probe, sequence: 1, nonce: 2))
        #expect(ProbePacket(bytes, key: client.peer) == nil, "a probe sent back to its sender is nobody's")
        let other = HKDF(key: [UInt8](repeating: 8, count: 32), salt: [])
        #expect(ProbePacket(bytes, key: ProbeKeys(other, isClient: false).peer) == nil)
        #expect(ProbeKeys.link(other) != link)
    }

    @Test func machinesAreToldApartWithoutNamingThem() {
        let (here, there) = (Array("here".utf8), Array("there".utf8))
        #expect(
            server.isHostMark(client.hostMark(here), of: here) && client.isHostMark(server.hostMark(here), of: here))
        #expect(!server.isHostMark(client.hostMark(there), of: here))
        #expect(!server.isHostMark(ProbeKeys(HKDF(key: [1], salt: []), isClient: true).hostMark(here), of: here))
        #expect(!client.isHostMark(client.hostMark(here), of: here), "sent back, it proves nothing")
        #expect(!client.isHostMark([], of: here) && client.hostMark(here).count == HolePunchMessage.hostMarkLength)
    }

    @Test func nothingElseIsTakenForOne() {
        let sample = encoded(ProbePacket(.answer, sequence: 3, nonce: 4, observed: v4(45, 1, 2, 3, 4)))
        for mutated in mutations(of: sample, rounds: 2_000, seed: 11) where mutated != sample {
            #expect(ProbePacket(mutated, key: server.peer) == nil)
        }
        #expect(ProbePacket(sample + [0], key: server.peer) == nil, "oversized")
    }

    @Test func messagesSurviveTheWireAndNothingElseDoes() throws {
        let offer = HolePunchMessage.Offer(
            candidates: [
                Candidate(.interface, v4(192, 168, 1, 2, 4001)), Candidate(.observed, v6(0x2600 << 48, 1, 9)),
                Candidate(.predicted, v4(45, 1, 1, 1, 2_000), step: -2, count: 7),
            ], hostMark: [UInt8](repeating: 3, count: 16))
        let told = HolePunchMessage.Offer(candidates: [], hostMark: [], mapping: .independent)
        let proven = HolePunchMessage.Proven(
            address: v4(45, 1, 1, 1, 80), proof: [UInt8](repeating: 7, count: AddressProof.length))
        let guess = HolePunchMessage.Guess(opens: true, witness: v4(45, 1, 1, 2, 81), proven: proven)
        let messages: [HolePunchMessage] = [
            .offer(offer), .answer(offer), .start, .chosen(v4(45, 1, 1, 1, 80), isDirect: true), .ask,
            .offer(told), .guess(guess), .guess(HolePunchMessage.Guess(opens: false)),
        ]
        for message in messages { #expect(try HolePunchMessage(decoding: message.encoded()) == message) }
        for mutated in mutations(of: try HolePunchMessage.offer(offer).encoded(), rounds: 2_000, seed: 12) {
            guard case .offer(let decoded)? = try? HolePunchMessage(decoding: mutated) else { continue }
            #expect(decoded.candidates.count <= Candidate.limit && decoded.hostMark.count <= 16)
            #expect(decoded.candidates.flatMap(\.addresses).count <= Candidate.limit * Candidate.runLimit)
        }
        for mutated in mutations(of: try HolePunchMessage.guess(guess).encoded(), rounds: 2_000, seed: 13) {
            guard case .guess(let decoded)? = try? HolePunchMessage(decoding: mutated) else { continue }
            #expect(decoded.proven.map { $0.proof.count <= AddressProof.length && $0.address.port > 0 } ?? true)
        }
    }

    @Test func runsStayWithinThePortsThereAre() {
        #expect(
            Candidate(.predicted, v4(45, 1, 1, 1, 65_530), step: 3, count: 9).addresses.map(\.port) == [65_530, 65_533])
        #expect(Candidate(.predicted, v4(45, 1, 1, 1, 3), step: -1, count: 9).addresses.map(\.port) == [3, 2, 1])
        #expect(Candidate(.predicted, v4(45, 1, 1, 1, 3), step: .max, count: .max).addresses.map(\.port) == [3])
        #expect(Candidate(.predicted, v4(45, 1, 1, 1, 3), step: .min, count: 9).addresses.map(\.port) == [3])
        #expect(Candidate(.observed, v4(45, 1, 1, 1, 3), step: 1, count: 9).addresses.count == 1)
    }
}
