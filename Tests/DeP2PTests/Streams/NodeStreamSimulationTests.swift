import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import Testing

@testable import DeP2P

/// What an application costs others that takes its time, on virtual time.
@Suite @NetworkActor struct NodeStreamSimulationTests {
    private let key = RealmKey.generate()

    private func members(_ count: UInt32, in world: SimulatedWorld) throws -> [Node] {
        try (1...count).map { host in
            let node = try world.node(on: world.machine(at: IPAddress(v4: 0x0a00_0000 + host)))
            try node.join(key)
            return node
        }
    }

    /// Bytes that a writer got rid of.
    private final class Written {
        var bytes = 0
    }

    private func pour(into stream: NodeStream, _ written: Written) -> Task<Void, any Error> {
        networkTask {
            while true {
                try await stream.write([UInt8](repeating: 1, count: 64 * 1024))
                written.bytes += 64 * 1024
            }
        }
    }

    @Test func aWriterWaitsForAReaderThatNeverReads() async throws {
        let world = SimulatedWorld(seed: 971)
        try await world.run {
            let nodes = try members(2, in: world)
            let incoming = try nodes[1].acceptStreams("flood")
            let near = try await nodes[0].openStream("flood", to: DialTarget(nodes[1].addresses[0]))
            let written = Written()
            let pouring = pour(into: near, written)
            var taken = incoming.makeAsyncIterator()
            let far = try #require(await taken.next())
            try await world.network.sleep(for: .seconds(60))
            let stalled = written.bytes
            try await world.network.sleep(for: .seconds(60))
            // A stream's window there, and what waits here to be sent.
            #expect(written.bytes == stalled && stalled <= 3 * 1024 * 1024, "\(stalled)")
            // Read on, it goes on.
            var read = 0
            while read < 8 * 1024 * 1024 { read += try #require(try await far.read()).count }
            pouring.cancel()
            for node in nodes { await node.stop(grace: .zero) }
        }
    }

    /// Streams that stand still hold back themselves, and nothing else between the two nodes: more wait unread here than the
    /// connection's window, and not more than ``ConnectionAllowance/lending`` beside.
    @Test func streamsThatAreNeverReadHoldBackNoMessages() async throws {
        let world = SimulatedWorld(seed: 977)
        try await world.run {
            let nodes = try members(2, in: world)
            let target = DialTarget(nodes[1].addresses[0])
            try nodes[1].onMessage { $0.body }
            var taken = try nodes[1].acceptStreams("flood").makeAsyncIterator()
            var (far, pouring): ([NodeStream], [Task<Void, any Error>]) = ([], [])
            for _ in 0..<6 {
                pouring.append(pour(into: try await nodes[0].openStream("flood", to: target), Written()))
                far.append(try #require(await taken.next()))
            }
            try await world.network.sleep(for: .seconds(30))
            #expect(try await nodes[0].send("hello", to: target) == Array("hello".utf8))
            for task in pouring { task.cancel() }
            for node in nodes { await node.stop(grace: .zero) }
        }
    }

    /// An application that does not take a stream lets it wait for so long, and no longer.
    @Test func aStreamThatNobodyTakesIsRefused() async throws {
        let world = SimulatedWorld(seed: 972)
        try await world.run {
            let nodes = try members(2, in: world)
            let incoming = try nodes[1].acceptStreams("chat")
            let near = try await nodes[0].openStream("chat", to: DialTarget(nodes[1].addresses[0]))
            let start = world.network.now
            await #expect(throws: DeP2PError(.busy, "")) { try await near.read() }
            let waited = world.network.now.duration(since: start)
            #expect(waited >= IncomingStreams.patience && waited < IncomingStreams.patience + .seconds(1))
            #expect(incoming.waitingCount == 0)
            for node in nodes { await node.stop(grace: .zero) }
        }
    }

    /// Nothing of a stream stays behind when both have ended, nor when both let go.
    @Test func nothingOfAStreamStaysBehind() async throws {
        let world = SimulatedWorld(seed: 973)
        try await world.run {
            let nodes = try members(2, in: world)
            let incoming = try nodes[1].acceptStreams("chat")
            weak var (near, far): (NodeStream?, NodeStream?)
            do {
                let stream = try await nodes[0].openStream("chat", to: DialTarget(nodes[1].addresses[0]))
                try await stream.write("hello")
                var taken = incoming.makeAsyncIterator()
                far = await taken.next()
                near = stream
            }
            try await world.network.sleep(for: .seconds(5))
            #expect(near == nil && far == nil)
            #expect(nodes.allSatisfy { $0.connections.sessions.allSatisfy { $0.openStreamCount == 0 } })
            for node in nodes { await node.stop(grace: .zero) }
        }
    }
}
