import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import Testing

@testable import DeP2P
@testable import DeP2PApp

/// A member that opens streams and ends them in every way and order there is, on virtual time.
@Suite @NetworkActor struct NodeStreamStormTests {
    /// What the application on the other side has taken.
    private final class Taken {
        var streams: [NodeStream] = []
    }

    private func members(in world: SimulatedWorld) throws -> [Node] {
        let key = RealmKey.generate()
        return try (1...2 as ClosedRange<UInt32>).map { host in
            let node = try world.node(on: world.machine(at: IPAddress(v4: 0x0a00_0000 + host)))
            try node.join(key)
            return node
        }
    }

    /// Whatever was lent for bytes that nobody read comes back, and every place.
    @Test(arguments: [981, 982, 983, 984] as [UInt64])
    func nothingStaysBehindOfAnyOfThem(_ seed: UInt64) async throws {
        let world = SimulatedWorld(seed: seed)
        try await world.run {
            let nodes = try members(in: world)
            let target = DialTarget(nodes[1].addresses[0])
            try nodes[1].onMessage { $0.body }
            let incoming = try nodes[1].acceptStreams("storm")
            let taken = Taken()
            let taking = networkTask { for await stream in incoming { taken.streams.append(stream) } }
            var random = SplitMix64(seed: seed)
            var near: [NodeStream] = []
            func one(of streams: [NodeStream]) -> NodeStream? { streams.randomElement(using: &random) }
            for _ in 0..<500 {
                let size = Int(random.next() % 1_500_000)
                switch random.next() % 10 {
                case 0...2 where near.count < 60: near.append(try await nodes[0].openStream("storm", to: target))
                case 0...3: pour(size, into: one(of: near))
                case 4: pour(size, into: one(of: taken.streams))
                case 5: one(of: near)?.finish()
                case 6: one(of: near)?.reset(.max)
                case 7: if let index = near.indices.randomElement(using: &random) { near.remove(at: index) }
                case 8:
                    if let index = taken.streams.indices.randomElement(using: &random) {
                        let stream = taken.streams.remove(at: index)
                        if size % 3 == 0 { stream.reset() }
                    }
                default: drain(one(of: taken.streams))
                }
                if random.next() % 8 == 0 {
                    try await world.network.sleep(for: .milliseconds(Int(random.next() % 400)))
                }
            }
            #expect(try await nodes[0].send("beside", to: target) == Array("beside".utf8))
            for stream in near + taken.streams { stream.reset() }
            (near, taken.streams) = ([], [])
            try await world.network.sleep(for: .seconds(10))
            #expect(nodes[1].streams.isIdle && incoming.waitingCount == 0)
            #expect(nodes.allSatisfy { $0.connections.sessions.allSatisfy { $0.openStreamCount == 0 } })
            // All that can be lent can be lent again.
            for _ in 0..<7 { pour(1 << 20, into: try await keep(nodes[0].openStream("storm", to: target), in: &near)) }
            try await world.network.sleep(for: .seconds(10))
            #expect(taken.streams.count == 7)
            #expect(try await nodes[0].send("beside", to: target) == Array("beside".utf8))
            taking.cancel()
            for node in nodes { await node.stop(grace: .zero) }
        }
    }

    private func keep(_ stream: NodeStream, in streams: inout [NodeStream]) -> NodeStream {
        streams.append(stream)
        return stream
    }

    /// Writes beside: whoever reads may take any time, or never do it.
    private func pour(_ size: Int, into stream: NodeStream?) {
        networkTask { [weak stream] in
            // It may end meanwhile, and another may write to it.
            try? await stream?.write([UInt8](repeating: 7, count: size))
        }
    }

    private func drain(_ stream: NodeStream?) {
        networkTask { [weak stream] in
            for _ in 0..<8 {
                // Nothing comes of one that has ended.
                guard let bytes = try? await stream?.read(), !bytes.isEmpty else { return }
            }
        }
    }
}
