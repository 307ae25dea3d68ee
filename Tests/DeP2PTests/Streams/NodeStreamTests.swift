import DeP2PApp
import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PTestSupport
import Testing

@testable import DeP2P

/// Issue 9.7: streams as an application has them, over loopback sockets.
@Suite struct NodeStreamTests {
    private let key = RealmKey.generate()

    private func node(_ access: AccessPolicy = .members, isMember: Bool = true) async throws -> Node {
        var configuration = NodeConfiguration()
        configuration.listen = [SocketAddress(.v4Loopback, port: 0)]
        configuration.mapsPorts = false
        configuration.access = access
        let node = try await Node.start(configuration)
        if isMember { try await node.join(key) }
        return node
    }

    /// Two members and a stream between them, as each of them has it.
    private func pair(_ name: String = "chat") async throws -> (
        left: Node, right: Node, near: NodeStream, far: NodeStream
    ) {
        let (left, right) = (try await node(), try await node())
        let incoming = try await right.acceptStreams(name)
        let near = try await left.openStream(name, to: DialTarget(await right.addresses[0]))
        // The proposal rides in front of the first bytes.
        try await near.write("first")
        let far = try await take(from: incoming)
        #expect(try await far.read() == Array("first".utf8))
        return (left, right, near, far)
    }

    private func take(from incoming: IncomingStreams) async throws -> NodeStream {
        for await stream in incoming { return stream }
        throw CancellationError()
    }

    private func code(_ body: () async throws(DeP2PError) -> some Any) async -> DeP2PError.Code? {
        do { _ = try await body() } catch { return error.code }
        return nil
    }

    /// What a stream fails with, that may have sent more before.
    private func failure(of stream: NodeStream) async -> DeP2PError? {
        do { for try await _ in stream {} } catch { return error }
        return nil
    }

    @Test func bytesRunBothWaysUntilBothSidesEnd() async throws {
        let (left, right) = (try await node(), try await node())
        let incoming = try await right.acceptStreams("echo")
        let echo = Task { () throws -> NodeID? in
            for await stream in incoming {
                for try await bytes in stream { try await stream.write(bytes) }
                await stream.finish()
                return stream.peer
            }
            return nil
        }
        let stream = try await left.openStream("echo", to: DialTarget(await right.addresses[0]))
        let sent = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 / 251) }
        let writing = Task {
            try await stream.write(sent)
            await stream.finish()
        }
        #expect(try await stream.readAll(limit: sent.count) == sent)
        #expect(try await stream.read() == nil, "the end stays the end")
        try await writing.value
        #expect(try await echo.value == left.nodeID && stream.peer == right.nodeID && stream.name == "echo")
        #expect(await code { () async throws(DeP2PError) in try await stream.write("more") } == .cancelled)
        for node in [left, right] { await node.stop() }
    }

    @Test func moreThanTheLimitIsNotRead() async throws {
        let (left, right, near, far) = try await pair()
        try await near.write([UInt8](repeating: 1, count: 1_000))
        await near.finish()
        #expect(await code { () async throws(DeP2PError) in try await far.readAll(limit: 999) } == .tooLarge)
        #expect(await failure(of: near)?.code == .streamReset)
        for node in [left, right] { await node.stop() }
    }

    @Test func aResetTellsTheApplicationsCode() async throws {
        let (left, right, near, far) = try await pair()
        await far.reset(7)
        let error = await failure(of: near)
        #expect(error?.code == .streamReset && error?.underlying as? StreamReset == StreamReset(code: 7))
        #expect(await code { () async throws(DeP2PError) in try await far.read() } == .cancelled)
        #expect(await code { () async throws(DeP2PError) in try await far.write("x") } == .cancelled)
        // A writer learns it as well, if not with which code.
        while await code({ () async throws(DeP2PError) in try await near.write("x") }) == nil {}
        for node in [left, right] { await node.stop() }
    }

    /// A part must never be taken for the whole.
    @Test func whoeverDropsAStreamResetsIt() async throws {
        let (left, right) = (try await node(), try await node())
        let incoming = try await right.acceptStreams("chat")
        let far: NodeStream
        do {
            let dropped = try await left.openStream("chat", to: DialTarget(await right.addresses[0]))
            try await dropped.write("a part")
            far = try await take(from: incoming)
        }
        let error = await failure(of: far)
        #expect(error?.code == .streamReset && error?.underlying as? StreamReset == StreamReset(code: nil))
        for node in [left, right] { await node.stop() }
    }

    @Test func whoeverTakesAStreamAndDropsItResetsIt() async throws {
        let (left, right) = (try await node(), try await node())
        let incoming = try await right.acceptStreams("chat")
        let near = try await left.openStream("chat", to: DialTarget(await right.addresses[0]))
        try await near.write("hello")
        do { #expect(try await take(from: incoming).peer == left.nodeID) }
        #expect(await failure(of: near)?.code == .streamReset)
        for node in [left, right] { await node.stop() }
    }

    @Test func whatWasFinishedArrivesThoughItsOwnerLetsGo() async throws {
        let (left, right) = (try await node(), try await node())
        let incoming = try await right.acceptStreams("chat")
        do {
            let near = try await left.openStream("chat", to: DialTarget(await right.addresses[0]))
            try await near.write("the whole")
            await near.finish()
        }
        #expect(try await take(from: incoming).readAll(limit: 100) == Array("the whole".utf8))
        for node in [left, right] { await node.stop() }
    }

    /// The agreement on the name is still owed to the one that has gone when its bytes are read.
    @Test func whatWasFinishedArrivesAlsoWhenItsOwnerHadGoneBefore() async throws {
        let (left, right) = (try await node(), try await node())
        let incoming = try await right.acceptStreams("chat")
        let far: NodeStream
        do {
            let near = try await left.openStream("chat", to: DialTarget(await right.addresses[0]))
            try await near.write("the whole")
            await near.finish()
            far = try await take(from: incoming)
        }
        // Behind it the other side has heard that nobody listens.
        _ = try await left.connect(to: DialTarget(await right.addresses[0])).ping()
        #expect(try await far.readAll(limit: 100) == Array("the whole".utf8))
        for node in [left, right] { await node.stop() }
    }

    @Test func aReadThatIsCancelledLosesNothing() async throws {
        let (left, right, near, far) = try await pair()
        let reading = Task { () async -> DeP2PError.Code? in
            do throws(DeP2PError) { _ = try await far.read() } catch { return error.code }
            return nil
        }
        reading.cancel()
        #expect(await reading.value == .cancelled)
        try await near.write("second")
        #expect(try await far.read() == Array("second".utf8))
        for node in [left, right] { await node.stop() }
    }

    @Test func oneTaskReadsAtATime() async throws {
        let (left, right, near, far) = try await pair()
        await withTaskGroup(of: DeP2PError.Code?.self) { group in
            for _ in 0..<2 {
                group.addTask { await code { () async throws(DeP2PError) in try await far.read() } }
            }
            // Nothing has come: whoever ends now was not let in.
            #expect(await group.next() == .some(.busy))
            #expect(await code { () async throws(DeP2PError) in try await near.write("x") } == nil)
            #expect(await group.next() == .some(nil))
        }
        for node in [left, right] { await node.stop() }
    }

    // MARK: Who may

    @Test func whoeverIsInNoRealmOpensNone() async throws {
        let (outsider, right) = (try await node(isMember: false), try await node())
        let target = DialTarget(await right.addresses[0])
        #expect(
            await code { () async throws(DeP2PError) in try await outsider.openStream("chat", to: target) }
                == .notMember)
        let connection = try await outsider.connect(to: target)
        #expect(await code { () async throws(DeP2PError) in try await connection.openStream("chat") } == .notMember)
        for node in [outsider, right] { await node.stop() }
    }

    @Test func whoeverIsInAnotherRealmOpensNone() async throws {
        let (stranger, right) = (try await node(isMember: false), try await node())
        try await stranger.join(.generate())
        let target = DialTarget(await right.addresses[0])
        #expect(
            await code { () async throws(DeP2PError) in try await stranger.openStream("chat", to: target) }
                == .realmRefused)
        for node in [stranger, right] { await node.stop() }
    }

    /// Where the other node dialled, nothing is taken of whom it leaves out all the same.
    @Test func whoeverIsLeftOutIsToldSo() async throws {
        let (left, right) = (try await node(), try await node(.only([])))
        let incoming = try await right.acceptStreams("chat")
        try await right.connect(to: DialTarget(await left.addresses[0])).proveMembership()
        try await left.waitUntilConnected(with: right)
        let near = try await left.openStream("chat", to: DialTarget(right.nodeID))
        #expect(await failure(of: near)?.code == .notAllowed)
        await incoming.cancel()
        for node in [left, right] { await node.stop() }
    }

    @Test func aMemberWhoLeavesTakesItsStreamsAlong() async throws {
        let (left, right, near, far) = try await pair()
        try await left.leaveRealm()
        #expect(await failure(of: far)?.code == .notMember)
        #expect(await failure(of: near)?.code == .peerOffline)
        for node in [left, right] { await node.stop() }
    }

    // MARK: Names

    @Test func aNameThatNobodyAcceptsIsSaid() async throws {
        let (left, right) = (try await node(), try await node())
        let near = try await left.openStream("chat", to: DialTarget(await right.addresses[0]))
        #expect(await code { () async throws(DeP2PError) in try await near.read() } == .unsupported)
        for node in [left, right] { await node.stop() }
    }

    @Test func namesAreCheckedBeforeAnybodyIsDialled() async throws {
        let left = try await node()
        let nobody = DialTarget(IdentityKey.generate().nodeID)
        for name in ["", "a/b", "ä", String(repeating: "n", count: 129)] {
            #expect(
                await code { () async throws(DeP2PError) in try await left.openStream(name, to: nobody) }
                    == .invalidName)
            #expect(await code { () async throws(DeP2PError) in try await left.acceptStreams(name) } == .invalidName)
        }
        await left.stop()
    }

    @Test func aNameIsOneAcceptorsUntilThatLetsGo() async throws {
        let (left, right) = (try await node(), try await node())
        let target = DialTarget(await right.addresses[0])
        let first = try await right.acceptStreams("chat")
        #expect(await code { () async throws(DeP2PError) in try await right.acceptStreams("chat") } == .invalidName)
        await first.cancel()
        do { _ = try await right.acceptStreams("chat") }
        // Let go of: the name is free at once, and what is opened meanwhile is refused.
        let second = try await right.acceptStreams("chat")
        let near = try await left.openStream("chat", to: target)
        try await near.write("hello")
        let far = try await take(from: second)
        #expect(try await far.read() == Array("hello".utf8))
        for await _ in first { Issue.record("whoever cancelled gets no more") }
        for node in [left, right] { await node.stop() }
    }

    @Test func namesAreFewerThanALimit() async throws {
        let node = try await node()
        var accepted: [IncomingStreams] = []
        var refusal: DeP2PError?
        while refusal == nil, accepted.count <= ProtocolRegistry.protocolLimit {
            do { accepted.append(try await node.acceptStreams("n\(accepted.count)")) } catch { refusal = error }
        }
        #expect(refusal?.code == .limit && refusal?.message.contains("1024 protocols") == true)
        await node.stop()
        for incoming in accepted { for await _ in incoming { Issue.record("a node that has stopped accepts none") } }
        #expect(try await node.acceptStreams("late").isEnded())
    }

    // MARK: Limits

    @Test func oneConnectionHasSoManyAtOnce() async throws {
        let (left, right) = (try await node(), try await node())
        let target = DialTarget(await right.addresses[0])
        let incoming = try await right.acceptStreams("chat")
        var (near, far): ([NodeStream], [NodeStream]) = ([], [])
        for _ in 0..<AppStreamQuota.limitPerConnection {
            let stream = try await left.openStream("chat", to: target)
            try await stream.write("x")
            near.append(stream)
            far.append(try await take(from: incoming))
        }
        let beyond = try await left.openStream("chat", to: target)
        #expect(await code { () async throws(DeP2PError) in try await beyond.read() } == .busy)
        // What is left of the connection's streams is for messages.
        try await right.onMessage { $0.body }
        #expect(try await left.send("hello", to: target) == Array("hello".utf8))
        // Another node has its own.
        let other = try await node()
        let another = try await other.openStream("chat", to: target)
        try await another.write("x")
        #expect(try await take(from: incoming).peer == other.nodeID)
        // One that has ended leaves its place.
        await near[0].reset()
        await far[0].reset()
        let next = try await left.openStream("chat", to: target)
        try await next.write("y")
        #expect(try await take(from: incoming).read() == Array("y".utf8))
        for node in [left, right, other] { await node.stop() }
    }

    @Test func soManyWaitToBeTaken() async throws {
        let (left, right) = (try await node(), try await node())
        let target = DialTarget(await right.addresses[0])
        let incoming = try await right.acceptStreams("chat")
        var near: [NodeStream] = []
        for _ in 0..<IncomingStreams.waitingLimitPerNode {
            let stream = try await left.openStream("chat", to: target)
            try await stream.write("x")
            near.append(stream)
        }
        try await eventually { await incoming.waitingCount == IncomingStreams.waitingLimitPerNode }
        let beyond = try await left.openStream("chat", to: target)
        #expect(await code { () async throws(DeP2PError) in try await beyond.read() } == .busy)
        _ = try await take(from: incoming)
        let next = try await left.openStream("chat", to: target)
        try await next.write("y")
        try await eventually { await incoming.waitingCount == IncomingStreams.waitingLimitPerNode }
        await incoming.cancel()
        #expect(await failure(of: next)?.code == .busy)
        for node in [left, right] { await node.stop() }
    }

    private func eventually(_ condition: () async -> Bool) async throws {
        while await !condition() { try await Task.sleep(for: .milliseconds(2)) }
    }
}

extension IncomingStreams {
    fileprivate func isEnded() async -> Bool {
        for await _ in self { return false }
        return true
    }
}
