import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PRealm
import DeP2PSessions
import DeP2PSimulation
import DeP2PWire
import SwiftProtobuf
import Testing

@testable import DeP2PApp

@NetworkActor
struct AppNode {
    let node: LightNode
    let realm: Realm
    let messaging: Messaging
    let streams: AppStreams

    init(in world: SimulatedWorld, port: UInt16, key: RealmKey?, limits: MessagingLimits = MessagingLimits()) throws {
        node = world.lightNode(port: port)
        realm = Realm(node.connections)
        messaging = Messaging(connections: node.connections, realm: realm, limits: limits)
        streams = AppStreams(connections: node.connections, realm: realm)
        if let key { try realm.join(key) }
    }

    func admittedSession(with other: AppNode) async throws -> Session {
        let session = try await node.connect(to: other.node)
        try await realm.admit(session)
        return session
    }
}

private struct Broken: Error, CustomStringConvertible {
    var description: String { "out of paper" }
}

@Suite @NetworkActor struct MessagingTests {
    private let world = SimulatedWorld(seed: 1, latency: .zero)
    private let key = RealmKey.generate()

    private func pair(_ limits: MessagingLimits = MessagingLimits()) throws -> (AppNode, AppNode) {
        (
            try AppNode(in: world, port: 1, key: key),
            try AppNode(in: world, port: 2, key: key, limits: limits)
        )
    }

    @Test func aReplyComesBackAndTheSenderIsTheConnections() async throws {
        let (left, right) = try pair()
        var from: NodeID?
        try right.messaging.register("echo") { message in
            from = message.from
            return message.body
        }
        let session = try await left.admittedSession(with: right)
        #expect(try await left.messaging.request([1, 2, 3], protocol: "echo", on: session) == [1, 2, 3])
        #expect(try await left.messaging.request([], protocol: "echo", on: session) == [])
        #expect(from == left.node.nodeID)
    }

    @Test func aHandlerWithNothingToSayGivesAReceipt() async throws {
        let (left, right) = try pair()
        var taken: [[UInt8]] = []
        try right.messaging.register("note") { message in
            taken.append(message.body)
            return nil
        }
        let session = try await left.admittedSession(with: right)
        #expect(try await left.messaging.request([7], protocol: "note", on: session) == nil)
        #expect(taken == [[7]])
    }

    @Test func bodiesUpToTheLimitPass() async throws {
        let (left, right) = try pair()
        try right.messaging.register("echo") { $0.body }
        let session = try await left.admittedSession(with: right)
        let limit = MessagingLimits().bodySize
        let body = [UInt8](repeating: 9, count: limit)
        #expect(try await left.messaging.request(body, protocol: "echo", on: session) == body)
        await #expect(throws: MessagingError(.tooLarge(limit: UInt64(limit)))) {
            try await left.messaging.request(body + [0], protocol: "echo", on: session)
        }
    }

    @Test func theReceiversLimitIsNamed() async throws {
        var limits = MessagingLimits()
        limits.bodySize = 100
        let (left, right) = try pair(limits)
        try right.messaging.register("echo") { $0.body }
        try right.messaging.register("big") { _ in [UInt8](repeating: 0, count: 101) }
        let session = try await left.admittedSession(with: right)
        await #expect(throws: MessagingError(.tooLarge(limit: 100))) {
            try await left.messaging.request([UInt8](repeating: 1, count: 101), protocol: "echo", on: session)
        }
        // So large that the sender is still writing when the refusal arrives.
        await #expect(throws: MessagingError(.tooLarge(limit: 100))) {
            try await left.messaging.request([UInt8](repeating: 1, count: 2 << 20), protocol: "echo", on: session)
        }
        await #expect(throws: MessagingError(.replyTooLarge(limit: 100))) {
            try await left.messaging.request([], protocol: "big", on: session)
        }
    }

    @Test func failuresAreTold() async throws {
        let (left, right) = try pair()
        try right.messaging.register("broken") { _ in throw Broken() }
        try right.messaging.register("unwilling") { _ in throw MessageRefusal("not today") }
        var failures: [String] = []
        right.messaging.onHandlerFailure = { error, message in
            failures.append("\(error) from \(message.from == left.node.nodeID)")
        }
        let session = try await left.admittedSession(with: right)
        await #expect(throws: MessagingError(.unknownProtocol)) {
            try await left.messaging.request([1], protocol: "nobody", on: session)
        }
        do {
            _ = try await left.messaging.request([1], protocol: "broken", on: session)
            Issue.record("a failing handler confirmed a message")
        } catch let error as MessagingError {
            // What goes wrong inside is told here, and not to the peer.
            #expect(error.code == .handlerFailed && error.detail == "")
            #expect(failures == ["out of paper from true"])
        }
        do {
            _ = try await left.messaging.request([1], protocol: "unwilling", on: session)
            Issue.record("a refused message was confirmed")
        } catch let error as MessagingError {
            #expect(error.code == .busy && error.detail == "not today" && failures.count == 1)
        }
        for name in ["", "with space", "ünicode", String(repeating: "x", count: 257)] {
            await #expect(throws: MessagingError(.invalidName)) {
                try await left.messaging.request([1], protocol: name, on: session)
            }
        }
    }

    @Test func outsideARealmNothingIsSent() async throws {
        let left = try AppNode(in: world, port: 1, key: nil)
        let right = try AppNode(in: world, port: 2, key: key)
        try right.messaging.register("echo") { $0.body }
        let session = try await left.node.connect(to: right.node)
        await #expect(throws: MessagingError(.notMember)) {
            try await left.messaging.request([1], protocol: "echo", on: session)
        }
        try left.realm.join(.generate())
        await #expect(throws: MessagingError(.notMember)) {
            try await left.messaging.request([1], protocol: "echo", on: session)
        }
    }

    @Test func silenceTimesOutAndAnEndIsToldAsSuch() async throws {
        let (left, right) = try pair()
        let never = Waiter<Void>()
        try right.messaging.register("slow") { _ in
            try await never.value()
            return nil
        }
        let session = try await left.admittedSession(with: right)
        _ = await world.run {
            await #expect(throws: MessagingError(.timeout)) {
                try await left.messaging.request([1], protocol: "slow", on: session, timeout: .milliseconds(10))
            }
        }
        let waiting = networkTask {
            try await left.messaging.request([1], protocol: "silent", on: session)
        }
        let silent = Waiter<Void>()
        try right.messaging.register("silent") { _ in
            try await silent.value()
            return nil
        }
        for _ in 0..<20 { await Task.yield() }
        right.node.connections.stop()
        await #expect(
            throws: MessagingError(.offline(SessionEnd(.closedByPeer(.goodbye), reason: "the node is stopping")))
        ) {
            try await waiting.value
        }
    }

    @Test func requestsBeyondTheBuffersAreRefusedByName() async throws {
        var limits = MessagingLimits()
        limits.concurrentRequests = 2
        limits.bufferedBytes = 100
        let (left, right) = try pair(limits)
        let gate = (0..<2).map { _ in Waiter<Void>() }
        var entered = 0
        try right.messaging.register("hold") { _ in
            entered += 1
            try await gate[entered - 1].value()
            return nil
        }
        let session = try await left.admittedSession(with: right)
        await #expect(throws: MessagingError(.busy)) {
            try await left.messaging.request([UInt8](repeating: 0, count: 101), protocol: "hold", on: session)
        }
        let held = (0..<2).map { _ in
            networkTask { try await left.messaging.request([1], protocol: "hold", on: session) }
        }
        while entered < 2 { await Task.yield() }
        await #expect(throws: MessagingError(.busy)) {
            try await left.messaging.request([1], protocol: "hold", on: session)
        }
        for waiter in gate { waiter.resume(returning: ()) }
        for task in held { #expect(try await task.value == nil) }
    }

    /// Opens a request of `size` bytes and sends `body` of it.
    private func open(
        _ size: Int, _ body: [UInt8], to name: String = "echo", on connection: any SecureConnection
    ) async throws -> any ByteStream {
        let raw = try await connection.openByteStream()
        let header: [UInt8] = try RequestHeader(protocolName: name, bodySize: size).serializedBytes()
        let flight = MultistreamDialer([Messaging.protocolID]).firstFlight
        try await raw.write(Chunk(flight + Frame.encode(header) + body))
        return raw
    }

    /// A peer that checks nothing itself: what can be no name reaches nobody.
    @Test(arguments: ["", "two words", "line\nfeed", "\u{1b}[2J", "näm", String(repeating: "x", count: 257)])
    func aNameThatIsNoneIsUnknownToTheFallbackToo(name: String) async throws {
        let (left, right) = try pair()
        var names: [String] = []
        right.messaging.registerFallback { message in
            names.append(message.protocolName)
            return nil
        }
        _ = try await left.admittedSession(with: right)
        let raw = try await open(1, [1], to: name, on: left.node.transport.connections[0])
        raw.finish()
        var answer: [UInt8] = []
        while let chunk = try await raw.read() { answer += chunk.array() }
        let echo = MultistreamDialer([Messaging.protocolID]).firstFlight
        let reply: [UInt8] = try ReplyHeader(.unknownProtocol).serializedBytes()
        #expect(answer == echo + Frame.encode(reply) && names.isEmpty)
    }

    /// Sixteen announcements of the largest body, and not a byte of them: others are served as ever.
    @Test func whatIsOnlyAnnouncedKeepsNobodyOut() async throws {
        let (left, right) = try pair()
        try right.messaging.register("echo") { $0.body }
        let session = try await left.admittedSession(with: right)
        let connection = left.node.transport.connections[0]
        var silent: [any ByteStream] = []
        for _ in 0..<16 { silent.append(try await open(MessagingLimits().bodySize, [1], on: connection)) }
        for _ in 0..<200 { await Task.yield() }
        let body = [UInt8](repeating: 7, count: MessagingLimits().bodySize)
        #expect(try await left.messaging.request(body, protocol: "echo", on: session) == body)
        for stream in silent { stream.reset(0) }
    }

    @Test func onePeerLeavesPlacesToOthers() async throws {
        var limits = MessagingLimits()
        limits.concurrentRequests = 8
        let (left, right) = try pair(limits)
        let other = try AppNode(in: world, port: 3, key: key)
        try right.messaging.register("echo") { $0.body }
        let session = try await left.admittedSession(with: right)
        let connection = left.node.transport.connections[0]
        var silent: [any ByteStream] = []
        for _ in 0..<6 { silent.append(try await open(10, [1], on: connection)) }
        for _ in 0..<200 { await Task.yield() }
        do {
            _ = try await left.messaging.request([1], protocol: "echo", on: session)
            Issue.record("a seventh of one peer is served")
        } catch let error as MessagingError {
            #expect(error.code == .busy && error.detail == "the limit of 6 requests of one node at once is reached")
        }
        let second = try await other.admittedSession(with: right)
        #expect(try await other.messaging.request([1], protocol: "echo", on: second) == [1])
        for stream in silent { stream.reset(0) }
        for _ in 0..<200 { await Task.yield() }
        #expect(try await left.messaging.request([1], protocol: "echo", on: session) == [1])
    }

    /// Of the body nothing comes, or of the reply nothing is taken: either ends, and what it held is free again.
    @Test func whoNeitherSendsNorTakesIsLeftAfterAWhile() async throws {
        var limits = MessagingLimits()
        limits.concurrentRequests = 1
        let (left, right) = try pair(limits)
        try right.messaging.register("large") { _ in [UInt8](repeating: 1, count: MessagingLimits().bodySize) }
        try right.messaging.register("echo") { $0.body }
        let session = try await left.admittedSession(with: right)
        let connection = left.node.transport.connections[0]
        for (name, size) in [("echo", 10), ("large", 1)] {
            let silent = try await open(size, [1], to: name, on: connection)
            for _ in 0..<200 { await Task.yield() }
            await #expect(throws: MessagingError(.busy)) {
                try await left.messaging.request([1], protocol: "echo", on: session)
            }
            _ = await world.run { try? await world.network.sleep(for: limits.receiveDeadline) }
            for _ in 0..<200 { await Task.yield() }
            #expect(try await left.messaging.request([1], protocol: "echo", on: session) == [1], "after \(name)")
            silent.reset(0)
        }
    }

    @Test func tenThousandRequestsLeaveNothingBehind() async throws {
        let (left, right) = try pair()
        try right.messaging.register("echo") { $0.body }
        let session = try await left.admittedSession(with: right)
        for number in 0..<10_000 {
            let body = [UInt8(truncatingIfNeeded: number), UInt8(truncatingIfNeeded: number >> 8)]
            #expect(try await left.messaging.request(body, protocol: "echo", on: session) == body)
        }
        for _ in 0..<20 { await Task.yield() }
        #expect(right.node.connections.session(with: left.node.nodeID)?.servedStreamCount == 0)
    }

    @Test func hostileRequestsNeitherTrapNorReachAHandler() async throws {
        let (left, right) = try pair()
        var calls = 0
        try right.messaging.register("echo") { message in
            calls += 1
            return message.body
        }
        _ = try await left.admittedSession(with: right)
        let connection = left.node.transport.connections[0]
        let flight = MultistreamDialer([Messaging.protocolID]).firstFlight
        var random = SplitMix64(seed: 8)
        var header = RequestHeader(protocolName: "echo", bodySize: 10)
        for round in 0..<1000 {
            header.bodySize = UInt64.random(in: 11...UInt64.max, using: &random)
            let good: [UInt8] = try header.serializedBytes()
            let body =
                switch round % 3 {
                case 0: Frame.encode(good) + random.bytes(upTo: 10)
                case 1: Array(Frame.encode(good).prefix(.random(in: 0...good.count, using: &random)))
                default: random.bytes(upTo: 100)
                }
            let raw = try await connection.openByteStream()
            try await raw.write(Chunk(flight + body))
            raw.finish()
            while let chunk = try? await raw.read() { _ = chunk }
        }
        #expect(calls == 0)
    }

    @Test func hostileRepliesNeverTrap() async throws {
        let (left, right) = try pair()
        let session = try await left.admittedSession(with: right)
        var random = SplitMix64(seed: 9)
        for round in 0..<1000 {
            var header = ReplyHeader(.reply, bodySize: 0)
            header.bodySize = .random(in: 1...UInt64.max, using: &random)
            let good: [UInt8] = try header.serializedBytes()
            let reply = round % 2 == 0 ? Frame.encode(good) : random.bytes(upTo: 60)
            right.node.connections.registry.register(Messaging.protocolID, deadline: .unlimited(because: "a test")) {
                _, stream in
                try await stream.write(Chunk(reply))
            }
            await #expect(throws: MessagingError.self) {
                try await left.messaging.request([1], protocol: "x", on: session)
            }
        }
    }
}
