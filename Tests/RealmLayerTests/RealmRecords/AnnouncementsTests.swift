import DeP2PDiscovery
import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import Testing

@testable import DeP2PRealm

/// Members that know nothing of each other but the realm key, and share one server of the DHT (issue 11.5).
@Suite @NetworkActor struct AnnouncementsTests {
    private struct Member {
        let node: LightNode
        let realm: Realm
        let announcements: Announcements
    }

    private final class Met {
        var nodes: Set<NodeID> = []
    }

    private let world = SimulatedWorld(seed: 1, latency: .zero)
    private let key = RealmKey.generate()

    private func server() -> (LightNode, DHTNode, DHTService) {
        let node = world.lightNode(at: IPAddress(v4: 0x2d00_0001), port: 1)
        let dht = DHTNode(node.connections, bootstrap: [], memory: nil)
        let service = DHTService(dht)
        service.serve()
        return (node, dht, service)
    }

    /// - Parameter ahead: by how much its records' numbers are ahead of its clock: it was set to the future once.
    private func member(_ host: UInt32, server: LightNode, key: RealmKey? = nil, ahead: UInt64 = 0) throws -> Member {
        let identity = IdentityKey.generate()
        let ip = IPAddress(v4: 0x2d01_0000 + host << 8)
        let node = world.lightNode(at: ip, port: 1, key: identity)
        let realm = Realm(node.connections)
        let dht = DHTNode(node.connections, bootstrap: [server.address], memory: nil)
        let clock = world.wallClock
        let announcements = Announcements(.members, in: dht, of: realm, on: node.connections, wallClock: clock) { _ in
            let seq = clock() + ahead
            // A record of its own key can be signed.
            guard
                let envelope = try? PeerRecord(nodeID: identity.nodeID, seq: seq, addresses: [.quic(ip, port: 1)])
                    .sealed(by: identity)
            else { return nil }
            return (envelope, seq)
        }
        try realm.join(key ?? self.key)
        return Member(node: node, realm: realm, announcements: announcements)
    }

    private func read(_ member: Member) -> Met {
        let met = Met()
        let stream = member.announcements.members()
        networkTask {
            for await found in stream {
                if let nodeID = found.addresses.first?.address.nodeID { met.nodes.insert(nodeID) }
            }
        }
        return met
    }

    private func time(_ hours: Double) async throws { try await world.network.sleep(for: .seconds(hours * 3_600)) }

    @Test func membersMeetAndOutsidersMeetNobody() async throws {
        try await world.run {
            let (server, _, service) = server()
            try await time(12)
            let members = try (1...5).map { try member(UInt32($0), server: server) }
            for member in members { member.announcements.announce() }
            let (reader, outsider) = (
                try member(50, server: server), try member(51, server: server, key: .generate())
            )
            let (met, nobody) = (read(reader), read(outsider))
            try await world.network.sleep(for: .seconds(60))
            #expect(met.nodes == Set(members.map(\.node.nodeID)) && nobody.nodes.isEmpty)
            // Those that only read have announced nothing.
            #expect(service.recordCount == 5)
            for member in members + [reader, outsider] { member.announcements.stop() }
            service.stop()
        }
    }

    /// A number that grows and comes from a clock that was wrong once must not take a slot from the others for a day.
    @Test func whoHasSeenTheFutureBlocksNobody() async throws {
        try await world.run {
            let (server, _, service) = server()
            try await time(12)
            let odd = try member(1, server: server, ahead: 400 * 86_400_000)
            odd.announcements.announce()
            try await time(3)
            #expect(service.recordCount == 1)
            let reader = try member(50, server: server)
            let met = read(reader)
            try await world.network.sleep(for: .seconds(5))
            #expect(met.nodes == [odd.node.nodeID])
            for member in [odd, reader] { member.announcements.stop() }
            service.stop()
        }
    }

    /// Three times as many as there are slots: no more are written, and who comes meets as many as there are.
    @Test func slotsAreBoundedAndWhoComesMeetsMany() async throws {
        try await world.run {
            let (server, _, service) = server()
            try await time(12)
            let members = try (1...24).map { try member(UInt32($0), server: server) }
            for member in members {
                member.announcements.announce()
                try await world.network.sleep(for: .seconds(10))
            }
            #expect(service.recordCount == Int(AnnounceBoard.slots))
            let reader = try member(50, server: server)
            let met = read(reader)
            try await world.network.sleep(for: .seconds(5))
            #expect(met.nodes.count == Int(AnnounceBoard.slots))
            for member in members + [reader] { member.announcements.stop() }
            service.stop()
        }
    }

    /// Over midnight, and after those that were there first have gone without a word.
    @Test func whoIsThereIsMetADayLaterToo() async throws {
        try await world.run {
            let (server, _, service) = server()
            try await time(12)
            let gone = try (1...8).map { try member(UInt32($0), server: server) }
            for member in gone { member.announcements.announce() }
            try await time(0.1)
            for member in gone { member.announcements.stop() }
            let there = try member(20, server: server)
            there.announcements.announce()
            for hours in [1.0, 11, 2, 20] {
                try await time(hours)
                let reader = try member(100 + UInt32(hours), server: server)
                let met = read(reader)
                try await world.network.sleep(for: .seconds(5))
                #expect(met.nodes.contains(there.node.nodeID))
                if hours > 1 { #expect(met.nodes.count == 1) }
                reader.announcements.stop()
            }
            there.announcements.stop()
            service.stop()
        }
    }

    /// What a reader meets does not grow without bound, nor do readers.
    @Test func readersAreBounded() async throws {
        try await world.run {
            let (server, _, service) = server()
            let member = try member(1, server: server)
            let kept = (0..<Announcements.readerLimit).map { _ in member.announcements.members() }
            var further = 0
            for await _ in member.announcements.members() { further += 1 }
            #expect(further == 0 && kept.count == Announcements.readerLimit)
            member.announcements.stop()
            service.stop()
        }
    }
}
