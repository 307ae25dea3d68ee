import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// Direct connections that move to a better direct path (issue 9.5): two hosts of one home that met at its public address.
@Suite(.serialized, .timeLimit(.minutes(2))) @NetworkActor struct BetterPathTests {
    private final class Changes {
        var remotes: [SocketAddress?] = []
    }

    /// A session of two hosts of one home by way of its gateway's public address.
    private func connect(
        _ world: PunchNetwork
    ) async throws -> (near: PunchNode, far: PunchNode, session: Session, other: Session, outside: SocketAddress) {
        let far = try world.node(.fullCone)
        let near = try world.node(.fullCone, inHomeOf: far)
        far.gateway?.hairpins = true
        far.node.client.use(world.relay.address)
        #expect(try await world.wait(atMost: .seconds(5)) { !far.node.client.standing.isEmpty })
        let outside = try #require(world.relay.connections.session(with: far.node.nodeID)?.path.remote)
        let session = try await near.node.connect(Self.address(outside, of: far.node.nodeID))
        #expect(session.path.kind == .direct && session.path.remote == outside)
        #expect(try await world.wait(atMost: .seconds(1)) { far.session(with: near) != nil })
        return (near, far, session, try #require(far.session(with: near)), outside)
    }

    private static func address(_ socket: SocketAddress, of node: NodeID) throws -> Address {
        try Address("/ip4/\(socket.ip)/udp/\(socket.port)/quic-v1/p2p/\(node)")
    }

    /// The session's peer says that it is there.
    private func tell(_ session: Session, _ node: RelayNode, _ sockets: [SocketAddress], seq: UInt64 = 1) throws {
        let addresses = try sockets.map { try Address("/ip4/\($0.ip)/udp/\($0.port)/quic-v1") }
        let record = try PeerRecord(nodeID: node.nodeID, seq: seq, addresses: addresses)
        session.learned(
            PeerInformation(
                publicKey: node.key.publicKey, listenAddresses: [], protocols: [], observedAddress: nil,
                protocolVersion: "", agentVersion: "", record: record, signedRecord: try record.sealed(by: node.key)))
    }

    private func wall(_ world: PunchNetwork, _ left: PunchNode, _ right: PunchNode) {
        var wall = SimulatedNetwork.Link()
        wall.loss = 1
        for (from, to) in [(left, right), (right, left)] {
            world.network.links[.init(from: from.node.socket.ip, to: to.node.socket.ip)] = wall
        }
    }

    @Test(
        "a transfer moves into the home, back when that path dies, and loses no byte", arguments: [1, 2, 3],
        [true, false])
    func transferThroughChanges(seed: UInt64, fromDialler: Bool) async throws {
        try await withPunchNetwork(seed: seed) { world in
            let (near, far, session, other, outside) = try await connect(world)
            let sink = PunchTransfer(at: fromDialler ? far : near)
            let changes = Changes()
            session.onPathChange { changes.remotes.append($0.remote) }
            let task = networkTask {
                try await sink.send(on: fromDialler ? session : other) { changes.remotes.count >= 3 && session.isOpen }
            }
            try await world.network.sleep(for: .seconds(2))
            #expect(changes.remotes.isEmpty, "nothing was told of another way")
            try tell(session, far.node, [far.node.socket])
            #expect(
                try await world.wait(atMost: .seconds(4)) {
                    session.path.remote == far.node.socket && other.path.remote == near.node.socket
                })
            #expect(session.path.kind == .direct && other.path.kind == .direct)
            try await world.network.sleep(for: .seconds(3))
            wall(world, near, far)
            let death = world.network.now
            #expect(try await world.wait(atMost: .seconds(6)) { session.path.remote == outside })
            #expect(world.network.now.duration(since: death) < .seconds(4))
            let before = sink.received
            try await world.network.sleep(for: .seconds(2))
            #expect(sink.received > before, "the public address carries it on")
            world.network.links = [:]
            #expect(try await world.wait(atMost: .seconds(60)) { session.path.remote == far.node.socket })
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
            #expect(changes.remotes == [far.node.socket, outside, far.node.socket])
        }
    }

    @Test("an idle one moves too, and stays")
    func idle() async throws {
        try await withPunchNetwork(seed: 4) { world in
            let (near, far, session, other, outside) = try await connect(world)
            let changes = Changes()
            session.onPathChange { changes.remotes.append($0.remote) }
            try tell(session, far.node, [far.node.socket, outside])
            try await world.network.sleep(for: .seconds(1_800))
            #expect(changes.remotes == [far.node.socket] && session.isOpen && other.isOpen)
            #expect(other.path.remote == near.node.socket)
        }
    }

    @Test("what is known before the session opens is looked at as it opens, and an admission brings it on")
    func knownBefore() async throws {
        for isMember in [true, false] {
            try await withPunchNetwork(seed: 5) { world in
                world.areMembers = isMember
                let (_, far, session, _, outside) = try await connect(world)
                try tell(session, far.node, [far.node.socket])
                try await world.network.sleep(for: .seconds(20))
                #expect((session.path.remote == far.node.socket) == isMember, "a stranger names no address in here")
                guard !isMember else { return }
                #expect(session.path.remote == outside)
                session.endAdmission(admitted: true)
                far.node.connections.sessions.forEach { $0.endAdmission(admitted: true) }
                #expect(try await world.wait(atMost: .seconds(15)) { session.path.remote == far.node.socket })
            }
        }
    }

    /// Both ends dial at once: one session is used, and each end decides for those alone that it has dialled.
    @Test("both ends at once end well", arguments: [1, 2, 3])
    func bothAtOnce(seed: UInt64) async throws {
        try await withPunchNetwork(seed: seed) { world in
            let (near, far, first, _, _) = try await connect(world)
            near.node.client.use(world.relay.address)
            #expect(try await world.wait(atMost: .seconds(5)) { !near.node.client.standing.isEmpty })
            let outside = try #require(world.relay.connections.session(with: near.node.nodeID)?.path.remote)
            let back = try await far.node.connections.connectAnew(
                to: DialTarget(addresses: [try Self.address(outside, of: near.node.nodeID)]), timeout: nil)
            try tell(first, far.node, [far.node.socket])
            try tell(back, near.node, [near.node.socket])
            try await world.network.sleep(for: .seconds(30))
            let sessions = [near.session(with: far), far.session(with: near)].compactMap(\.self)
            #expect(sessions.count == 2)
            #expect(sessions.map(\.path.remote) == [far.node.socket, near.node.socket])
            #expect(near.node.connections.sessions.count { $0.remoteNodeID == far.node.nodeID } == 1)
        }
    }

    @Test("a peer that names others' addresses gets few datagrams to them")
    func liar() async throws {
        try await withPunchNetwork(seed: 6) { world in
            let (near, far, session, _, outside) = try await connect(world)
            let victims = (100..<200).map {
                SocketAddress(IPAddress(v4: UInt32(far.node.socket.ip.low) + $0), port: 53)
            }
            // Where its own probes came from would be a better path indeed.
            wall(world, near, far)
            var received: [SocketAddress: Int] = [:]
            world.network.filter = { _, from, to in
                if from.ip == near.node.socket.ip, victims.contains(to) { received[to, default: 0] += 1 }
                return true
            }
            for minute in 0..<60 {
                // Others each time.
                let few = victims[(minute % 10) * 10..<(minute % 10) * 10 + 10]
                try tell(session, far.node, Array(few), seq: UInt64(minute) + 2)
                try await world.network.sleep(for: .seconds(60))
            }
            let total = received.values.reduce(0, +)
            #expect(total > 0 && total <= 12 * PunchLink.betterLimit * ProbeMachine.passes.count, "\(total)")
            #expect(session.isOpen && session.path.remote == outside, "\(session.path)")
        }
    }
}
