import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// Links between nodes whose relays are away, or last for a moment only, while a path is in doubt.
@Suite(.serialized, .timeLimit(.minutes(5))) @NetworkActor struct RelayStandInTests {
    private func count(_ node: PunchNode, _ relay: RelayNode) -> Int {
        node.node.connections.sessions.filter { $0.remoteNodeID == relay.nodeID }.count
    }

    @Test("twenty connections relayed by one relay that is away for a while", arguments: [1_500, 3_000, 3_900, 5_000])
    func twenty(milliseconds: Int) async throws {
        try await withPunchNetwork(seed: 105) { world in
            world.relayCount = 1
            let near = try world.node(.symmetricRandom)
            var sinks: [(PunchTransfer, Session)] = []
            for _ in 0..<20 {
                let far = try world.node(.symmetricRandom)
                let sink = PunchTransfer(at: far)
                sinks.append((sink, try await world.connect(near, far).near))
                try await world.network.sleep(for: .milliseconds(70))
            }
            let end = world.network.now.advanced(by: .seconds(30))
            let tasks = sinks.map { sink, session in
                networkTask { try await sink.send(on: session) { world.network.now >= end } }
            }
            try await world.network.sleep(for: .seconds(5))
            let home = try #require(near.gateway?.external)
            let relay = world.relay.socket.ip
            world.network.filter = { _, from, to in ![from.ip, to.ip].allSatisfy([home, relay].contains) }
            try await world.network.sleep(for: .milliseconds(milliseconds))
            world.network.filter = nil
            let start = world.network.now
            let received = sinks.map { $0.0.received }
            var times: [Duration?] = sinks.map { _ in nil }
            var most = 0
            _ = try await world.wait(atMost: .seconds(12)) {
                most = max(most, count(near, world.relay))
                for (index, item) in sinks.enumerated()
                where times[index] == nil && item.0.received > received[index] + 20_000 {
                    times[index] = world.network.now.duration(since: start)
                }
                return times.allSatisfy { $0 != nil }
            }
            let known = times.compactMap(\.self)
            for (_, session) in sinks { #expect(session.isOpen) }
            #expect(most <= 3)
            for task in tasks { task.cancel() }
            #expect(known.count == 20)
        }
    }

    /// QUIC gives up to validate the path before the first answer comes.
    @Test("a relay far away takes over a near path that died", arguments: [100, 175, 200, 300, 500, 900])
    func farRelay(latency: Int) async throws {
        try await withPunchNetwork(seed: 9) { world in
            let (near, far) = (try world.node(.portRestricted), try world.node(.open))
            far.node.client.use(world.relay.address)
            #expect(try await world.wait(atMost: .seconds(5)) { !far.node.client.standing.isEmpty })
            let home = try #require(near.gateway?.external)
            var link = SimulatedNetwork.Link()
            link.latency = .milliseconds(Int64(latency))
            for host in [home, near.node.socket.ip] {
                world.network.links[.init(from: host, to: world.relay.socket.ip)] = link
                world.network.links[.init(from: world.relay.socket.ip, to: host)] = link
            }
            let session = try await near.node.connect(far.node.address)
            _ = try await near.node.connect(world.relay.address)
            let sink = PunchTransfer(at: far)
            let end = world.network.now.advanced(by: .seconds(30))
            let task = networkTask { try await sink.send(on: session) { world.network.now >= end } }
            try await world.network.sleep(for: .seconds(10))
            world.network.filter = { _, from, to in
                from.ip != home && to.ip != home || from.ip == world.relay.socket.ip || to.ip == world.relay.socket.ip
            }
            let received = sink.received
            let limit = Duration.seconds(2.5) + .milliseconds(latency) * 8
            #expect(try await world.wait(atMost: limit) { sink.received > received + 20_000 })
            let circuits = world.relay.service?.statistics.openedCircuits ?? 0
            let sent = try await task.value
            #expect(try await world.wait(atMost: .seconds(20)) { sink.isComplete })
            #expect(session.isOpen && sink.isIntact && sink.received == sent && circuits <= 2, "\(circuits)")
        }
    }

    /// A relay, or what stands before it, with which a connection lasts for a moment only.
    @Test("connections with the relay that die soon are not heaped up", arguments: [true, false])
    func shortLived(isReserved: Bool) async throws {
        try await withPunchNetwork(seed: 14) { world in
            world.relayCount = 1
            let (near, far) = (try world.node(.portRestricted), try world.node(.open))
            far.node.client.use(world.relay.address)
            try await world.network.sleep(for: .seconds(5))
            let home = try #require(near.gateway?.external)
            let session = try await near.node.connect(far.node.address)
            if isReserved { near.node.client.use(world.relay.address) }
            _ = try await near.node.connect(world.relay.address)
            let sink = PunchTransfer(at: far)
            let end = world.network.now.advanced(by: .seconds(60))
            let task = networkTask { try await sink.send(on: session) { world.network.now >= end } }
            try await world.network.sleep(for: .seconds(10))
            let cut = world.network.now
            world.network.filter = { bytes, from, to in
                guard from.ip == home || to.ip == home else { return true }
                guard from.ip == world.relay.socket.ip || to.ip == world.relay.socket.ip else { return false }
                if world.network.now > cut.advanced(by: .seconds(8)) { return true }
                guard let first = bytes.first else { return true }
                return first >= 0x80
            }
            let most = Count()
            let received = sink.received
            var isBack = false
            while !isBack, world.network.now < cut.advanced(by: .seconds(40)) {
                most.value = max(most.value, count(near, world.relay))
                isBack = sink.received > received + 100_000
                try await world.network.sleep(for: .milliseconds(10))
            }
            #expect(isBack && session.isOpen && most.value <= 4, "\(most.value)")
            task.cancel()
        }
    }

    private final class Count {
        var value = 0
    }

    @Test("what a slow busy connection has others asked", arguments: [100, 600])
    func busySlow(latency: Int) async throws {
        try await withPunchNetwork(seed: 15) { world in
            world.relayCount = 2
            let (near, far) = (try world.node(.open), try world.node(.open))
            var link = SimulatedNetwork.Link()
            link.latency = .milliseconds(Int64(latency))
            let (left, right) = (near.node.socket.ip, far.node.socket.ip)
            world.network.links[.init(from: left, to: right)] = link
            world.network.links[.init(from: right, to: left)] = link
            let session = try await near.node.connect(far.node.address)
            for relay in [world.relay, world.secondRelay] { _ = try await near.node.connect(relay.address) }
            try await world.network.sleep(for: .seconds(5))
            let end = world.network.now.advanced(by: .seconds(60))
            // Something now and then.
            let sink = PunchTransfer(at: far)
            let task: Task<Void, any Error> = networkTask { () async throws -> Void in
                let stream = try await session.openStream(PunchTransfer.id)
                while world.network.now < end {
                    try await stream.write(Chunk([1]))
                    try await session.clock.sleep(for: .milliseconds(900))
                }
            }
            let packets = Count()
            world.network.filter = { _, from, to in
                if [from.ip, to.ip].contains(world.relay.socket.ip) { packets.value += 1 }
                return true
            }
            try await world.network.sleep(for: .seconds(50))
            #expect(packets.value < 60 && sink.received > 40, "\(packets.value) \(sink.received)")
            task.cancel()
        }
    }
}
