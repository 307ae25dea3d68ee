import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import Testing

@testable import DeP2P

/// Issue 9.3: a node is a list of parts, and a new one is one entry.
@Suite @NetworkActor struct NodePartTests {
    /// What happened to the parts of a node, in order.
    private final class Record: Sendable {
        @NetworkActor var events: [String] = []
    }

    private final class RecordingPart: NodePart {
        private let name: String
        private let record: Record
        private let keptOpen: Int

        init(_ name: String, _ record: Record, keptOpen: Int = 0) {
            (self.name, self.record, self.keptOpen) = (name, record, keptOpen)
        }

        func start() { record.events.append("\(name) starts") }
        func networkChanged() { record.events.append("\(name): the network has changed") }
        func streamsKeptOpen(on session: Session) -> Int { keptOpen }
        func willStop(within grace: Duration) { record.events.append("\(name) will stop within \(grace)") }
        func stop() async { record.events.append("\(name) stops") }
    }

    /// A capability as somebody would add one: a protocol that answers with a word.
    private final class GreetingPart: NodePart {
        nonisolated static let id = "/dep2p/sys/greeting/1.0.0"

        private let connections: Connections

        init(_ connections: Connections) { self.connections = connections }

        func start() {
            connections.registry.register(Self.id, deadline: .within(.seconds(1))) { _, stream in
                try await stream.writeFrame(Array("hello".utf8))
                stream.finish()
            }
        }
    }

    private func node(
        in world: SimulatedWorld, host: UInt8, _ change: (inout NodeConfiguration) -> Void = { _ in }
    ) throws -> Node {
        var configuration = NodeConfiguration()
        change(&configuration)
        return try world.node(configuration, on: world.machine(at: IPAddress(v4: 0x0a00_0000 + UInt32(host))))
    }

    private func names(_ node: Node) -> [String] { node.parts.map { "\(type(of: $0))" } }

    @Test func partsStartInOrderAndStopInTheOppositeOne() async throws {
        let world = SimulatedWorld(seed: 1)
        try await world.run {
            let record = Record()
            let node = try node(in: world, host: 1) { configuration in
                configuration.parts = ["one", "two"].map { name in { _ in RecordingPart(name, record) } }
            }
            node.networkChanged()
            await node.stop(grace: .seconds(1))
            await node.stop(grace: .seconds(1))
            #expect(
                record.events == [
                    "one starts", "two starts", "one: the network has changed", "two: the network has changed",
                    "two will stop within 1.0 seconds", "one will stop within 1.0 seconds", "two stops", "one stops",
                ])
        }
    }

    /// Each order has a reason: `NodePart`, `capabilities`.
    @Test func theOrderOfANodesOwnPartsIsThis() async throws {
        let world = SimulatedWorld(seed: 2)
        try await world.run {
            let plain = try node(in: world, host: 1)
            #expect(
                names(plain) == [
                    "EventsPart", "EventLogPart", "IntrospectionPart", "InterfacesPart", "PortMappingPart",
                    "StoragePart", "SocketsPart", "SessionsPart", "AccessPart", "StreamsPart", "TransferPart",
                    "PubSubPart",
                    "LivenessPart",
                    "IdentifyPart", "PingPart", "DialBackPart",
                    "RelayClientPart", "ReachabilityPart", "HolePunchPart", "NetworkWatchPart",
                ])
            let relay = try node(in: world, host: 2) { configuration in
                configuration.relay = RelayConfiguration(membersOnly: false)
                configuration.usesRelays = false
            }
            #expect(
                names(relay).suffix(6) == [
                    "RelayClientPart", "RelayServicePart", "RealmRelayPart", "ReachabilityPart", "HolePunchPart",
                    "NetworkWatchPart",
                ])
            for node in [plain, relay] { await node.stop(grace: .zero) }
        }
    }

    @Test func aNodeOfThisMachineAsksForRoutesAndMayAskForPorts() async throws {
        var configuration = NodeConfiguration()
        configuration.listen = [SocketAddress(.v4Loopback, port: 0)]
        let node = try await Node.start(configuration)
        #expect(names(node)[4] == "PortMappingPart" && names(node).last == "NetworkWatchPart")
        await node.stop()
        configuration.mapsPorts = false
        let closed = try await Node.start(configuration)
        #expect(!names(closed).contains("PortMappingPart"))
        await closed.stop()
    }

    @Test func aNewCapabilityIsOneEntry() async throws {
        let world = SimulatedWorld(seed: 3)
        try await world.run {
            let left = try node(in: world, host: 1)
            let right = try node(in: world, host: 2) { $0.parts = [{ GreetingPart($0.connections) }] }
            let session = try await left.session(to: DialTarget(addresses: right.addresses))
            let stream = try await session.openStream(GreetingPart.id)
            stream.finish()
            let answer = try await FrameReader(stream, limit: 16).next()
            #expect(answer == Array("hello".utf8))
            for node in [left, right] { await node.stop(grace: .zero) }
        }
    }

    /// What a part keeps open is nothing to wait for; any other stream has the grace to end.
    @Test(arguments: [0, 1]) func aStoppingNodeWaitsForOthersStreamsOnly(keptOpen: Int) async throws {
        let world = SimulatedWorld(seed: 4)
        try await world.run {
            let left = try node(in: world, host: 1) { configuration in
                configuration.usesRelays = false
                configuration.reserves = false
                configuration.parts = [{ _ in RecordingPart("it", Record(), keptOpen: keptOpen) }]
            }
            let right = try node(in: world, host: 2) { configuration in configuration.reserves = false }
            right.connections.registry.register("/dep2p/sys/patient/1.0.0", deadline: .unlimited(because: "a test")) {
                _, _ in try await world.network.sleep(for: .seconds(60))
            }
            let session = try await left.session(to: DialTarget(addresses: right.addresses))
            // What is asked of a new peer is over.
            try await world.network.sleep(for: .seconds(2))
            let stream = try await session.openStream("/dep2p/sys/patient/1.0.0")
            try await stream.write(Chunk([1]))
            let start = world.network.now
            await left.stop(grace: .seconds(10))
            #expect((world.network.now.duration(since: start) >= .seconds(10)) == (keptOpen == 0))
            withExtendedLifetime(stream) {}
            await right.stop(grace: .zero)
        }
    }
}
