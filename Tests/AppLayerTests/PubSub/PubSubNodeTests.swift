import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PRealm
import DeP2PSessions
import DeP2PSimulation
import Glibc
import Synchronization
import Testing

@testable import DeP2PApp

/// A light node that publishes and subscribes.
@NetworkActor
struct PubSubNode {
    let node: LightNode
    let realm: Realm
    let pubsub: PubSub

    init(in world: SimulatedWorld, port: UInt16, key: RealmKey) throws {
        let identity = IdentityKey.generate()
        node = world.lightNode(port: port, key: identity)
        realm = Realm(node.connections)
        pubsub = PubSub(connections: node.connections, realm: realm, key: identity, wallClock: world.wallClock)
        pubsub.start()
        try realm.join(key)
    }

    @discardableResult
    func admittedSession(with other: LightNode) async throws -> Session {
        let session = try await node.connect(to: other)
        try await realm.admit(session)
        return session
    }
}

/// Issue 12.4, 12.5: streams and who is on their other end.
@Suite @NetworkActor struct PubSubNodeTests {
    private let world = SimulatedWorld(seed: 1, latency: .milliseconds(5))
    private let key = RealmKey.generate()

    /// Somebody who says that he listens, and does with the streams that are opened to him what he likes.
    private func other(
        port: UInt16, _ serve: @escaping @NetworkActor (NegotiatedStream) async throws -> Void
    ) throws -> AppNode {
        let other = try AppNode(in: world, port: port, key: key)
        other.node.connections.registry.register(
            PubSub.protocolID, deadline: .unlimited(because: "it is a test's")
        ) { _, stream in try await serve(stream) }
        return other
    }

    private func subscribe(_ other: AppNode, at session: Session) async throws -> NegotiatedStream {
        let stream = try await session.openStream(PubSub.protocolID)
        var rpc = PubSubRPC()
        rpc.subscriptions = [.init(topic: .other, isSubscribed: true)]
        for frame in rpc.encodedFrames { try await stream.write(Chunk(frame)) }
        return stream
    }

    /// It waited for as long as it was told to, which is for ever if need be.
    @Test func whoNeverEndsHisStreamIsNotWaitedFor() async throws {
        try await world.run {
            let (left, right) = (
                try PubSubNode(in: world, port: 1, key: key), try PubSubNode(in: world, port: 2, key: key)
            )
            var streams: [NegotiatedStream] = []
            let keeps = try other(port: 3) { stream in
                streams.append(stream)
                while try await stream.read() != nil {}
                try await world.network.sleep(for: .seconds(10_000))
            }
            let deaf = try other(port: 4) { stream in
                streams.append(stream)
                try await world.network.sleep(for: .seconds(10_000))
            }
            var heard = 0
            _ = try right.pubsub.subscribe(.other) { if case .message = $0 { heard += 1 } }
            try await left.admittedSession(with: right.node)
            for silent in [keeps, deaf] {
                let session = try await silent.node.connect(to: left.node)
                try await silent.realm.admit(session)
                streams.append(try await subscribe(silent, at: session))
            }
            let deadline = world.network.now.advanced(by: .seconds(60))
            #expect(try await left.pubsub.waitForListeners(3, of: .other, until: deadline) == 3)
            for _ in 0..<4 { #expect(try await left.pubsub.publish([1, 2, 3], to: .other).peers == 3) }
            let start = world.network.now
            #expect(try await left.pubsub.settle(until: .distantFuture) == 1)
            #expect(world.network.now.duration(since: start) < .seconds(15))
            #expect(heard == 4)
            left.node.connections.stop()
        }
    }

    /// Whoever takes what it is sent, and be it slowly, is waited for.
    @Test func whoReadsSlowlyIsWaitedFor() async throws {
        try await world.run {
            let left = try PubSubNode(in: world, port: 1, key: key)
            var (streams, bytes) = ([NegotiatedStream](), 0)
            let slow = try other(port: 3) { stream in
                while let chunk = try await stream.read() {
                    bytes += chunk.count
                    try await world.network.sleep(for: .seconds(4))
                }
                stream.finish()
            }
            let session = try await slow.node.connect(to: left.node)
            try await slow.realm.admit(session)
            streams.append(try await subscribe(slow, at: session))
            let deadline = world.network.now.advanced(by: .seconds(60))
            #expect(try await left.pubsub.waitForListeners(1, of: .other, until: deadline) == 1)
            let body = [UInt8](repeating: 1, count: 900_000)
            for _ in 0..<4 { _ = try await left.pubsub.publish(body, to: .other) }
            #expect(try await left.pubsub.settle(until: .distantFuture) == 1)
            #expect(bytes > 4 * body.count)
            left.node.connections.stop()
        }
    }

    /// Issue 12.4: validators. What one rejects or ignores is delivered to nobody, and nobody waits for it.
    @Test func anApplicationJudgesWhatComes() async throws {
        try await world.run {
            let (left, right) = (
                try PubSubNode(in: world, port: 1, key: key), try PubSubNode(in: world, port: 2, key: key)
            )
            right.pubsub.judgesInline = true
            var (heard, gaps) = ([[UInt8]](), 0)
            _ = try right.pubsub.subscribe(
                .other, validator: { $0.data == [1] ? .ignore : $0.data == [2] ? .reject : .accept }
            ) { delivery in
                if case .message(let message) = delivery { heard.append(message.data) }
                if case .gap = delivery { gaps += 1 }
            }
            try await left.admittedSession(with: right.node)
            let deadline = world.network.now.advanced(by: .seconds(60))
            #expect(try await left.pubsub.waitForListeners(1, of: .other, until: deadline) == 1)
            for number in UInt8(0)..<4 { _ = try await left.pubsub.publish([number], to: .other) }
            try await world.network.sleep(for: .seconds(1))
            #expect(heard == [[0], [3]] && gaps == 0)
            left.node.connections.stop()
        }
    }

    /// A validator that never says anything keeps its places, and nothing else: what it does not judge is ignored, and what it
    /// was not asked about has not come.
    @Test func whoNeverJudgesIgnores() async throws {
        try await world.run {
            let judge = TopicJudge(clock: world.network)
            judge.isInline = true
            var verdicts: [PubSubRouter.Verdict?] = []
            judge.onVerdict = { _, verdict, _ in verdicts.append(verdict) }
            let author = IdentityKey.generate()
            let network = world.network
            let hangs: TopicValidator = { _ in
                try? await network.sleep(for: .seconds(100))
                return .accept
            }
            let messages = (0..<TopicJudge.concurrency + 10).map {
                PubSubMessage([], to: .other, sequence: UInt64($0), by: author)
            }
            for message in messages { judge.judge(message, from: 1, by: [hangs]) }
            try await network.sleep(for: .seconds(3))
            #expect(verdicts.isEmpty)
            try await network.sleep(for: .seconds(2))
            let heard = TopicJudge.concurrency
            #expect(verdicts == messages.indices.map { $0 < heard ? .ignore : nil })
            try await network.sleep(for: .seconds(100))
            #expect(verdicts.count == messages.count)
            // It has its places again.
            judge.judge(messages[0], from: 1, by: [{ _ in .accept }])
            try await network.sleep(for: .seconds(1))
            #expect(verdicts.last == .accept && verdicts.count == messages.count + 1)
        }
    }

    /// One who has much waiting there sends what others have too, first: it was ignored, for ever.
    @Test func whatOthersSendTooIsNotBehindWhatTheFirstHasThere() async throws {
        try await world.run {
            let judge = TopicJudge(clock: world.network)
            judge.isInline = true
            var verdicts: [PubSubMessage.ID: PubSubRouter.Verdict?] = [:]
            let judged = Mutex(0)
            judge.onVerdict = { message, verdict, _ in verdicts[message.id] = .some(verdict) }
            let author = IdentityKey.generate()
            let network = world.network
            let messages = (0..<3_000).map { PubSubMessage([], to: .other, sequence: UInt64($0), by: author) }
            let wanted = try #require(messages.last)
            let takesLong: TopicValidator = { message in
                if message == wanted { judged.withLock { $0 += 1 } }
                try? await network.sleep(for: .milliseconds(100))
                return .accept
            }
            for message in messages { judge.judge(message, from: 1, by: [takesLong]) }
            for source in UInt64(2)...3 { judge.judge(wanted, from: source, by: [takesLong]) }
            try await network.sleep(for: .seconds(1))
            #expect(verdicts[wanted.id] == .accept && judged.withLock { $0 } == 1)
            try await network.sleep(for: .seconds(9))
            let unheard = verdicts.values.count { $0 == nil }
            #expect(verdicts.count == messages.count && (1_000..<2_000).contains(unheard))
        }
    }

    /// Validators run elsewhere than on the network thread.
    @Test func aValidatorIsNotOnTheNetworkThread() async throws {
        let judge = TopicJudge(clock: SystemNetworkClock.shared)
        let verdict = Waiter<PubSubRouter.Verdict?>()
        judge.onVerdict = { _, said, _ in verdict.resume(returning: said) }
        let message = PubSubMessage([], to: .other, sequence: 1, by: .generate())
        let own = pthread_self()
        judge.judge(message, from: 1, by: [{ _ in pthread_self() == own ? .ignore : .reject }, { _ in .accept }])
        #expect(try await verdict.value() == .reject)
    }

    /// It was asked every five seconds, for ever.
    @Test func whoRefusesIsAskedMoreAndMoreSeldom() async throws {
        try await world.run {
            let left = try PubSubNode(in: world, port: 1, key: key)
            var times: [NetworkInstant] = []
            let refuses = try other(port: 3) { stream in
                times.append(world.network.now)
                stream.reset(7)
            }
            let session = try await left.admittedSession(with: refuses.node)
            _ = try left.pubsub.subscribe(.other) { _ in }
            try await world.network.sleep(for: .seconds(3_600))
            #expect(session.isOpen)
            let pauses = zip(times.dropFirst(), times).map { $0.duration(since: $1) / .seconds(1) }
            #expect(pauses.prefix(6).map { Int($0.rounded()) } == [5, 10, 20, 40, 80, 160])
            #expect(pauses.dropFirst(6).allSatisfy { Int($0.rounded()) == 300 } && times.count < 20)
            left.node.connections.stop()
        }
    }
}
