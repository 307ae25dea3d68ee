import Testing

@testable import DeP2PIdentity

@Suite struct PeerRecordTests {
    private let key = IdentityKey.generate()

    @Test func recordsOfAnotherImplementation() throws {
        for row in try Vectors.rows("peer-records.txt") {
            let key = try IdentityKey(seed: Vectors.bytes(row[0]))
            let addresses = try row[2] == "-" ? [] : row[2].split(separator: ",").map { try Address(String($0)) }
            let seq = try #require(UInt64(row[1]))
            let expected = try PeerRecord(nodeID: key.nodeID, seq: seq, addresses: addresses)
            let envelope = try Vectors.bytes(row[3])
            #expect(try PeerRecord.open(envelope) == expected)
            #expect(try expected.sealed(by: key) == envelope)
        }
    }

    @Test func roundTripWithEverySeqLength() throws {
        for seq in [0, 1, 127, 128, 1 << 35, UInt64.max] {
            let record = try PeerRecord(
                nodeID: key.nodeID, seq: seq, addresses: [.quic(.v4Loopback, port: 1), .tcpTLS(.v6Loopback, port: 2)])
            #expect(try PeerRecord.open(record.sealed(by: key)) == record)
        }
    }

    @Test func onlyTheNodeItselfMaySign() throws {
        let other = IdentityKey.generate()
        let record = try PeerRecord(nodeID: other.nodeID, seq: 1, addresses: [])
        #expect(throws: IdentityError(.wrongSigner, "")) { try record.sealed(by: key) }
        let forged = try Envelope.seal(
            payload: record.protobuf, payloadType: PeerRecord.payloadType, domain: PeerRecord.domain, key: key)
        #expect(throws: IdentityError(.wrongSigner, "")) { try PeerRecord.open(forged) }
    }

    @Test func anotherDomainIsRefused() throws {
        let record = try PeerRecord(nodeID: key.nodeID, seq: 1, addresses: [])
        let forged = try Envelope.seal(
            payload: record.protobuf, payloadType: PeerRecord.payloadType, domain: "libp2p-routing-state", key: key)
        #expect(throws: IdentityError(.badSignature, "")) { try PeerRecord.open(forged) }
    }

    @Test func numberOfAddressesIsBoundedBothWays() throws {
        let addresses = (0..<65).map { Address.quic(.v4Loopback, port: $0) }
        let full = try PeerRecord(nodeID: key.nodeID, seq: 1, addresses: [Address](addresses.prefix(64)))
        #expect(try PeerRecord.open(full.sealed(by: key)).addresses.count == 64)
        #expect(throws: IdentityError(.limitExceeded, "")) {
            try PeerRecord(nodeID: key.nodeID, seq: 1, addresses: addresses)
        }
        var info: [UInt8] = []
        Protobuf.append(field: 1, bytes: addresses[0].bytes, to: &info)
        var crowded = full.protobuf
        Protobuf.append(field: 3, bytes: info, to: &crowded)
        #expect(throws: IdentityError(.limitExceeded, "")) { try PeerRecord(protobuf: crowded) }
    }

    @Test func addressesOfUnknownKindsAreLeftOut() throws {
        let known = Address.quic(.v4Loopback, port: 1)
        var bytes = try PeerRecord(nodeID: key.nodeID, seq: 1, addresses: [known]).protobuf
        for unknown in [[0x04, 127, 0, 0, 1, 0xdd, 0x03], [], [0xff]] as [[UInt8]] {
            var info: [UInt8] = []
            Protobuf.append(field: 1, bytes: unknown, to: &info)
            Protobuf.append(field: 3, bytes: info, to: &bytes)
        }
        #expect(try PeerRecord(protobuf: bytes).addresses == [known])
    }

    @Test func wrongShapes() throws {
        #expect(throws: IdentityError(.malformedNodeID, "")) { try PeerRecord(protobuf: []) }
        for bytes in [[0x08, 0x01], [0x12, 0x00], [0x18, 0x01], [0x0a, 0x05]] as [[UInt8]] {
            #expect(throws: IdentityError(.malformedRecord, "")) { try PeerRecord(protobuf: bytes) }
        }
    }

    @Test func hostileRecords() throws {
        let samples = try Vectors.rows("peer-records.txt").map { try Envelope(bytes: Vectors.bytes($0[3])).payload }
        try forEachHostileVariant(of: samples) { bytes in
            guard let record = try? PeerRecord(protobuf: bytes) else { return }
            #expect(record.addresses.count <= PeerRecord.maximumAddresses)
            #expect((try? PeerRecord(protobuf: record.protobuf)) == record)
        }
    }
}
