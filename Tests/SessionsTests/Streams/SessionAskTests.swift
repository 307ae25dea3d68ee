import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import DeP2PWire
import Testing

@testable import DeP2PSessions

/// One exchange a stream, from the asking side.
@Suite @NetworkActor struct SessionAskTests {
    private static let id = "/test/ask/1.0.0"

    private let world: SimulatedWorld
    private let left: LightNode
    private let right: LightNode

    init() {
        world = SimulatedWorld(seed: 1, latency: .zero)
        (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
    }

    private func session(_ handler: @escaping StreamHandler) async throws -> (near: Session, far: Session) {
        right.connections.registry.register(Self.id, deadline: .unlimited(because: "a test"), handler: handler)
        let near = try await left.connect(to: right)
        return (near, try #require(right.connections.session(with: left.nodeID)))
    }

    private func ask(_ session: Session) async throws -> [UInt8] {
        try await session.ask(Self.id, [1, 2, 3], limit: 16, within: .seconds(5))
    }

    @Test func theAnswerToTheQuestionComesBack() async throws {
        let (near, far) = try await session { _, stream in
            let question = try await FrameReader(stream, limit: 16).required()
            // The question's end is told with it: who answers need not wait for more.
            #expect(try await stream.read() == nil)
            try await stream.writeFrame(question.reversed())
        }
        #expect(try await ask(near) == [3, 2, 1])
        for _ in 0..<100 where far.servedStreamCount > 0 { await Task.yield() }
        #expect(far.servedStreamCount == 0)
    }

    @Test func silenceTimesOut() async throws {
        let (near, _) = try await session { _, _ in try await Waiter<Void>().value() }
        let start = world.network.now
        _ = await world.run {
            await #expect(throws: SessionError(.timeout)) { try await ask(near) }
        }
        #expect(world.network.now.duration(since: start) == .seconds(5))
    }

    @Test(arguments: [
        Frame.encode([UInt8](repeating: 0, count: 17)), [0x05, 1], [UInt8](repeating: 0xff, count: 10), [],
    ])
    func anAnswerThatIsNoneIsAViolation(_ bytes: [UInt8]) async throws {
        let (near, _) = try await session { _, stream in
            _ = try await FrameReader(stream, limit: 16).required()
            try await stream.write(Chunk(bytes))
        }
        await #expect(throws: SessionError(.violation)) { try await ask(near) }
    }

    @Test func whatThePeerSaysInsteadIsTold() async throws {
        let (near, far) = try await session { _, _ in throw SessionError(.busy) }
        await #expect(throws: SessionError(.busy)) { try await ask(near) }
        await #expect(throws: SessionError(.unsupported)) {
            try await near.ask("/test/none/1.0.0", [], limit: 16, within: .seconds(5))
        }
        far.close(.goodbye)
        await #expect(throws: SessionError(.closed(SessionEnd(.closedByPeer(.goodbye))))) { try await ask(near) }
    }

    /// Who gives up has not seen a violation.
    @Test func whoIsCancelledIsNotToldOfAViolation() async throws {
        let (near, far) = try await session { _, _ in try await Waiter<Void>().value() }
        let asking = networkTask { try await ask(near) }
        for _ in 0..<100 where far.servedStreamCount == 0 { await Task.yield() }
        asking.cancel()
        await #expect(throws: CancellationError.self) { try await asking.value }
    }
}
