import Testing

@testable import DeP2PIdentity

@Suite struct EnvelopeTests {
    private let key = IdentityKey.generate()

    private func sealed(_ payload: [UInt8] = [1, 2, 3]) throws -> [UInt8] {
        try Envelope.seal(payload: payload, payloadType: [9, 9], domain: "test", key: key)
    }

    @Test func roundTrip() throws {
        for payload in [[], [1], [UInt8](repeating: 7, count: 10_000)] as [[UInt8]] {
            let envelope = try Envelope(bytes: sealed(payload))
            #expect(envelope.publicKey == key.publicKey)
            #expect(try envelope.open(domain: "test", payloadType: [9, 9]) == payload)
        }
    }

    @Test func domainAndTypeAreBound() throws {
        let envelope = try Envelope(bytes: sealed())
        #expect(throws: IdentityError(.badSignature, "")) { try envelope.open(domain: "tes", payloadType: [9, 9]) }
        #expect(throws: IdentityError(.badSignature, "")) { try envelope.open(domain: "", payloadType: [9, 9]) }
        #expect(throws: IdentityError(.malformedRecord, "")) { try envelope.open(domain: "test", payloadType: [9]) }
    }

    /// The lengths are signed too: bytes can't move between domain, type and payload.
    @Test func partsDoNotRunIntoEachOther() throws {
        let first = try Envelope(bytes: Envelope.seal(payload: [2], payloadType: [1], domain: "d", key: key))
        let moved = Envelope(moving: first, payloadType: [1, 2], payload: [])
        #expect(throws: IdentityError(.badSignature, "")) { try moved.open(domain: "d", payloadType: [1, 2]) }
    }

    @Test func unknownFieldsAreTolerated() throws {
        let extra: [UInt8] = [0x20, 0x01, 0x32, 0x02, 0xff, 0xff]
        #expect(try Envelope(bytes: sealed() + extra).open(domain: "test", payloadType: [9, 9]) == [1, 2, 3])
    }

    @Test func keyMustBeCanonical() throws {
        var bytes = try sealed()
        // The key's protobuf: tag and length, then 08 01 12 20. A trailing unknown field inside it is refused.
        bytes[1] += 2
        bytes.insert(contentsOf: [0x18, 0x00], at: 38)
        #expect(throws: IdentityError(.malformedPublicKey, "")) { try Envelope(bytes: bytes) }
    }

    @Test func missingParts() throws {
        #expect(throws: IdentityError(.malformedRecord, "")) { try Envelope(bytes: []) }
        var keyOnly: [UInt8] = []
        Protobuf.append(field: 1, bytes: key.publicKey.protobuf, to: &keyOnly)
        #expect(throws: IdentityError(.malformedRecord, "")) { try Envelope(bytes: keyOnly) }
        #expect(throws: IdentityError(.malformedRecord, "")) { try Envelope(bytes: keyOnly + [0x28, 0x01]) }
    }

    @Test func sizeIsBoundedBothWays() throws {
        let overhead = try sealed([]).count
        // The payload's length takes one byte more than that of an empty one.
        let largest = [UInt8](repeating: 0, count: Envelope.maximumLength - overhead - 1)
        #expect(try sealed(largest).count == Envelope.maximumLength)
        #expect(throws: IdentityError(.limitExceeded, "")) { try sealed(largest + [0]) }
        #expect(throws: IdentityError(.limitExceeded, "")) {
            try Envelope(bytes: [UInt8](repeating: 0, count: Envelope.maximumLength + 1))
        }
    }

    @Test func everyChangedBitOfASignedPartIsSeen() throws {
        let bytes = try sealed()
        for index in bytes.indices {
            for bit in 0..<8 {
                var changed = bytes
                changed[index] ^= 1 << UInt8(bit)
                guard let payload = try? Envelope(bytes: changed).open(domain: "test", payloadType: [9, 9]) else {
                    continue
                }
                Issue.record("bit \(bit) of byte \(index) changed unseen: \(payload)")
            }
        }
    }

    @Test func hostileEnvelopes() throws {
        let samples = try [sealed(), sealed([])] + Vectors.rows("peer-records.txt").map { try Vectors.bytes($0[3]) }
        try forEachHostileVariant(of: samples) { bytes in
            guard let envelope = try? Envelope(bytes: bytes) else { return }
            _ = try? envelope.open(domain: "test", payloadType: [9, 9])
        }
    }
}

extension Envelope {
    /// The same key and signature over other parts.
    fileprivate init(moving other: Envelope, payloadType: [UInt8], payload: [UInt8]) {
        self.init(publicKey: other.publicKey, payloadType: payloadType, payload: payload, signature: other.signature)
    }
}
