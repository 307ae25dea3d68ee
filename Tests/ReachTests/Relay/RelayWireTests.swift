import DeP2PIdentity
import DeP2PSimulation
import Testing

@testable import DeP2PReach

@Suite struct RelayWireTests {
    private static let node = IdentityKey.generate().nodeID
    private static let terms = RelayTerms(bytes: 1 << 40, bytesPerSecond: 5, time: .seconds(60), circuits: 3)
    private static let messages: [RelayMessage] = [
        .reserve, .connect(node), .reservation(time: .seconds(1_800), terms),
        .reservation(time: .seconds(1), RelayTerms()),
        .circuit(CircuitGrant(id: .max, terms: terms, datagramSize: 8_891)),
        .circuit(CircuitGrant(id: 0, terms: RelayTerms(), datagramSize: nil)),
        .refusal(RelayError(.noReservation)), .refusal(.limit("circuits", 9)), .refusal(RelayError(.notAllowed)),
        .refusal(RelayError(.refusedByTarget)), .refusal(RelayError(.malformed)), .refusal(RelayError(.stopping)),
        .refusal(RelayError(.notARelay)), .incoming(node, CircuitGrant(id: 1, terms: terms, datagramSize: nil)),
        .ended(.closed), .ended(.stopping), .ended(.limit("bytes-per-circuit", used: 11, maximum: 10)), .answer(true),
        .answer(false),
    ]

    @Test(arguments: messages) func roundTrips(_ message: RelayMessage) throws {
        let bytes = try message.encoded()
        #expect(bytes.count <= RelayMessage.limit)
        #expect(try RelayMessage(decoding: bytes) == message)
    }

    @Test func hostileNamesAndNumbersAreTamed() throws {
        let error = RelayError(.limitReached, limit: .init(name: "\u{1b}[31mevil\u{202e} name-1", maximum: .max))
        guard case .refusal(let seen) = try RelayMessage(decoding: RelayMessage.refusal(error).encoded()) else {
            Issue.record("no refusal")
            return
        }
        #expect(seen.limit == .init(name: "mevilname-", maximum: .max))
        let long = RelayMessage.reservation(time: .seconds(Int64.max), RelayTerms(time: .seconds(Int64.max)))
        guard case .reservation(let time, let terms) = try RelayMessage(decoding: long.encoded()) else {
            Issue.record("no reservation")
            return
        }
        #expect(time == .seconds(100 * 365 * 86_400) && terms.time == time)
    }

    @Test func truncatedAndRandomBytesAreSurvived() throws {
        var random = SplitMix64(seed: 5)
        for message in Self.messages {
            let bytes = try message.encoded()
            for count in bytes.indices { _ = try? RelayMessage(decoding: Array(bytes[..<count])) }
            for _ in 0..<200 where !bytes.isEmpty {
                var changed = bytes
                changed[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
                _ = try? RelayMessage(decoding: changed)
            }
        }
        for _ in 0..<5_000 { _ = try? RelayMessage(decoding: random.bytes(upTo: 80)) }
        #expect(throws: RelayError(.malformed)) { try RelayMessage(decoding: []) }
    }
}
