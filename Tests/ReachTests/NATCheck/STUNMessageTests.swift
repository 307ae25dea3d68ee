import DeP2PIdentity
import DeP2PQUIC
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

@Suite struct STUNMessageTests {
    static let transaction = STUNTransactionID(high: 0xb7e7_a701, low: 0xbc34_d686_fa87_dfae)

    @Test("RFC 5769 section 2.1: a request with credentials")
    func sampleRequest() throws {
        let message = try STUNMessage(stunVector("rfc5769-request"))
        #expect(message.kind == .request)
        #expect(message.method == STUNMessage.binding)
        #expect(message.transaction == Self.transaction)
        #expect(message.attributes.first == .software("STUN test client"))
        #expect(message.attributes.map(\.type) == [0x8022, 0x0024, 0x8029, 0x0006, 0x0008])
    }

    @Test("RFC 5769 sections 2.2 and 2.3: mapped addresses of both families", arguments: [4, 6])
    func sampleResponse(family: Int) throws {
        let message = try STUNMessage(stunVector("rfc5769-response-ipv\(family)"))
        let expected =
            family == 4 ? v4(192, 0, 2, 1, 32853) : v6(0x2001_0db8_1234_5678, 0x0011_2233_4455_6677, 32853)
        #expect(message.kind == .success)
        #expect(message.attributes.prefix(2) == [.software("test vector"), .xorMappedAddress(expected)])
        let value = message.attributes[1].value(transaction: message.transaction)
        #expect(STUNBinding(message, from: expected, elapsed: .zero)?.mapped == expected)
        #expect(value.count == (family == 4 ? 8 : 20))
    }

    @Test("the vectors' fingerprints are those we compute")
    func fingerprint() throws {
        for name in ["rfc5769-request", "rfc5769-response-ipv4", "rfc5769-response-ipv6"] {
            let bytes = try stunVector(name)
            #expect(STUNFingerprint.value(of: bytes.dropLast(8)) == Array(bytes.suffix(4)))
        }
        #expect(STUNFingerprint.crc32("123456789".utf8) == 0xcbf4_3926)
    }

    @Test("what is written is read back, whatever the attribute")
    func roundTrip() throws {
        let attributes: [STUNAttribute] = [
            .mappedAddress(v4(1, 2, 3, 4, 5)), .xorMappedAddress(v6(1, 2, 3)),
            .changeRequest(address: true, port: false),
            .errorCode(420, reason: "Unknown Attribute"), .unknownAttributes([0x0003, 0x7fff]), .padding(33),
            .responsePort(65535), .software("é"), .responseOrigin(v4(255, 255, 255, 255, 0)),
            .otherAddress(v6(.max, .max, 1)), .other(0x0024, [1, 2, 3]),
        ]
        for kind in [STUNMessage.Class.request, .indication, .success, .failure] {
            let message = STUNMessage(kind, method: 0x0bc, transaction: Self.transaction, attributes: attributes)
            #expect(try STUNMessage(message.bytes) == message)
            #expect(message.bytes.count % 4 == 0)
        }
    }

    @Test("class and method interleave as RFC 8489 figure 3 says")
    func messageType() {
        let request = STUNMessage(.request, transaction: Self.transaction).bytes
        let success = STUNMessage(.success, transaction: Self.transaction).bytes
        let failure = STUNMessage(.failure, transaction: Self.transaction).bytes
        #expect([request, success, failure].map { Array($0.prefix(2)) } == [[0, 1], [1, 1], [1, 0x11]])
    }

    @Test("a wrong fingerprint, cookie, length, and too many or cut attributes are refused, each by name")
    func refusals() throws {
        let good = STUNMessage(.request, transaction: Self.transaction, attributes: [.software("x")]).bytes
        func code(_ change: (inout [UInt8]) -> Void) -> STUNError.Code? {
            var bytes = good
            change(&bytes)
            do {
                _ = try STUNMessage(bytes)
                return nil
            } catch { return error.code }
        }
        #expect(code { _ in } == nil)
        #expect(code { $0[$0.count - 1] ^= 1 } == .wrongFingerprint)
        #expect(code { $0[4] = 0 } == .notSTUN)
        #expect(code { $0[0] = 0x40 } == .notSTUN)
        #expect(code { $0[3] -= 4 } == .wrongLength)
        #expect(code { $0 = Array($0.prefix(19)) } == .truncated)
        #expect(code { $0[23] = 200 } == .truncated)
        #expect(code { $0 += [UInt8](repeating: 0, count: STUNMessage.maximumLength) } == .tooLong)
        let many = [STUNAttribute](repeating: .other(0x9000, []), count: STUNMessage.maximumAttributes + 1)
        let crowded = STUNMessage(.request, transaction: Self.transaction, attributes: many).bytes
        #expect(throws: STUNError(.tooManyAttributes)) { try STUNMessage(crowded) }
        let bad = STUNMessage(.success, transaction: Self.transaction, attributes: [.other(0x0020, [0, 3, 0, 0])])
        #expect(throws: STUNError(.malformed(0x0020))) { try STUNMessage(bad.bytes) }
    }

    @Test("nothing after MESSAGE-INTEGRITY counts (RFC 8489 section 14.5)")
    func afterIntegrity() throws {
        let forged = STUNMessage(
            .success, transaction: Self.transaction,
            attributes: [.other(0x0008, [UInt8](repeating: 0, count: 20)), .xorMappedAddress(v4(6, 6, 6, 6, 6))])
        #expect(try STUNMessage(forged.bytes).attributes.map(\.type) == [0x0008])
    }

    @Test("no datagram traps the parser, and what it accepts it can write again")
    func fuzz() throws {
        let samples = try ["rfc5769-request", "rfc5769-response-ipv4", "rfc5769-response-ipv6"].map(stunVector)
        for (seed, sample) in samples.enumerated() {
            // Without the fingerprint, so that mutations reach the attributes.
            var bare = Array(sample.dropLast(8))
            bare[3] -= 8
            for datagram in mutations(of: bare, rounds: 3000, seed: UInt64(seed)) {
                guard let message = try? STUNMessage(datagram) else { continue }
                #expect((try? STUNMessage(message.bytes))?.attributes.count == message.attributes.count)
            }
        }
    }
}
