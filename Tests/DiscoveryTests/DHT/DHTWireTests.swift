import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

@Suite struct DHTWireTests {
    private var random = SplitMix64(seed: 23)

    /// Messages that libp2p for Python has written (py-libp2p's kad_dht), and what they say.
    @Test func whatLibp2pWritesIsRead() throws {
        for fields in try vectorLines("kad-dht-libp2p.txt") {
            let bytes = try #require(Hex.decode(Array(fields[1].utf8)))
            let nodeID = try NodeID(fields[2])
            switch fields[0] {
            case "find-node":
                let request = try DHTRequest(decoding: bytes)
                #expect(request == .findNode(key: nodeID.bytes) && request.place == DHTKey(nodeID))
                #expect(try request.encoded() == bytes)
            case "closer":
                let contact = try #require(try DHTResponse(decoding: bytes).closer.first)
                let address = try Address(fields[3])
                #expect(contact.nodeID == nodeID && contact.addresses == [address])
                #expect(contact.subnets.count == 1)
            case "get-providers": #expect(try DHTRequest(decoding: bytes) == .getProviders(key: nodeID.bytes))
            default: Issue.record("an unknown line \(fields[0])")
            }
        }
    }

    @Test mutating func requestsComeBackAsTheyWere() throws {
        let item = try MutableItem(by: IdentityKey.generate(), salt: [1, 2], seq: 9, value: [3])
        let requests: [DHTRequest] = [
            .findNode(key: try random.nodeID().bytes), .findPlace(DHTKey.random(using: &random)),
            .getItem(key: item.publicKey + item.salt), .putItem(item, token: [4, 5]), .getProviders(key: [6]),
            .addProvider(key: [6], try random.contact(), token: [7]),
        ]
        for request in requests { #expect(try DHTRequest(decoding: request.encoded()) == request) }
        #expect(requests[2].place == item.key && requests[3].place == item.key)
    }

    @Test mutating func answersComeBackAsTheyWere() throws {
        var response = DHTResponse()
        (response.closer, response.providers) = (try random.contacts(20), try random.contacts(3))
        response.item = try MutableItem(by: IdentityKey.generate(), salt: [], seq: 0, value: [1])
        (response.token, response.refusal) = ([1, 2, 3], .storeIsFull)
        let bytes = try response.encoded(to: .getItem(key: [1]))
        let decoded = try DHTResponse(decoding: bytes)
        #expect(decoded == response)
        #expect(decoded.closer.map(\.addresses) == response.closer.map(\.addresses))
    }

    @Test mutating func whatIsTooMuchIsLeftOut() throws {
        var response = DHTResponse()
        response.closer = try (0..<DHTResponse.contactLimit + 5).map { _ in
            DHTContact(try random.nodeID(), addresses: (0..<20).map { _ in .quic(random.ip(), port: 1) })
        }
        let decoded = try DHTResponse(decoding: response.encoded(to: .findNode(key: [])))
        #expect(decoded.closer.count == DHTResponse.contactLimit)
        #expect(decoded.closer.allSatisfy { $0.addresses.count == DHTContact.addressLimit })
        let long = [UInt8](repeating: 0, count: DHTRequest.messageLimit + 1)
        #expect(throws: DHTMessageError.self) { try DHTResponse(decoding: long) }
        let key = [UInt8](repeating: 1, count: DHTRequest.keyLimit + 1)
        #expect(throws: DHTMessageError.self) { try DHTRequest(decoding: DHTRequest.findNode(key: key).encoded()) }
        let request = DHTRequest.addProvider(key: [1], try random.contact(), token: key)
        guard case .addProvider(_, _, let token) = try DHTRequest(decoding: request.encoded()) else { return }
        #expect(token.count == DHTRequest.keyLimit)
    }

    /// Whatever arrives is a message or an error, and never the end of the process.
    @Test mutating func noiseIsRefused() throws {
        let good = try DHTRequest.addProvider(key: [1, 2], random.contact(), token: [3]).encoded()
        for round in 0..<3_000 {
            var bytes = round % 2 == 0 ? good : random.bytes(upTo: 80)
            if round % 2 == 0 {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(truncatingIfNeeded: random.next())
            }
            _ = try? DHTRequest(decoding: bytes)
            _ = try? DHTResponse(decoding: bytes)
        }
        #expect(throws: DHTMessageError.self) { try DHTRequest(decoding: [0x08, 5]) }
        // A place that has another length than 32 bytes; a record of libp2p's, which is no item.
        #expect(throws: DHTMessageError.self) { try DHTRequest(decoding: [0x08, 4, 0xca, 0x3e, 1, 9]) }
        #expect(throws: DHTMessageError.self) { try DHTRequest(decoding: [0x08, 0, 0x12, 1, 9, 0x1a, 0]) }
    }
}
