import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PWire
import Testing

@testable import DeP2PSessions

@Suite @NetworkActor struct IdentifyTests {
    private let world = SimulatedWorld(seed: 1, latency: .zero)

    private func node(_ port: UInt16, at ip: IPAddress = .v4Loopback) -> LightNode {
        world.lightNode(at: ip, port: port, key: .generate())
    }

    private func serve(_ node: LightNode) throws -> Identify {
        let identify = Identify(
            key: try #require(node.key), agent: "dep2p/test", connections: node.connections,
            addresses: { [node.address] },
            sequence: { 7 })
        identify.serve()
        return identify
    }

    @Test func tellsKeyAddressesAndASignedRecord() async throws {
        let (left, right) = (node(1), node(2))
        let service = try serve(right)
        let information = try await Identify.ask(left.connect(to: right))
        #expect(information.publicKey == right.key?.publicKey)
        #expect(information.listenAddresses == [right.address.withoutNodeID])
        #expect(information.observedAddress == left.address.withoutNodeID)
        #expect(information.agentVersion == "dep2p/test")
        #expect(information.record?.nodeID == right.nodeID && information.record?.seq == 7)
        withExtendedLifetime(service) {}
    }

    @Test func strangersAreNotToldWhatMembersUse() async throws {
        let (left, right) = (node(1), node(2))
        let service = try serve(right)
        for name in ["/dep2p/app/messaging/1.0.0", "/dep2p/realm/x/1.0.0"] {
            right.connections.registry.register(name, deadline: .unlimited(because: "a test")) { _, _ in }
        }
        let session = try await left.connect(to: right)
        let told = try await Identify.ask(session).protocols
        #expect(told.contains("/ipfs/id/1.0.0"))
        #expect(!told.contains { $0.hasPrefix("/dep2p/app/") || $0.hasPrefix("/dep2p/realm/") })
        let far = try #require(right.connections.session(with: left.nodeID))
        far.beginAdmission()
        far.endAdmission(admitted: true)
        #expect(try await Identify.ask(session).protocols.contains("/dep2p/app/messaging/1.0.0"))
        withExtendedLifetime(service) {}
    }

    /// Issue 7.25: what lies behind a node's public face is for members.
    @Test func strangersAreNotToldPrivateAddressesAndMembersAre() async throws {
        let stranger = try #require(IPAddress("9.9.9.9"))
        let left = node(1, at: stranger)
        let right = node(2)
        let (own, office) = (try Address("/ip4/8.8.8.8/udp/7/quic-v1"), try Address("/ip4/10.0.0.7/udp/7/quic-v1"))
        var sequence: UInt64 = 1
        let service = Identify(
            key: try #require(right.key), agent: "dep2p/test", connections: right.connections,
            addresses: { [own, office] },
            sequence: {
                sequence += 1; return sequence
            })
        service.serve()
        service.learn()
        let client = try serve(left)
        client.learn()
        let session = try await left.connect(to: right)
        let answer = try await Identify.ask(session)
        #expect(answer.listenAddresses == [own] && answer.record?.addresses == [own])
        // Admitted after it was told the half of it, it is told the rest unasked.
        let far = try #require(right.connections.session(with: left.nodeID))
        far.beginAdmission()
        far.endAdmission(admitted: true)
        for _ in 0..<200 { await Task.yield() }
        let known = left.connections.peers.book.listed(of: right.nodeID).compactMap(\.withoutNodeID)
        #expect(known == [own, office])
        #expect(try await Identify.ask(session).listenAddresses == [own, office])
        withExtendedLifetime((service, client)) {}
    }

    @Test func aSilentPushIsEnded() async throws {
        let (left, right) = (node(1), node(2))
        let service = try serve(right)
        service.learn()
        _ = try await left.connect(to: right)
        let raw = try await left.transport.connections[0].openByteStream()
        try await raw.write(Chunk(MultistreamDialer([Identify.pushID]).firstFlight))
        let session = try #require(right.connections.session(with: left.nodeID))
        await world.run {
            try? await world.network.sleep(for: Identify.deadline + .seconds(2))
        }
        #expect(session.servedStreamCount == 0)
        withExtendedLifetime(service) {}
    }

    @Test func anotherNodesAnswerIsRefused() async throws {
        let (left, right) = (node(1), node(2))
        let other = node(3)
        let service = try serve(other)
        let far = try await right.connect(to: other)
        right.connections.registry.register("/ipfs/id/1.0.0", deadline: .unlimited(because: "a test")) { _, stream in
            try await stream.writeFrame(try await service.message(for: far))
        }
        let session = try await left.connect(to: right)
        await #expect(throws: SessionError(.violation)) { try await Identify.ask(session) }
    }

    /// A Character may be thousands of bytes.
    @Test func textsAreKeptUpToTheirBytes() throws {
        let key = IdentityKey.generate()
        let long = String(repeating: "e" + String(repeating: "\u{301}", count: 500), count: 3)
        let information = PeerInformation(
            publicKey: key.publicKey, listenAddresses: [], protocols: [long], observedAddress: nil,
            protocolVersion: long,
            agentVersion: long, record: nil, signedRecord: [])
        let read = try PeerInformation(decoding: information.encoded(signedRecord: []), of: key.nodeID)
        for text in read.protocols + [read.protocolVersion, read.agentVersion] {
            #expect((200...PeerInformation.textLimit).contains(text.utf8.count))
        }
    }

    @Test func oversizedAndRandomAnswersAreViolations() async throws {
        let (left, right) = (node(1), node(2))
        let session = try await left.connect(to: right)
        right.connections.registry.register("/ipfs/id/1.0.0", deadline: .unlimited(because: "a test")) { _, stream in
            try await stream.write(Chunk(Varint.encode(UInt64(Identify.messageLimit) + 1)))
        }
        await #expect(throws: SessionError(.violation)) { try await Identify.ask(session) }
        var random = SplitMix64(seed: 5)
        let service = try serve(right)
        let far = try #require(right.connections.session(with: left.nodeID))
        let good = try await service.message(for: far)
        for _ in 0..<2000 {
            var bytes =
                Bool.random(using: &random)
                ? random.bytes(upTo: 200) : Array(good.prefix(.random(in: 0...good.count, using: &random)))
            if !bytes.isEmpty {
                bytes[.random(in: bytes.indices, using: &random)] = .random(in: 0...255, using: &random)
            }
            _ = try? PeerInformation(decoding: bytes, of: right.nodeID)
        }
    }
}
