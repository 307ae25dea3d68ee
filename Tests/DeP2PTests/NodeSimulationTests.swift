import DeP2PApp
import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PRealm
import DeP2PSessions
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2P

/// Whole nodes over a simulated network on virtual time.
@Suite @NetworkActor struct NodeSimulationTests {
    private let key = RealmKey.generate()

    private func node(in network: SimulatedNetwork, host: UInt32) throws -> Node {
        let address = SocketAddress(IPAddress(v4: 0x0a00_0000 + host), port: 4001)
        return try Node(NodeConfiguration(), driver: network.makeDriver(address: address), clock: network)
    }

    /// Handshake and admission together take two round trips: the opener's proof follows its Finished at once.
    @Test func admissionCostsOneRoundTripMore() async throws {
        let network = SimulatedNetwork(seed: 1)
        network.link.latency = .milliseconds(50)
        try await network.run {
            let (left, right) = (try node(in: network, host: 1), try node(in: network, host: 2))
            try left.join(key)
            try right.join(key)
            let start = network.now
            _ = try await left.connectMember(DialTarget(addresses: right.addresses))
            let elapsed = network.now.duration(since: start)
            #expect(elapsed >= .milliseconds(200) && elapsed < .milliseconds(260), "\(elapsed)")
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    /// The request and its negotiation are one flight: a round trip, and no more.
    @Test func aRequestTakesOneRoundTrip() async throws {
        let network = SimulatedNetwork(seed: 2)
        network.link.latency = .milliseconds(50)
        try await network.run {
            let (left, right) = (try node(in: network, host: 1), try node(in: network, host: 2))
            try left.join(key)
            try right.join(key)
            try right.messaging.register("echo") { $0.body }
            let session = try await left.connectMember(DialTarget(addresses: right.addresses))
            let start = network.now
            _ = try await left.messaging.request([UInt8](repeating: 1, count: 900), protocol: "echo", on: session)
            let elapsed = network.now.duration(since: start)
            #expect(elapsed >= .milliseconds(100) && elapsed < .milliseconds(130), "\(elapsed)")
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    @Test func messagesSurviveAnHourOfLoss() async throws {
        let network = SimulatedNetwork(seed: 3)
        network.link.loss = 0.05
        network.link.reordering = 0.02
        network.link.duplication = 0.01
        try await network.run {
            let (left, right) = (try node(in: network, host: 1), try node(in: network, host: 2))
            try left.join(key)
            try right.join(key)
            try right.messaging.register("echo") { $0.body }
            let session = try await left.connectMember(DialTarget(addresses: right.addresses))
            let end = network.now.advanced(by: .seconds(3600))
            var count = 0
            while network.now < end {
                let body = [UInt8](repeating: UInt8(truncatingIfNeeded: count), count: count % 5000)
                #expect(try await left.messaging.request(body, protocol: "echo", on: session) == body)
                count += 1
                try await network.sleep(for: .seconds(4))
            }
            #expect(count > 700 && session.isOpen)
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    /// A dead peer shows within the idle timeout, and is told apart from one that said goodbye.
    @Test func aPeerThatFallsSilentTimesOut() async throws {
        let network = SimulatedNetwork(seed: 4)
        try await network.run {
            let (left, right) = (try node(in: network, host: 1), try node(in: network, host: 2))
            try left.join(key)
            try right.join(key)
            let session = try await left.connectMember(DialTarget(addresses: right.addresses))
            let start = network.now
            network.filter = { _, _, _ in false }
            #expect(try await session.waitClosed().cause == .timeout)
            #expect(network.now.duration(since: start) < .seconds(10))
            #expect(left.realm.member(right.nodeID)?.state == .offline(.timeout))
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    @Test func bothDiallingAtOnceEndWithOneConnection() async throws {
        let network = SimulatedNetwork(seed: 5)
        try await network.run {
            let (left, right) = (try node(in: network, host: 1), try node(in: network, host: 2))
            let (leftTarget, rightTarget) = (
                DialTarget(addresses: left.addresses), DialTarget(addresses: right.addresses)
            )
            async let one = left.connect(to: rightTarget)
            async let other = right.connect(to: leftTarget)
            _ = try await (one, other)
            try await network.sleep(for: .seconds(5))
            #expect(left.connections.sessions.count == 1 && right.connections.sessions.count == 1)
            #expect(left.connections.sessions[0].isInitiator == (left.nodeID < right.nodeID))
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }

    @Test func nothingOfASessionStaysBehind() async throws {
        let network = SimulatedNetwork(seed: 6)
        try await network.run {
            let (left, right) = (try node(in: network, host: 1), try node(in: network, host: 2))
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
            try await network.sleep(for: .seconds(20))
            #expect(near == nil && far == nil)
            #expect(left.connections.sessions.isEmpty && right.connections.sessions.isEmpty)
            await left.stop(grace: .zero)
            await right.stop(grace: .zero)
        }
    }
}
