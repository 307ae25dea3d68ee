import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// Connections that began on a direct path, when that path dies (issue 9.5).
@Suite(.serialized, .timeLimit(.minutes(2))) @NetworkActor struct DirectPathTests {
    private final class Changes {
        var kinds: [ConnectionPath.Kind] = []
    }

    /// A direct session of two nodes, the second of which is reachable through the relay too.
    private func connect(
        _ world: PunchNetwork, reserves: Bool = true
    ) async throws -> (near: PunchNode, far: PunchNode, session: Session, other: Session) {
        let (near, far) = (try world.node(.portRestricted), try world.node(.open))
        if reserves {
            far.node.client.use(world.relay.address)
            #expect(try await world.wait(atMost: .seconds(5)) { !far.node.client.standing.isEmpty })
        }
        let session = try await near.node.connect(far.node.address)
        #expect(session.path.kind == .direct)
        #expect(try await world.wait(atMost: .seconds(1)) { far.session(with: near) != nil })
        return (near, far, session, try #require(far.session(with: near)))
    }

    private func block(_ world: PunchNetwork, _ near: PunchNode, _ far: PunchNode) {
        let hosts = [near.gateway?.external ?? near.node.socket.ip, far.node.socket.ip]
        world.network.filter = { _, from, to in !(hosts.contains(from.ip) && hosts.contains(to.ip)) }
    }

    @Test("a transfer on a direct path goes on through a relay, comes back, and loses no byte", arguments: [1, 2, 3])
    func transferThroughChanges(seed: UInt64) async throws {
        try await withPunchNetwork(seed: seed) { world in
            let (near, far, session, other) = try await connect(world)
            let sink = PunchTransfer(at: far)
            let (changes, otherChanges) = (Changes(), Changes())
            session.onPathChange { changes.kinds.append($0.kind) }
            other.onPathChange { otherChanges.kinds.append($0.kind) }
            let task = networkTask {
                try await sink.send(on: session) { changes.kinds.count >= 2 && session.isOpen }
            }
            try await world.network.sleep(for: .seconds(2))
            let death = world.network.now
            block(world, near, far)
            #expect(try await world.wait(atMost: .seconds(6)) { !session.path.isStraight })
            #expect(world.network.now.duration(since: death) < .seconds(4))
            let before = sink.received
            try await world.network.sleep(for: .seconds(2))
            #expect(sink.received > before, "the relay carries it on")
            world.network.filter = nil
            #expect(try await world.wait(atMost: .seconds(10)) { session.path.isStraight })
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
            #expect(try await world.wait(atMost: .seconds(1)) { otherChanges.kinds.count == 2 })
            let expected: [ConnectionPath.Kind] = [.relay(world.relay.nodeID), .direct]
            #expect(
                changes.kinds == expected && otherChanges.kinds == expected, "\(changes.kinds) \(otherChanges.kinds)")
        }
    }

    /// What of a direct path dies.
    enum Dead: CaseIterable, Sendable { case both, toListener, toDialler }

    /// The side that accepted only tells when nothing arrives there: all else the one that dialled sees by itself.
    @Test("what the accepting side sends goes on too, whichever way is dead", arguments: Dead.allCases, [true, false])
    func sentByTheAcceptingSide(dead: Dead, isBusy: Bool) async throws {
        try await withPunchNetwork(seed: 8) { world in
            let (near, far, session, other) = try await connect(world)
            let sink = PunchTransfer(at: near)
            try await world.network.sleep(for: .seconds(2))
            let end = world.network.now.advanced(by: .seconds(25))
            let task = networkTask { isBusy ? try await sink.send(on: other) { world.network.now >= end } : 0 }
            try await world.network.sleep(for: .seconds(2))
            let home = near.gateway?.external ?? near.node.socket.ip
            world.network.filter = { _, from, to in
                (dead == .toDialler || from.ip != home || to.ip != far.node.socket.ip)
                    && (dead == .toListener || from.ip != far.node.socket.ip || to.ip != home)
            }
            #expect(
                try await world.wait(atMost: .seconds(9)) { !session.path.isStraight && !other.path.isStraight })
            let sent = try await task.value
            if isBusy { #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete }) }
            #expect(session.isOpen && other.isOpen && sink.isIntact && sink.received == sent)
        }
    }

    @Test("an idle one does so too, before it would be given up")
    func idlePath() async throws {
        try await withPunchNetwork(seed: 4) { world in
            let (near, far, session, other) = try await connect(world)
            try await world.network.sleep(for: .seconds(30))
            #expect(session.path.kind == .direct)
            block(world, near, far)
            #expect(
                try await world.wait(atMost: .seconds(9)) { !session.path.isStraight && !other.path.isStraight })
            try await world.network.sleep(for: .seconds(120))
            #expect(session.isOpen && other.isOpen && !session.path.isStraight)
            world.network.filter = nil
            #expect(
                try await world.wait(atMost: .seconds(65)) { session.path.isStraight && other.path.isStraight })
        }
    }

    @Test("where no relay leads to the peer it stays, and gets on when the path does")
    func noWay() async throws {
        try await withPunchNetwork(seed: 5) { world in
            let (near, far, session, other) = try await connect(world, reserves: false)
            block(world, near, far)
            try await world.network.sleep(for: .seconds(6))
            world.network.filter = nil
            try await world.network.sleep(for: .seconds(20))
            #expect(session.isOpen && other.isOpen && session.path.kind == .direct)
            let sink = PunchTransfer(at: far)
            let end = world.network.now.advanced(by: .seconds(5))
            let sent = try await sink.send(on: session) { world.network.now >= end }
            #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(sink.received == sent)
        }
    }

    /// What idle session with the relay there is when the direct path dies.
    enum Idle: CaseIterable, Sendable { case none, alive, dead, deadForAWhile }

    /// Nobody watches a session with a relay that nothing rides on.
    @Test("an idle session with the relay may be as dead as the path", arguments: Idle.allCases, [true, false])
    func idleRelay(idle: Idle, beganDirectly: Bool) async throws {
        try await withPunchNetwork(seed: 9) { world in
            let (near, far, session) = try await straight(
                world, beganDirectly: beganDirectly, isIdleRelay: idle != .none)
            let relay = world.relay.nodeID
            @NetworkActor func sessions() -> [Session] {
                near.node.connections.sessions.filter { $0.remoteNodeID == relay }
            }
            let sink = PunchTransfer(at: far)
            let end = world.network.now.advanced(by: .seconds(20))
            let task = networkTask { try await sink.send(on: session) { world.network.now >= end } }
            let home = try #require(near.gateway?.external)
            let cut = world.network.now.advanced(by: .seconds(10))
            let isDead = idle == .dead || idle == .deadForAWhile
            var before: Set<[UInt8]> = []
            world.network.filter = { bytes, from, to in
                guard from.ip == home || to.ip == home else { return true }
                // Connections by their IDs, which stand behind the first byte, but for handshakes.
                let (id, now) = (Array(bytes.dropFirst().prefix(8)), world.network.now)
                if now < cut { before.insert(id) }
                if now < cut || idle == .deadForAWhile && now > cut.advanced(by: .seconds(6)) { return true }
                guard from.ip == world.relay.socket.ip || to.ip == world.relay.socket.ip else { return false }
                guard isDead, let first = bytes.first, first < 0x80 else { return true }
                return !before.contains(id)
            }
            try await world.network.sleep(for: .seconds(10))
            #expect(session.path.isStraight && sessions().count == (idle == .none ? 0 : 1))
            let received = sink.received
            #expect(try await world.wait(atMost: .seconds(3)) { sink.received > received + 100_000 })
            #expect(session.path.kind == .relay(relay))
            #expect(sessions().count == (isDead ? 2 : 1))
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
            #expect(sessions().count == 1, "the other is not needed")
        }
    }

    private func straight(
        _ world: PunchNetwork, beganDirectly: Bool, isIdleRelay: Bool
    ) async throws -> (near: PunchNode, far: PunchNode, session: Session) {
        let near: PunchNode, far: PunchNode, session: Session
        if beganDirectly {
            (near, far, session, _) = try await connect(world)
            if isIdleRelay { _ = try await near.node.connect(world.relay.address) }
        } else {
            (near, far) = (try world.node(.portRestricted), try world.node(.portRestricted))
            session = try await world.connect(near, far).near
            #expect(try await world.wait(atMost: .seconds(3)) { session.path.isStraight })
            try await world.network.sleep(for: .seconds(isIdleRelay ? 6 : 40))
        }
        return (near, far, session)
    }

    @Test("a peer that is gone is given up in time")
    func deadPeer() async throws {
        try await withPunchNetwork(seed: 6) { world in
            let (_, far, session, _) = try await connect(world)
            far.punch.stop()
            far.node.vanish()
            #expect(try await world.wait(atMost: .seconds(10)) { !session.isOpen })
        }
    }

    /// Frames of circuits don't travel in others.
    @Test("the session with a relay is not relayed itself")
    func sessionWithARelay() async throws {
        try await withPunchNetwork(seed: 7) { world in
            let node = try world.node(.portRestricted)
            world.relay.client.use(world.secondRelay.address)
            node.node.client.use(world.relay.address)
            #expect(
                try await world.wait(atMost: .seconds(5)) {
                    !node.node.client.standing.isEmpty && !world.relay.client.standing.isEmpty
                })
            let session = try #require(node.node.connections.session(with: world.relay.nodeID))
            let home = try #require(node.gateway?.external)
            world.network.filter = { _, from, to in
                ![from.ip, to.ip].allSatisfy([home, world.relay.socket.ip].contains)
            }
            #expect(try await world.wait(atMost: .seconds(15)) { !session.isOpen })
            #expect(session.path.peerAddress != nil)
        }
    }

    // MARK: Who decides

    private func counters(_ bytes: UInt64, waits: Bool = false) -> ProgressWatch.Counters {
        ProgressWatch.Counters(
            bytesReceived: bytes, acknowledgements: 0, hasUnacknowledged: waits, latestRTT: .milliseconds(40))
    }

    private func situation(canReturn: Bool) -> PathKeeper.Situation {
        PathKeeper.Situation(isClient: true, isStraight: true, isBusy: true, canReturn: canReturn)
    }

    private func direct() -> PathKeeper {
        var keeper = PathKeeper()
        #expect(keeper.start(isRelayed: false, now: .milliseconds(0)).isEmpty && keeper.wake == nil)
        return keeper
    }

    @Test func aDirectPathIsLeftOnlyForSomewhere() {
        var keeper = direct()
        #expect(keeper.found(.silent, .milliseconds(5_000), in: situation(canReturn: false)).isEmpty)
        #expect(keeper.found(.stalled, .milliseconds(5_000), in: situation(canReturn: false)).isEmpty)
        #expect(keeper.found(.quiet, .milliseconds(5_000), in: situation(canReturn: true)).isEmpty)
        #expect(keeper.found(.silent, .milliseconds(5_000), in: situation(canReturn: true)) == [.goBack(.known)])
    }

    @Test func aSilentPathThatSpeaksAgainIsKept() {
        var keeper = direct()
        _ = keeper.found(.silent, .milliseconds(5_000), in: situation(canReturn: true))
        #expect(keeper.found(.acknowledged, .milliseconds(5_200), in: situation(canReturn: true)) == [.stay])
        #expect(keeper.isDirect)
        // What small packets pass says nothing where large ones don't.
        _ = keeper.found(.stalled, .milliseconds(9_000), in: situation(canReturn: true))
        #expect(keeper.found(.acknowledged, .milliseconds(9_200), in: situation(canReturn: true)).isEmpty)
        #expect(!keeper.isDirect)
    }

    @Test func relaysThatLeadNowhereAreAskedAFewTimes() {
        var keeper = direct()
        var attempts = keeper.found(.stalled, .milliseconds(5_000), in: situation(canReturn: true)).count
        var now = NetworkInstant.milliseconds(5_000)
        while !keeper.isDirect, attempts < 100 {
            _ = keeper.migrationEnded(false, now: now)
            guard let wake = keeper.wake else { break }
            now = wake
            attempts += keeper.timerFired(isBusy: true, now: now).count
        }
        #expect(attempts == PathKeeper.directReturns && keeper.isDirect)
    }

    @Test func whatTheServerSideSeesIsTold() {
        var keeper = PathKeeper()
        let server = PathKeeper.Situation(isClient: false, isStraight: true, isBusy: false, canReturn: false)
        #expect(keeper.found(.stalled, .milliseconds(0), in: server) == [.tellOfStall])
        #expect(keeper.found(.silent, .milliseconds(0), in: server) == [.tellOfStall, .nudgeRelays])
        #expect(keeper.found(.quiet, .milliseconds(0), in: server).isEmpty)
    }

    @Test func anIdleDirectPathIsLookedAtMoreSeldom() {
        var watch = ProgressWatch(keepAlive: .seconds(3), counters(0), now: .milliseconds(0))
        _ = watch.look(counters(0), isPatient: true, now: watch.nextLook)
        #expect(watch.nextLook == .milliseconds(500 + 1_500))
        _ = watch.look(counters(0, waits: true), isPatient: true, now: watch.nextLook)
        #expect(watch.nextLook == .milliseconds(2_000 + 500))
    }
}
