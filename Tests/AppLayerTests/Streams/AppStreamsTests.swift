import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PRealm
import DeP2PSessions
import DeP2PSimulation
import Testing

@testable import DeP2PApp

@Suite @NetworkActor struct AppStreamsTests {
    private let world = SimulatedWorld(seed: 1, latency: .zero)
    private let key = RealmKey.generate()

    @Test func bytesRunBothWaysUntilBothSidesEnd() async throws {
        let left = try AppNode(in: world, port: 1, key: key)
        let right = try AppNode(in: world, port: 2, key: key)
        var peer: NodeID?
        try right.streams.register("chat") { stream in
            peer = stream.peer
            while let chunk = try await stream.stream.read() { try await stream.stream.write(chunk) }
        }
        let session = try await left.admittedSession(with: right)
        let chat = try await left.streams.open("chat", on: session)
        for number in 0..<100 {
            try await chat.stream.write(Chunk([UInt8(number)]))
            #expect(try await chat.stream.read()?.array() == [UInt8(number)])
        }
        chat.stream.finish()
        #expect(try await chat.stream.read() == nil)
        #expect(peer == left.node.nodeID)
    }

    @Test func namesAreChecked() async throws {
        let left = try AppNode(in: world, port: 1, key: key)
        for name in ["", "a/b", "ä", String(repeating: "n", count: 129)] {
            #expect(throws: MessagingError(.invalidName)) { try left.streams.register(name) { _ in } }
        }
        #expect(try AppStreams.protocolID("v1.chat_A-b") == "/dep2p/app/streams/v1.chat_A-b/1.0.0")
    }

    @Test func outsidersOpenNone() async throws {
        let left = try AppNode(in: world, port: 1, key: nil)
        let right = try AppNode(in: world, port: 2, key: key)
        let session = try await left.node.connect(to: right.node)
        await #expect(throws: MessagingError(.notMember)) { try await left.streams.open("chat", on: session) }
    }
}
