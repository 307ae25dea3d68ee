import DeP2PApp
import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PRealm
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2P
@testable import DeP2PSessions

/// Whole nodes over a simulated network on virtual time.
@Suite @NetworkActor struct NodeSimulationTests {
    private let key = RealmKey.generate()

    private func node(in world: SimulatedWorld, host: UInt32) throws -> Node {
        try world.node(on: world.machine(at: IPAddress(v4: 0x0a00_0000 + host)))
    }

    /// Who is dialled proves itself in the handshake, and the other's proof goes with what it has to say: one round trip.
    @Test func admissionCostsNoRoundTrip() async throws {
        let world = SimulatedWorld(seed: 1)
        world.network.link.latency = .milliseconds(50)
        try await world.run {
            let (left, right) = (try node(in: world, host: 1), try node(in: world, host: 2))
            try left.join(key)
            try right.join(key)
            try right.messaging.register("echo") { $0.body }
            let start = world.network.now
            let session = try await left.connectMember(DialTarget(addresses: right.addresses))
            let elapsed = world.network.now.duration(since: start)
            #expect(elapsed >= .milliseconds(100) && elapsed < .milliseconds(130), "\(elapsed)")
            _ = try await left.messaging.request([1], protocol: "echo", on: session)
            let both = world.network.now.duration(since: start)
            #expect(both >= .milliseconds(200) && both < .milliseconds(240), "\(both)")
            #expect(right.connections.session(with: left.nodeID)?.isAdmitted == true)
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    /// The request and its negotiation are one flight: a round trip, and no more.
    @Test func aRequestTakesOneRoundTrip() async throws {
        let world = SimulatedWorld(seed: 2)
        world.network.link.latency = .milliseconds(50)
        try await world.run {
            let (left, right) = (try node(in: world, host: 1), try node(in: world, host: 2))
            try left.join(key)
            try right.join(key)
            try right.messaging.register("echo") { $0.body }
            let session = try await left.connectMember(DialTarget(addresses: right.addresses))
            let start = world.network.now
            _ = try await left.messaging.request([UInt8](repeating: 1, count: 900), protocol: "echo", on: session)
            let elapsed = world.network.now.duration(since: start)
            #expect(elapsed >= .milliseconds(100) && elapsed < .milliseconds(130), "\(elapsed)")
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    /// Who a peer is, it is asked while the node stops: nobody misses the answer.
    @Test func stoppingWaitsForNothingThatWasOnlyAsked() async throws {
        let world = SimulatedWorld(seed: 13)
        world.network.link.latency = .milliseconds(75)
        try await world.run {
            let (left, right) = (try node(in: world, host: 1), try node(in: world, host: 2))
            _ = try await left.connections.connect(to: DialTarget(addresses: right.addresses))
            try await world.network.sleep(for: Identify.askDelay + .milliseconds(20))
            #expect(left.connections.sessions.first?.openStreamCount == 1)
            let start = world.network.now
            await left.stop()
            #expect(world.network.now.duration(since: start) < .milliseconds(10))
            await right.stop(grace: .zero)
        }
    }

    /// Who is shown proofs of another realm's takes ever more time for them; a node that stops has no use for the answer.
    @Test func stoppingWaitsForNoProof() async throws {
        let world = SimulatedWorld(seed: 14)
        try await world.run {
            let (left, right) = (try node(in: world, host: 1), try node(in: world, host: 2))
            try left.join(key)
            try right.join(RealmKey.generate())
            for _ in 0..<6 { _ = try? await left.connectMember(DialTarget(addresses: right.addresses)) }
            let task = networkTask { _ = try? await left.connectMember(DialTarget(addresses: right.addresses)) }
            try await world.network.sleep(for: .milliseconds(100))
            #expect(left.connections.sessions.contains { $0.openStreamCount > 0 })
            let start = world.network.now
            await left.stop()
            #expect(world.network.now.duration(since: start) < .milliseconds(10))
            await task.value
            await right.stop(grace: .zero)
        }
    }

    @Test func messagesSurviveAnHourOfLoss() async throws {
        let world = SimulatedWorld(seed: 3)
        world.network.link.loss = 0.05
        world.network.link.reordering = 0.02
        world.network.link.duplication = 0.01
        try await world.run {
            let (left, right) = (try node(in: world, host: 1), try node(in: world, host: 2))
            try left.join(key)
            try right.join(key)
            try right.messaging.register("echo") { $0.body }
            let session = try await left.connectMember(DialTarget(addresses: right.addresses))
            let end = world.network.now.advanced(by: .seconds(3600))
            var count = 0
            while world.network.now < end {
                let body = [UInt8](repeating: UInt8(truncatingIfNeeded: count), count: count % 5000)
                #expect(try await left.messaging.request(body, protocol: "echo", on: session) == body)
                count += 1
                try await world.network.sleep(for: .seconds(4))
            }
            #expect(count > 700 && session.isOpen)
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    /// A dead peer shows within the idle timeout, and is told apart from one that said goodbye.
    @Test func aPeerThatFallsSilentTimesOut() async throws {
        let world = SimulatedWorld(seed: 4)
        try await world.run {
            let (left, right) = (try node(in: world, host: 1), try node(in: world, host: 2))
            try left.join(key)
            try right.join(key)
            let session = try await left.connectMember(DialTarget(addresses: right.addresses))
            let start = world.network.now
            world.network.filter = { _, _, _ in false }
            #expect(try await session.waitClosed().cause == .timeout)
            #expect(world.network.now.duration(since: start) < .seconds(10))
            #expect(left.realm.member(right.nodeID)?.state == .offline(.timeout))
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    @Test func bothDiallingAtOnceEndWithOneConnection() async throws {
        let world = SimulatedWorld(seed: 5)
        try await world.run {
            let (left, right) = (try node(in: world, host: 1), try node(in: world, host: 2))
            let (leftTarget, rightTarget) = (
                DialTarget(addresses: left.addresses), DialTarget(addresses: right.addresses)
            )
            async let one = left.session(to: rightTarget)
            async let other = right.session(to: leftTarget)
            _ = try await (one, other)
            try await world.network.sleep(for: .seconds(5))
            #expect(left.connections.sessions.count == 1 && right.connections.sessions.count == 1)
            #expect(left.connections.sessions[0].isInitiator == (left.nodeID < right.nodeID))
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    @Test func nothingOfASessionStaysBehind() async throws {
        let world = SimulatedWorld(seed: 6)
        try await world.run {
            let (left, right) = (try node(in: world, host: 1), try node(in: world, host: 2))
            try left.join(key)
            try right.join(key)
            try right.messaging.register("echo") { $0.body }
            weak var near: Session?
            weak var far: Session?
            do {
                let session = try await left.connectMember(DialTarget(addresses: right.addresses))
                _ = try await left.messaging.request([1], protocol: "echo", on: session)
                near = session
                far = right.connections.session(with: left.nodeID)
                #expect(far != nil)
                session.close(.normal)
            }
            try await world.network.sleep(for: .seconds(20))
            #expect(near == nil && far == nil)
            #expect(left.connections.sessions.isEmpty && right.connections.sessions.isEmpty)
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }
}
