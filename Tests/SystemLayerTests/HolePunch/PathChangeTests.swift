import Identity
import QUIC
import Testing

@testable import SystemLayer

/// What happens to a live connection when its paths come and go.
@Suite(.serialized, .timeLimit(.minutes(2))) @NetworkActor struct PathChangeTests {
    private final class Changes {
        var kinds: [ConnectionPath.Kind] = []
    }

    @Test("a transfer goes relay, direct, relay, direct and loses no byte", arguments: [1, 2, 3])
    func transferThroughChanges(seed: UInt64) async throws {
        try await withPunchNetwork(seed: seed) { world in
            let (near, far) = (try world.node(.portRestricted), try world.node(.addressRestricted))
            let sink = PunchTransfer(at: far)
            let (session, other) = try await world.connect(near, far)
            let (changes, otherChanges) = (Changes(), Changes())
            session.onPathChange { changes.kinds.append($0.kind) }
            other.onPathChange { otherChanges.kinds.append($0.kind) }
            let task = networkTask {
                try await sink.send(on: session) { changes.kinds.count >= 3 && session.isOpen }
            }
            #expect(try await world.relays.wait(atMost: .seconds(3)) { session.path.isStraight })
            try await world.network.sleep(for: .seconds(2))
            let walls = [near, far].compactMap(\.gateway?.external)
            var wall = SimulatedNetwork.Link()
            wall.loss = 1
            for (from, to) in [(walls[0], walls[1]), (walls[1], walls[0])] {
                world.network.links[.init(from: from, to: to)] = wall
            }
            let death = world.network.now
            #expect(try await world.relays.wait(atMost: .seconds(5)) { !session.path.isStraight })
            #expect(world.network.now.duration(since: death) < .seconds(3))
            let before = sink.received
            try await world.network.sleep(for: .seconds(1))
            #expect(sink.received > before, "the relay carries it on")
            world.network.links = [:]
            #expect(try await world.relays.wait(atMost: .seconds(8)) { session.path.isStraight })
            let sent = try await task.value
            #expect(try await world.relays.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(sink.isIntact && sink.received == sent && sent > 2_000_000, "\(sink.received) of \(sent)")
            #expect(try await world.relays.wait(atMost: .seconds(1)) { otherChanges.kinds.count == 3 })
            let expected: [ConnectionPath.Kind] = [.punched, .relay(world.relay.nodeID), .punched]
            #expect(changes.kinds == expected && otherChanges.kinds == expected, "\(otherChanges.kinds)")
        }
    }

    @Test("a NAT that forgets its mappings costs seconds, not the connection", arguments: [true, false])
    func rebootedNAT(ofDialler: Bool) async throws {
        try await withPunchNetwork(seed: 5) { world in
            let (near, far) = (try world.node(.portRestricted), try world.node(.symmetricSequential))
            let sink = PunchTransfer(at: far)
            let (session, _) = try await world.connect(near, far)
            #expect(try await world.relays.wait(atMost: .seconds(3)) { session.path.isStraight })
            try await world.network.sleep(for: .seconds(2))
            let end = world.network.now.advanced(by: .seconds(20))
            let task = networkTask { try await sink.send(on: session) { world.network.now >= end } }
            try await world.network.sleep(for: .seconds(1))
            (ofDialler ? near : far).gateway?.reboot()
            let sent = try await task.value
            #expect(try await world.relays.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
            #expect(session.path.isStraight, "\(session.path)")
        }
    }

    @Test("an idle straight path that dies is left, and the connection lives")
    func idlePath() async throws {
        try await withPunchNetwork(seed: 6) { world in
            let (near, far) = (try world.node(.fullCone), try world.node(.portRestricted))
            let (session, other) = try await world.connect(near, far)
            #expect(try await world.relays.wait(atMost: .seconds(3)) { session.path.isStraight })
            try await world.network.sleep(for: .seconds(60))
            #expect(session.path.isStraight && other.path.isStraight)
            world.network.filter = { _, from, to in
                let homes = [near, far].compactMap(\.gateway?.external)
                return !(homes.contains(from.ip) && homes.contains(to.ip))
            }
            #expect(
                try await world.relays.wait(atMost: .seconds(6)) { !session.path.isStraight && !other.path.isStraight })
            try await world.network.sleep(for: .seconds(300))
            #expect(session.isOpen && other.isOpen && !session.path.isStraight)
            world.network.filter = nil
            #expect(
                try await world.relays.wait(atMost: .seconds(65)) { session.path.isStraight && other.path.isStraight })
        }
    }

    @Test("two hosts of one home meet inside it")
    func neighbours() async throws {
        for hairpins in [true, false] {
            try await withPunchNetwork(seed: 8) { world in
                let near = try world.node(.portRestricted)
                near.gateway?.hairpins = hairpins
                let far = try world.node(.portRestricted, inHomeOf: near)
                let (session, other) = try await world.connect(near, far)
                #expect(
                    try await world.relays.wait(atMost: .seconds(3)) {
                        session.path.isStraight && other.path.isStraight
                    })
                #expect(session.path.kind == .direct && session.path.remote == far.node.socket)
            }
        }
    }
}
