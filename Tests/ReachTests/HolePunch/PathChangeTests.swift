import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

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
            #expect(try await world.wait(atMost: .seconds(3)) { session.path.isStraight })
            try await world.network.sleep(for: .seconds(2))
            let walls = [near, far].compactMap(\.gateway?.external)
            var wall = SimulatedNetwork.Link()
            wall.loss = 1
            for (from, to) in [(walls[0], walls[1]), (walls[1], walls[0])] {
                world.network.links[.init(from: from, to: to)] = wall
            }
            let death = world.network.now
            #expect(try await world.wait(atMost: .seconds(5)) { !session.path.isStraight })
            #expect(world.network.now.duration(since: death) < .seconds(3))
            let before = sink.received
            try await world.network.sleep(for: .seconds(1))
            #expect(sink.received > before, "the relay carries it on")
            world.network.links = [:]
            #expect(try await world.wait(atMost: .seconds(8)) { session.path.isStraight })
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(sink.isIntact && sink.received == sent && sent > 2_000_000, "\(sink.received) of \(sent)")
            #expect(try await world.wait(atMost: .seconds(1)) { otherChanges.kinds.count == 3 })
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
            #expect(try await world.wait(atMost: .seconds(3)) { session.path.isStraight })
            try await world.network.sleep(for: .seconds(2))
            let end = world.network.now.advanced(by: .seconds(20))
            let task = networkTask { try await sink.send(on: session) { world.network.now >= end } }
            try await world.network.sleep(for: .seconds(1))
            (ofDialler ? near : far).gateway?.reboot()
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
            #expect(session.path.isStraight, "\(session.path)")
        }
    }

    @Test("an idle straight path that dies is left, and the connection lives")
    func idlePath() async throws {
        try await withPunchNetwork(seed: 6) { world in
            let (near, far) = (try world.node(.fullCone), try world.node(.portRestricted))
            let (session, other) = try await world.connect(near, far)
            #expect(try await world.wait(atMost: .seconds(3)) { session.path.isStraight })
            try await world.network.sleep(for: .seconds(60))
            #expect(session.path.isStraight && other.path.isStraight)
            world.network.filter = { _, from, to in
                let homes = [near, far].compactMap(\.gateway?.external)
                return !(homes.contains(from.ip) && homes.contains(to.ip))
            }
            #expect(
                try await world.wait(atMost: .seconds(6)) { !session.path.isStraight && !other.path.isStraight })
            try await world.network.sleep(for: .seconds(300))
            #expect(session.isOpen && other.isOpen && !session.path.isStraight)
            world.network.filter = nil
            #expect(
                try await world.wait(atMost: .seconds(65)) { session.path.isStraight && other.path.isStraight })
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
                    try await world.wait(atMost: .seconds(3)) {
                        session.path.isStraight && other.path.isStraight
                    })
                #expect(session.path.kind == .direct && session.path.remote == far.node.socket)
            }
        }
    }

    @Test("a relay that is killed or stops is replaced by another", arguments: [true, false])
    func lostRelay(isKilled: Bool) async throws {
        try await withPunchNetwork(seed: 9) { world in
            let (near, far) = (try world.node(.symmetricRandom), try world.node(.symmetricRandom))
            let sink = PunchTransfer(at: far)
            let (session, other) = try await world.connect(near, far, both: true)
            let end = world.network.now.advanced(by: .seconds(20))
            let task = networkTask { try await sink.send(on: session) { world.network.now >= end } }
            try await world.network.sleep(for: .seconds(4))
            isKilled ? world.relay.vanish() : world.relay.stop()
            let death = world.network.now
            #expect(
                try await world.wait(atMost: .seconds(6)) {
                    session.path.kind == .relay(world.secondRelay.nodeID) && other.path.kind == session.path.kind
                })
            #expect(world.network.now.duration(since: death) < (isKilled ? .seconds(5) : .seconds(1)))
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
        }
    }

    @Test("so it is where straight paths are left out, at either end", arguments: [true, false], [true, false])
    func lostRelayWithoutStraightPaths(atDialler: Bool, atListener: Bool) async throws {
        try await withPunchNetwork(seed: 19) { world in
            let near = try world.node(.portRestricted, usesStraightPaths: !atDialler)
            let far = try world.node(.portRestricted, usesStraightPaths: !atListener)
            guard atDialler || atListener else { return }
            let sink = PunchTransfer(at: far)
            let (session, other) = try await world.connect(near, far, both: true)
            let end = world.network.now.advanced(by: .seconds(20))
            let task = networkTask { try await sink.send(on: session) { world.network.now >= end } }
            try await world.network.sleep(for: .seconds(4))
            #expect(session.path.kind == .relay(world.relay.nodeID))
            world.relay.stop()
            #expect(
                try await world.wait(atMost: .seconds(6)) {
                    session.path.kind == .relay(world.secondRelay.nodeID) && other.path.kind == session.path.kind
                })
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
        }
    }

    @Test("an outage of twelve seconds ends no transfer", arguments: [true, false], [true, false])
    func anOutage(isRelayed: Bool, ofListener: Bool) async throws {
        try await withPunchNetwork(seed: 12) { world in
            let kind = isRelayed ? SimulatedNATKind.symmetricRandom : .portRestricted
            let (near, far) = (try world.node(kind), try world.node(kind))
            let sink = PunchTransfer(at: far)
            let (session, _) = try await world.connect(near, far)
            let end = world.network.now.advanced(by: .seconds(30))
            let task = networkTask { try await sink.send(on: session) { world.network.now >= end } }
            try await world.network.sleep(for: .seconds(5))
            let cut = ofListener ? far : near
            let outside = cut.gateway?.external ?? cut.node.socket.ip
            world.network.filter = { _, from, to in from.ip != outside && to.ip != outside }
            try await world.network.sleep(for: .seconds(12))
            world.network.filter = nil
            let before = sink.received
            #expect(try await world.wait(atMost: .seconds(3)) { sink.received > before })
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(20)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
        }
    }

    @Test("the only relay restarts, and transfers go on", arguments: [true, false], [400, 1_000, 5_000])
    func restartedRelay(isKilled: Bool, pause: Int) async throws {
        try await withPunchNetwork(seed: 21) { world in
            let (near, far) = (try world.node(.symmetricRandom), try world.node(.symmetricRandom))
            world.secondRelay.stop()
            let sink = PunchTransfer(at: far)
            let (session, _) = try await world.connect(near, far)
            let end = world.network.now.advanced(by: .seconds(15))
            let task = networkTask { try await sink.send(on: session) { world.network.now >= end } }
            try await world.network.sleep(for: .seconds(4))
            isKilled ? world.relay.vanish() : world.relay.stop()
            try await world.network.sleep(for: .milliseconds(Int64(pause)))
            let again = try world.restart(world.relay)
            let before = sink.received
            #expect(try await world.wait(atMost: .seconds(1)) { sink.received > before })
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
            again.stop()
        }
    }

    @Test("a listener that comes to its only relay by another connection goes on with what it receives")
    func listenerByAnotherConnection() async throws {
        try await withPunchNetwork(seed: 23) { world in
            let (near, far) = (try world.node(.symmetricRandom), try world.node(.symmetricRandom))
            world.secondRelay.stop()
            let sink = PunchTransfer(at: far)
            let (session, _) = try await world.connect(near, far)
            let end = world.network.now.advanced(by: .seconds(10))
            let task = networkTask { try await sink.send(on: session) { world.network.now >= end } }
            // Twice: the circuit before was another one each time.
            for _ in 1...2 {
                try await world.network.sleep(for: .seconds(3))
                try #require(far.node.connections.session(with: world.relay.nodeID)).close(.normal)
                try await world.network.sleep(for: .milliseconds(100))
                let before = sink.received
                #expect(try await world.wait(atMost: .seconds(1)) { sink.received > before })
            }
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
        }
    }

    @Test("where no relay is in the place of one that stopped, that it did is told when silence ends the connection")
    func stoppedForGood() async throws {
        try await withPunchNetwork(seed: 24) { world in
            let (near, far) = (try world.node(.symmetricRandom), try world.node(.symmetricRandom))
            let sink = PunchTransfer(at: far)
            let (session, _) = try await world.connect(near, far)
            let task = networkTask { try await sink.send(on: session) { false } }
            try await world.network.sleep(for: .seconds(3))
            #expect(sink.received > 0)
            for relay in [world.relay, world.secondRelay] { relay.service?.stop() }
            #expect(try await world.wait(atMost: .seconds(60)) { session.end != nil })
            await #expect(throws: (any Error).self) { try await task.value }
            let end = try #require(session.end)
            #expect(end.cause == .timeout && end.reason.hasSuffix("the relay is stopping"), "\(end)")
        }
    }

    @Test("a listener whose relay was killed is there again in time, though nothing moves")
    func idleListener() async throws {
        try await withPunchNetwork(seed: 22) { world in
            let (near, far) = (try world.node(.symmetricRandom), try world.node(.symmetricRandom))
            world.secondRelay.stop()
            far.node.client.use(world.relay.address)
            #expect(try await world.wait(atMost: .seconds(5)) { !far.node.client.standing.isEmpty })
            let address = try #require(far.node.client.standing.first?.address)
            try await world.network.sleep(for: .seconds(20))
            world.relay.vanish()
            try await world.network.sleep(for: .milliseconds(400))
            let again = try world.restart(world.relay)
            #expect(
                try await world.wait(atMost: .milliseconds(2_600)) { again.service?.statistics.reservations == 1 })
            #expect(try await near.node.connect(address).isOpen)
            again.stop()
        }
    }

    @Test("without another relay a connection ends with the one that stops")
    func onlyRelay() async throws {
        try await withPunchNetwork(seed: 10) { world in
            let (near, far) = (try world.node(.symmetricRandom), try world.node(.symmetricRandom))
            world.secondRelay.stop()
            let (session, other) = try await world.connect(near, far)
            try await world.network.sleep(for: .seconds(1))
            world.relay.stop()
            #expect(try await world.wait(atMost: .seconds(10)) { !session.isOpen && !other.isOpen })
            #expect(session.end?.cause == .closedLocally(.relayEnded))
        }
    }

    @Test("a straight path that outlives its relay goes on without it")
    func survivingPath() async throws {
        try await withPunchNetwork(seed: 11) { world in
            let (near, far) = (try world.node(.portRestricted), try world.node(.portRestricted))
            let (session, other) = try await world.connect(near, far, both: true)
            #expect(
                try await world.wait(atMost: .seconds(3)) { session.path.isStraight && other.path.isStraight })
            world.relay.stop()
            try await world.network.sleep(for: .seconds(30))
            #expect(session.isOpen && session.path.isStraight && other.path.isStraight)
            world.network.filter = { _, from, to in
                let homes = [near, far].compactMap(\.gateway?.external)
                return !(homes.contains(from.ip) && homes.contains(to.ip))
            }
            #expect(
                try await world.wait(atMost: .seconds(8)) {
                    session.path.kind == .relay(world.secondRelay.nodeID) && other.path.kind == session.path.kind
                })
        }
    }

    @Test("a path that turns narrow and says nothing is left for one that is measured anew", arguments: [true, false])
    func narrowPath(fromDialler: Bool) async throws {
        try await withPunchNetwork(seed: 12) { world in
            let (near, far) = (try world.node(.portRestricted), try world.node(.portRestricted))
            let sink = PunchTransfer(at: fromDialler ? far : near)
            let (session, other) = try await world.connect(near, far)
            #expect(
                try await world.wait(atMost: .seconds(3)) { session.path.isStraight && other.path.isStraight })
            let end = world.network.now.advanced(by: .seconds(25))
            let sender = fromDialler ? session : other
            let task = networkTask { try await sink.send(on: sender) { world.network.now >= end } }
            try await world.network.sleep(for: .seconds(3))
            world.network.link.mtu = 1_280 - 28
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
            #expect(session.path.isStraight)
        }
    }
}
