import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2P

/// Who is online, as an application sees it.
@Suite @NetworkActor struct NodePeersTests {
    private let key = RealmKey.generate()

    private func node(in world: SimulatedWorld, _ identity: IdentityKey? = nil) throws -> Node {
        var configuration = NodeConfiguration()
        configuration.identity = identity
        return try world.node(configuration, on: world.machine())
    }

    private func presences(_ log: EventLog) -> [PeerPresence] {
        log.events.compactMap { if case .peer(let presence) = $0 { presence } else { nil } }
    }

    @Test func aMemberComesAndGoesAndAStrangerIsMarked() async throws {
        let world = SimulatedWorld(seed: 1)
        try await world.run {
            let (hub, member, stranger) = (try node(in: world), try node(in: world), try node(in: world))
            let log = EventLog(of: hub, .peers)
            for node in [hub, member] { try node.join(key) }
            _ = try await member.connectMember(DialTarget(addresses: hub.addresses))
            _ = try await stranger.connect(to: DialTarget(addresses: hub.addresses))
            try await world.network.sleep(for: .seconds(2))
            #expect(presences(log).map(\.isMember) == [true, false])
            #expect(Set(hub.peers.map(\.nodeID)) == [member.nodeID, stranger.nodeID])
            #expect(log.subjects == [.peer(member.nodeID), .peer(stranger.nodeID)])
            #expect(member.peers.map(\.nodeID) == [hub.nodeID] && member.peers[0].isMember)
            await member.stop(grace: .zero)
            try await world.network.sleep(for: .milliseconds(100))
            #expect(presences(log).last?.state == .offline && presences(log).last?.reason == .goodbye)
            await hub.stop(grace: .zero)
            await stranger.stop(grace: .zero)
            // That the node itself goes is nobody's absence.
            try await world.network.sleep(for: .seconds(1))
            #expect(presences(log).count == 3 && log.isOver)
        }
    }

    /// Two processes of one identity are one node: it is there while one of them is.
    @Test func twoProcessesOfOneIdentityAreOneNode() async throws {
        let world = SimulatedWorld(seed: 2)
        try await world.run {
            let identity = IdentityKey.generate()
            let hub = try node(in: world)
            let (one, other) = (try node(in: world, identity), try node(in: world, identity))
            let log = EventLog(of: hub, .peers)
            for process in [one, other] { _ = try await process.connect(to: DialTarget(addresses: hub.addresses)) }
            try await world.network.sleep(for: .seconds(5))
            #expect(hub.connections.sessions.count == 2 && hub.peers.count == 1)
            await one.stop(grace: .zero)
            try await world.network.sleep(for: .seconds(5))
            #expect(presences(log).map(\.state) == [.online])
            await other.stop(grace: .zero)
            try await world.network.sleep(for: .seconds(1))
            #expect(presences(log).map(\.state) == [.online, .offline])
            await hub.stop(grace: .zero)
        }
    }

    @Test func whoLeavesTheRealmSaysSo() async throws {
        let world = SimulatedWorld(seed: 3)
        try await world.run {
            let (left, right) = (try node(in: world), try node(in: world))
            for node in [left, right] { try node.join(key) }
            let logs = (EventLog(of: left, .peers), EventLog(of: right, .peers))
            _ = try await left.connectMember(DialTarget(addresses: right.addresses))
            try await world.network.sleep(for: .seconds(2))
            try left.leaveRealm()
            try await world.network.sleep(for: .seconds(1))
            #expect(presences(logs.0).map(\.reason) == [nil, .closedHere])
            #expect(presences(logs.1).map(\.reason) == [nil, .leftRealm])
            #expect(presences(logs.0).allSatisfy { $0.isMember })
            for node in [left, right] { await node.stop(grace: .zero) }
        }
    }

    /// Whoever opens and closes connections fast makes few events of it.
    @Test func aPeerThatComesAndGoesFastIsToldAFewTimes() async throws {
        let world = SimulatedWorld(seed: 4)
        try await world.run {
            let (hub, guest) = (try node(in: world), try node(in: world))
            for node in [hub, guest] { try node.join(key) }
            let log = EventLog(of: hub, .peers)
            for _ in 0..<60 {
                let session = try await guest.connectMember(DialTarget(addresses: hub.addresses))
                // Closed at once, the connection would be none yet for who was dialled.
                #expect(
                    try await world.wait(atMost: .seconds(1)) {
                        hub.connections.session(with: guest.nodeID)?.isAdmitted == true
                    })
                session.close(.normal)
                try await world.network.sleep(for: .milliseconds(200))
            }
            #expect(presences(log).count <= 8)
            try await world.network.sleep(for: .seconds(120))
            #expect(presences(log).last?.state == .offline && hub.peers.isEmpty)
            for node in [hub, guest] { await node.stop(grace: .zero) }
        }
    }

    /// Who repeats a dead peer's packets (a relay could) makes it live no longer than QUIC's idle timeout does.
    @Test func repeatedPacketsKeepNobodyAlive() async throws {
        let world = SimulatedWorld(seed: 5)
        try await world.run {
            let (hub, guest) = (try node(in: world), try node(in: world))
            let log = EventLog(of: hub, .peers)
            let last = Box<(bytes: [UInt8], from: SocketAddress, to: SocketAddress)?>(nil)
            let dead = guest.localAddresses
            world.network.filter = { bytes, from, to in
                if dead.contains(from) { last.value = (bytes, from, to) }
                return true
            }
            _ = try await guest.connect(to: DialTarget(addresses: hub.addresses))
            try await world.network.sleep(for: .seconds(7))
            let start = world.network.now
            let repeated = try #require(last.value)
            world.network.filter = { bytes, from, to in
                bytes == repeated.bytes || !dead.contains(from) && !dead.contains(to)
            }
            for _ in 0..<160 {
                world.network.send(repeated.bytes, from: repeated.from, to: repeated.to, ecn: 0)
                try await world.network.sleep(for: .milliseconds(100))
                if presences(log).last?.state == .offline { break }
            }
            #expect(presences(log).last?.reason == .timeout)
            #expect(world.network.now.duration(since: start) < .seconds(15))
            for node in [hub, guest] { await node.stop(grace: .zero) }
        }
    }
}
