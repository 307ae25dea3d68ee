import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// A connection of which nothing, or only the half, arrives for a while.
@Suite(.serialized, .timeLimit(.minutes(2))) @NetworkActor struct SilentPathTests {
    /// A straight path that was left so soon leaves the circuit before it standing: the way back is tried again and again.
    @Test("an outage soon after the path went straight ends no transfer", arguments: [true, false], [12, 14, 15])
    func anEarlyOutage(ofListener: Bool, seconds: Int) async throws {
        try await withPunchNetwork(seed: 26) { world in
            let (near, far) = (try world.node(.portRestricted), try world.node(.portRestricted))
            let sink = PunchTransfer(at: far)
            let (session, _) = try await world.connect(near, far)
            let end = world.network.now.advanced(by: .seconds(30))
            let task = networkTask { try await sink.send(on: session) { world.network.now >= end } }
            #expect(try await world.wait(atMost: .seconds(3)) { session.path.isStraight })
            try await world.network.sleep(for: .milliseconds(500))
            let cut = ofListener ? far : near
            let outside = cut.gateway?.external ?? cut.node.socket.ip
            world.network.filter = { _, from, to in from.ip != outside && to.ip != outside }
            try await world.network.sleep(for: .seconds(Int64(seconds)))
            world.network.filter = nil
            let before = sink.received
            #expect(try await world.wait(atMost: .seconds(3)) { sink.received > before })
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(20)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
        }
    }

    /// As behind a hop that has become narrow under TCP: what is long is lost, what comes is short.
    @Test("a relay that is heard, but hears nothing, is left within two seconds")
    func deafRelay() async throws {
        try await withPunchNetwork(seed: 27) { world in
            let (near, far) = (try world.node(.symmetricRandom), try world.node(.symmetricRandom))
            let (sink, back) = (PunchTransfer(at: far), PunchTransfer(at: near))
            let (session, other) = try await world.connect(near, far, both: true)
            let end = world.network.now.advanced(by: .seconds(12))
            let tasks = [(sink, session), (back, other)].map { sink, session in
                networkTask { try await sink.send(on: session) { world.network.now >= end } }
            }
            try await world.network.sleep(for: .seconds(4))
            let outside = try #require(near.gateway?.external)
            #expect(session.path.kind == .relay(world.relay.nodeID))
            world.network.filter = { _, from, to in !(from.ip == outside && to.ip == world.relay.socket.ip) }
            #expect(
                try await world.wait(atMost: .seconds(2)) { session.path.kind == .relay(world.secondRelay.nodeID) })
            for (task, sink) in zip(tasks, [sink, back]) {
                let sent = try await task.value
                #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
                #expect(sink.isIntact && sink.received == sent)
            }
        }
    }

    @Test("a listener that comes to its relay anew, whom it heard no more, goes on with what it receives")
    func listenerByAnotherConnectionThatWasDeaf() async throws {
        try await withPunchNetwork(seed: 28) { world in
            let (near, far) = (try world.node(.symmetricRandom), try world.node(.symmetricRandom))
            world.secondRelay.stop()
            let sink = PunchTransfer(at: far)
            let (session, _) = try await world.connect(near, far)
            let end = world.network.now.advanced(by: .seconds(10))
            let task = networkTask { try await sink.send(on: session) { world.network.now >= end } }
            let cut = world.network.now.advanced(by: .seconds(3))
            let outside = try #require(far.gateway?.external)
            // Connections and circuits by their IDs, which stand behind the first byte, but for handshakes.
            var before: Set<[UInt8]> = []
            world.network.filter = { bytes, _, to in
                guard to.ip == outside, let first = bytes.first, first < 0x80 else { return true }
                let id = Array(bytes.dropFirst().prefix(8))
                if world.network.now < cut { before.insert(id) }
                return world.network.now < cut || !before.contains(id)
            }
            try await world.network.sleep(for: .milliseconds(3_200))
            let received = sink.received
            #expect(try await world.wait(atMost: .milliseconds(2_300)) { sink.received > received })
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
        }
    }

    /// The way that was just taken had been found to work when it ended.
    @Test("a circuit that ends soon after an outage is replaced at once", arguments: 0..<12, [true, false])
    func afterAnOutage(step: Int, ofListener: Bool) async throws {
        try await withPunchNetwork(seed: UInt64(30 + step)) { world in
            let (near, far) = (try world.node(.symmetricRandom), try world.node(.symmetricRandom))
            world.secondRelay.stop()
            let sink = PunchTransfer(at: far)
            let (session, _) = try await world.connect(near, far)
            let end = world.network.now.advanced(by: .seconds(25))
            let task = networkTask { try await sink.send(on: session) { world.network.now >= end } }
            try await world.network.sleep(for: .seconds(3))
            let outside = try #require((ofListener ? far : near).gateway?.external)
            world.network.filter = { _, from, to in from.ip != outside && to.ip != outside }
            try await world.network.sleep(for: .seconds(12))
            world.network.filter = nil
            let before = sink.received
            #expect(try await world.wait(atMost: .seconds(2)) { sink.received > before })
            try await world.network.sleep(for: .milliseconds(100) * step)
            world.relay.connections.session(with: far.node.nodeID)?.close(.normal)
            var (still, longest) = (0, 0)
            while world.network.now < end {
                let before = sink.received
                try await world.network.sleep(for: .milliseconds(100))
                still = sink.received > before ? 0 : still + 1
                longest = max(longest, still)
            }
            #expect(longest <= 10, "\(longest) tenths of a second")
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(10)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent)
        }
    }

    @Test(
        "a circuit that is asked for while its target comes anew to the relay is refused at once, and asked for again")
    func askedMeanwhile() async throws {
        try await withPunchNetwork(seed: 29) { world in
            let (near, far) = (try world.node(.symmetricRandom), try world.node(.symmetricRandom))
            let (session, _) = try await world.connect(near, far)
            session.close(.normal)
            let outside = try #require(far.gateway?.external)
            // From now on all that there is to far is dead; what is made anew is not.
            var before: Set<[UInt8]> = []
            let cut = world.network.now.advanced(by: .seconds(7))
            world.network.filter = { bytes, _, to in
                guard to.ip == outside, let first = bytes.first, first < 0x80 else { return true }
                let id = Array(bytes.dropFirst().prefix(8))
                if world.network.now < cut { before.insert(id) }
                return world.network.now < cut || !before.contains(id)
            }
            try await world.network.sleep(for: .seconds(7))
            let start = world.network.now
            let (way, _) = try await near.node.client.openCircuit(
                to: far.node.nodeID, via: world.relay.nodeID, at: [world.relay.address], again: PunchLink.detourPauses)
            // By then far has found out, and has come again; five seconds are waited for an answer otherwise.
            #expect(world.network.now.duration(since: start) < .seconds(4))
            way.end()
        }
    }

    @Test(
        "a relay that stops is why a peer does not say whether it speaks what it was asked for, and that is told soon",
        arguments: 1...2)
    func stoppedBeforeTheFirstAnswer(relays: Int) async throws {
        try await withPunchNetwork(seed: 25) { world in
            let (near, far) = (try world.node(.symmetricRandom), try world.node(.symmetricRandom))
            let (session, _) = try await world.connect(near, far)
            try await world.network.sleep(for: .seconds(3))
            // From now on nothing comes from the peer.
            let outside = try #require(far.gateway?.external)
            world.network.filter = { _, from, _ in from.ip != outside }
            let stream = try await session.openStream(PunchTransfer.id)
            stream.bearsSilenceOnceAgreed()
            let task = networkTask { try await stream.read() }
            try await world.network.sleep(for: .milliseconds(200))
            for relay in [world.relay, world.secondRelay].prefix(relays) { relay.service?.stop() }
            #expect(try await world.wait(atMost: .seconds(6)) { session.end != nil })
            await #expect(throws: (any Error).self) { try await task.value }
            let end = try #require(session.end)
            #expect(end.cause == .closedLocally(.relayEnded) && end.reason.hasSuffix("the relay is stopping"), "\(end)")
        }
    }
}
