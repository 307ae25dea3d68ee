import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PStorage
import Testing

@testable import DeP2PDiscovery
@testable import DeP2PSessions

/// What a server of the DHT answers to strangers, and what it does not.
@Suite @NetworkActor struct DHTServiceTests {
    /// A handler holds its service weakly.
    private final class Kept {
        var services: [DHTService] = []
    }

    private let world = SimulatedWorld(seed: 1, latency: .zero)
    private let kept = Kept()

    private func server(
        _ host: UInt32 = 1, memory: DHTRecordMemory? = nil
    ) -> (LightNode, DHTNode, DHTService) {
        let node = world.lightNode(at: IPAddress(v4: 0x2d00_0000 + host), port: 1)
        let dht = DHTNode(node.connections, bootstrap: [], memory: nil)
        let service = DHTService(dht, memory: memory)
        service.serve()
        kept.services.append(service)
        return (node, dht, service)
    }

    private func asker(_ host: UInt32 = 1) -> LightNode {
        world.lightNode(at: IPAddress(v4: 0x2d01_0000 + host), port: 1)
    }

    private func ask(_ session: Session, _ request: DHTRequest) async throws -> DHTResponse {
        let answer = try await session.ask(
            DHTNode.id, try request.encoded(), limit: DHTRequest.messageLimit, within: .seconds(5))
        return try DHTResponse(decoding: answer)
    }

    private func code(_ body: () async throws -> Void) async -> SessionError.Code? {
        do {
            try await body()
            return nil
        } catch {
            return (error as? SessionError)?.code
        }
    }

    @Test func anItemIsStoredByATokenAndFoundAgain() async throws {
        try await world.run {
            let (node, _, service) = server()
            let session = try await asker().connect(to: node)
            let item = try MutableItem(by: .generate(), salt: [1], seq: 1, value: Array("2:hi".utf8))
            let key = item.publicKey + item.salt
            let answer = try await ask(session, .getItem(key: key))
            #expect(answer.item == nil && answer.token.count == StoreTokens.length)
            #expect(try await ask(session, .putItem(item, token: [])).refusal == .badToken)
            #expect(try await ask(session, .putItem(item, token: answer.token)).refusal == nil)
            #expect(try await ask(session, .getItem(key: key)).item == item && service.recordCount == 1)
            // Another node's token, and another key's.
            let other = try await asker(2).connect(to: node)
            #expect(try await ask(other, .putItem(item, token: answer.token)).refusal == .badToken)
            let second = try MutableItem(by: .generate(), salt: [], seq: 1, value: Array("2:hi".utf8))
            #expect(try await ask(session, .putItem(second, token: answer.token)).refusal == .badToken)
        }
    }

    private func memory(_ storage: any Storage) -> DHTRecordMemory {
        DHTRecordMemory(storage, clock: world.network, wallClock: world.wallClock)
    }

    /// Whoever published something does so again within the hour, and is to be found until then.
    @Test func whatAServerKeepsOutlastsItsRun() async throws {
        try await world.run {
            let storage = MemoryStorage(clock: world.wallClock)
            let item = try MutableItem(by: .generate(), salt: [1], seq: 1, value: Array("2:hi".utf8))
            let forged = try MutableItem(
                publicKey: item.publicKey, salt: [2], seq: 1, value: item.value, signature: item.signature)
            let (node, _, _) = server(memory: memory(storage))
            let asker = asker()
            let session = try await asker.connect(to: node)
            let token = try await ask(session, .getItem(key: item.publicKey + item.salt)).token
            #expect(try await ask(session, .putItem(item, token: token)).refusal == nil)
            // What has found its way to the disk otherwise is looked at as what comes from others.
            let publisher = RecordStore.Publisher(asker.nodeID, subnet: session.subject.subnet)
            memory(storage).keep(DHTRecordMemory.Record(forged, from: publisher), sentBy: session.subject)
            let (_, _, second) = server(2, memory: memory(storage))
            await second.restoring?.value
            #expect(second.has(item.key) && !second.has(forged.key) && second.recordCount == 1)
            // For what is left of its time.
            try await world.network.sleep(for: RecordStore.lifetime - .seconds(1))
            #expect(second.has(item.key))
            let (_, _, third) = server(3, memory: memory(storage))
            await third.restoring?.value
            #expect(third.has(item.key))
            try await world.network.sleep(for: .seconds(2))
            #expect(!second.has(item.key) && !third.has(item.key))
            let (_, _, fourth) = server(4, memory: memory(storage))
            await fourth.restoring?.value
            #expect(fourth.recordCount == 0)
        }
    }

    /// However fast somebody stores, little of it goes to the disk.
    @Test func aFloodOfRecordsIsWrittenSlowly() throws {
        let storage = MemoryStorage(clock: world.wallClock)
        let memory = memory(storage)
        let signer = IdentityKey.generate()
        func flood(_ count: Int, from host: UInt32) throws {
            let subject = Subject(IPAddress(v4: 0x2d00_0000 + host << 8))
            let publisher = RecordStore.Publisher(signer.nodeID, subnet: subject.subnet)
            for number in 0..<count {
                let item = try MutableItem(by: signer, salt: Array("\(host) \(number)".utf8), seq: 1, value: [1])
                memory.keep(DHTRecordMemory.Record(item, from: publisher), sentBy: subject)
            }
        }
        func written() -> Int { storage.entries(in: DHTRecordMemory.table).count }
        try flood(DHTRecordMemory.rate.burst + 10, from: 1)
        #expect(written() == DHTRecordMemory.rate.burst)
        for host in 2..<12 { try flood(DHTRecordMemory.rate.burst, from: UInt32(host)) }
        #expect(written() == DHTRecordMemory.totalRate.burst)
    }

    @Test func recordsOnTheDiskReadAsTheyWereWritten() throws {
        let signer = IdentityKey.generate()
        let places: [Subject] = [
            .network(IPAddress(v4: 0x2d00_0000)), .network(try #require(IPAddress("2a01:1::"))), .relay(7),
        ]
        for (place, salt) in zip(places, [[], [7], [UInt8](repeating: 1, count: MutableItem.saltLimit)]) {
            let value = [UInt8](repeating: 9, count: salt.isEmpty ? 1 : MutableItem.valueLimit)
            let item = try MutableItem(by: signer, salt: salt, seq: .max, value: value)
            let record = DHTRecordMemory.Record(item, from: RecordStore.Publisher(signer.nodeID, subnet: place))
            #expect(record.stored.count <= DHTRecordMemory.Record.limit)
            let read = try #require(DHTRecordMemory.Record(stored: record.stored))
            #expect(read.item == item && read.publisher.nodeID == signer.nodeID)
            if case .network = place { #expect(read == record) }
            for count in 0..<(record.stored.count - value.count) {
                #expect(DHTRecordMemory.Record(stored: Array(record.stored.prefix(count))) == nil)
            }
            #expect(DHTRecordMemory.Record(stored: [2] + record.stored.dropFirst()) == nil)
        }
    }

    @Test func aProviderSpeaksForItselfAlone() async throws {
        try await world.run {
            let (node, _, _) = server()
            let (one, two) = (asker(), asker(2))
            let session = try await one.connect(to: node)
            let key: [UInt8] = [0x12, 0x20] + Array(repeating: 7, count: 32)
            let token = try await ask(session, .getProviders(key: key)).token
            let own = DHTContact(one.nodeID, addresses: [.quic(IPAddress(v4: 0x2d01_0001), port: 1)])
            let other = DHTContact(two.nodeID, addresses: own.addresses)
            #expect(try await ask(session, .addProvider(key: key, other, token: token)).refusal == .malformed)
            #expect(try await ask(session, .addProvider(key: key, own, token: token)).refusal == nil)
            let answer = try await ask(try await two.connect(to: node), .getProviders(key: key))
            #expect(answer.providers == [own])
        }
    }

    /// A node is named to others once it has asked for its own NodeID, and until it asks for its place instead, as it does in
    /// a realm: whatever else the server knows of it (issue 11.5).
    @Test func nobodyIsNamedWhoDoesNotWantToBe() async throws {
        try await world.run {
            let (node, _, _) = server()
            let (one, two) = (asker(), asker(2))
            let (session, other) = (try await one.connect(to: node), try await two.connect(to: node))
            let address = Address.quic(IPAddress(v4: 0x2d01_0001), port: 1)
            let record = try PeerRecord(nodeID: one.nodeID, seq: 1, addresses: [address])
            let information = PeerInformation(
                publicKey: IdentityKey.generate().publicKey, listenAddresses: [], protocols: [], observedAddress: nil,
                protocolVersion: "",
                agentVersion: "", record: record, signedRecord: [])
            node.connections.peers.learn(
                information, of: one.nodeID, from: .stranger, subject: Subject(IPAddress(v4: 0x2d01_0001)))
            let wanted = DHTRequest.findNode(key: one.nodeID.bytes)
            func isNamed() async throws -> Bool {
                try await ask(other, wanted).closer == [DHTContact(one.nodeID, addresses: [address])]
            }
            #expect(try await !isNamed())
            _ = try await ask(session, wanted)
            #expect(try await isNamed())
            // Another one's asking for that place changes nothing.
            _ = try await ask(other, .findPlace(DHTKey(one.nodeID)))
            #expect(try await isNamed())
            _ = try await ask(session, .findPlace(DHTKey(one.nodeID)))
            #expect(try await !isNamed())
        }
    }

    @Test func whatIsNoRequestEndsTheStream() async throws {
        try await world.run {
            let (node, _, _) = server()
            let session = try await asker().connect(to: node)
            for junk in [[0xff], [0x08, 0x05], Array(repeating: UInt8(0x0a), count: 4_096)] as [[UInt8]] {
                let code = await code {
                    _ = try await session.ask(DHTNode.id, junk, limit: 1_024, within: .seconds(5))
                }
                #expect(code == .reset(.violation))
            }
            let long = await code {
                let bytes = [UInt8](repeating: 0, count: DHTRequest.messageLimit + 1)
                _ = try await session.ask(DHTNode.id, bytes, limit: 1_024, within: .seconds(5))
            }
            #expect(long != nil && session.isOpen)
        }
    }

    @Test func aFloodOfRequestsMeetsItsLimits() async throws {
        try await world.run {
            let (node, _, _) = server()
            let session = try await asker().connect(to: node)
            // More than one stream may carry.
            let stream = try await session.openStream(DHTNode.id)
            let frame = try DHTRequest.findNode(key: [1]).encoded()
            for _ in 0...DHTService.requestsPerStream { try await stream.writeFrame(frame) }
            let reader = FrameReader(stream, limit: DHTRequest.messageLimit)
            var answers = 0
            while try await reader.next() != nil { answers += 1 }
            #expect(answers == DHTService.requestsPerStream)
            var refused = 0
            for _ in 0..<DHTService.rate.burst {
                if await code({ _ = try await ask(session, .findNode(key: [1])) }) == .busy { refused += 1 }
            }
            #expect(refused >= DHTService.requestsPerStream - 1)
        }
    }
}
