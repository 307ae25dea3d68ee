import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import Testing

@testable import DeP2PApp

/// Whom a PRUNE names: who finds no place in one mesh turns to others (issue 12.1).
@Suite @NetworkActor struct PeerExchangeTests {
    private let topic = Topic.other

    /// One whom more listen to than it has places for; they know nobody else.
    private func star(of count: Int) -> RouterNetwork {
        var network = RouterNetwork(count)
        for index in 1..<count { network.connect(index, 0) }
        return network
    }

    @Test func whoFindsNoPlaceIsToldOfOthersWhoListen() {
        var network = star(of: 30)
        network.subscribeAll(topic)
        network.run(for: .seconds(3))
        let told = network.nodes.indices.filter { !network.nodes[$0].named.isEmpty }
        #expect(told.count >= 29 - PubSubLimits.mostDegree && !told.contains(0))
        for index in told {
            let node = network.nodes[index]
            let others = network.nodes.indices.filter { $0 != index && $0 != 0 }.map {
                network.nodes[$0].identity.nodeID.bytes
            }
            #expect(node.named.count == PubSubLimits.exchangedPeers)
            #expect(node.named.allSatisfy { others.contains($0.nodeID) })
        }
        // Once, and not again while the backoff lasts.
        let before = network.nodes.map(\.named.count)
        network.run(for: .seconds(30))
        #expect(network.nodes.map(\.named.count) == before)
    }

    @Test func whoBehavesBadlyIsToldOfNobodyAndNotNamed() {
        var network = star(of: 20)
        let bad = network.nodes[1].identity.nodeID
        network.act(0) { router, _ in
            router.scores.misbehaved(bad, by: 8)
            return []
        }
        network.subscribeAll(topic)
        network.run(for: .seconds(3))
        #expect(network.nodes[1].named.isEmpty)
        #expect(network.nodes.contains { !$0.named.isEmpty })
        #expect(!network.nodes.contains { node in node.named.contains { $0.nodeID == bad.bytes } })
    }

    private func prune(naming peers: [ExchangedPeer]) -> [UInt8] {
        var rpc = PubSubRPC()
        rpc.control.prune = [PubSubControl.Prune(topic: topic, backoff: 0, peers: peers)]
        return rpc.encodedFrames.flatMap { frame in
            if case .value(_, let prefix) = Varint.decode(frame) { Array(frame[prefix...]) } else { [UInt8]() }
        }
    }

    /// A member that says it again and again is heard as often as it was in the mesh, and only for as long as it behaves.
    @Test func whoNamesWithoutEndIsHeardOnce() {
        var network = RouterNetwork(2)
        network.connect(0, 1)
        network.subscribeAll(topic)
        network.run(for: .milliseconds(100))
        let named = (0..<100).map { ExchangedPeer(nodeID: [UInt8](repeating: UInt8($0), count: 38), record: [1]) }
        for _ in 0..<50 { network.inject(prune(naming: named), from: 1, to: 0) }
        #expect(network.nodes[0].named == Array(named.prefix(PubSubLimits.exchangedPeers)))
        let other = RouterNetwork(2).nodes[1].identity.nodeID
        var wary = RouterNetwork(2)
        wary.connect(0, 1)
        wary.subscribeAll(topic)
        wary.run(for: .milliseconds(100))
        let liar = wary.nodes[1].identity.nodeID
        wary.act(0) { router, _ in
            router.scores.misbehaved(liar, by: 8)
            return []
        }
        wary.inject(prune(naming: named), from: 1, to: 0)
        #expect(wary.nodes[0].named.isEmpty && other != liar)
    }

    // MARK: Records

    private let rule = AddressRule(interfaces: [])

    private func peer(_ key: IdentityKey, _ addresses: [String]) throws -> ExchangedPeer {
        let record = try PeerRecord(nodeID: key.nodeID, seq: 1, addresses: addresses.map { try Address($0) })
        return ExchangedPeer(nodeID: key.nodeID.bytes, record: try record.sealed(by: key))
    }

    private func addresses(_ peer: ExchangedPeer, own: NodeID = IdentityKey.generate().nodeID) -> [Address] {
        PeerExchange.addresses(of: peer, by: rule, from: .member, ownID: own)
    }

    @Test func nobodyIsDialledWhoHasNotSignedItOrWhoIsInside() throws {
        let key = IdentityKey.generate()
        let inside = ["/ip4/127.0.0.1/udp/22/quic-v1", "/ip4/10.0.0.1/udp/53/quic-v1"]
        let good = try peer(key, ["/ip4/8.8.4.4/udp/4001/quic-v1"] + inside)
        #expect(addresses(good) == [try Address("/ip4/8.8.4.4/udp/4001/quic-v1").with(nodeID: key.nodeID)])
        #expect(addresses(good, own: key.nodeID).isEmpty)
        let other = IdentityKey.generate().nodeID.bytes
        #expect(addresses(ExchangedPeer(nodeID: other, record: good.record)).isEmpty)
        #expect(addresses(ExchangedPeer(nodeID: good.nodeID, record: [])).isEmpty)
        for index in stride(from: 0, to: good.record.count, by: 3) {
            var forged = good.record
            forged[index] ^= 1
            #expect(addresses(ExchangedPeer(nodeID: good.nodeID, record: forged)).isEmpty)
        }
        let many = try peer(key, (1...64).map { "/ip4/8.8.4.\($0)/udp/4001/quic-v1" })
        #expect(addresses(many).count == PubSubLimits.exchangedAddresses)
    }

    @Test func whoHasNoRecordIsNotNamed() {
        var rpc = PubSubRPC()
        let peers = (0..<3).map { ExchangedPeer(nodeID: [UInt8($0)], record: []) }
        rpc.control.prune = [PubSubControl.Prune(topic: topic, backoff: 60, peers: peers)]
        let output = PubSubOutput(rpc).named { $0 == [1] ? [7] : [] }
        #expect(output.rpc.control.prune.map(\.peers) == [[ExchangedPeer(nodeID: [1], record: [7])]])
    }
}
