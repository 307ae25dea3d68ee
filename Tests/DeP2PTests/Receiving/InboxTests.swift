import DeP2PApp
import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PTestSupport
import Testing

@testable import DeP2P

/// Issue 9.7: who may send, and what happens on an offer, is the engine's.
@Suite struct InboxTests {
    private func node(_ key: RealmKey, _ access: AccessPolicy = .members) async throws -> Node {
        var configuration = NodeConfiguration()
        configuration.listen = [SocketAddress(.v4Loopback, port: 0)]
        configuration.mapsPorts = false
        configuration.access = access
        let node = try await Node.start(configuration)
        try await node.join(key)
        return node
    }

    @Test func onlyWhoIsNamedMaySend() async throws {
        let key = RealmKey.generate()
        let (friend, stranger) = (try await node(key), try await node(key))
        let receiver = try await node(key, .only([friend.nodeID]))
        try await receiver.onMessage { _ in nil }
        let target = await DialTarget(addresses: receiver.addresses)
        try await friend.send("hello", to: target)
        await #expect(throws: DeP2PError(.notAllowed, "")) { try await stranger.send("hello", to: target) }
        for node in [friend, stranger, receiver] { await node.stop() }
    }

    @Test func whoIsLetInNoMoreIsToldSo() async throws {
        let key = RealmKey.generate()
        let (sender, receiver) = (try await node(key), try await node(key))
        try await receiver.onMessage { _ in nil }
        let target = await DialTarget(addresses: receiver.addresses)
        try await sender.send("hello", to: target)
        let session = try await sender.session(to: target)
        await NetworkActor.run { receiver.access = .only([]) }
        let end = try await session.waitClosed()
        #expect(end.cause == .closedByPeer(.notAllowed))
        await NetworkActor.run { receiver.access = .members }
        try await sender.send("hello", to: target)
        for node in [sender, receiver] { await node.stop() }
    }

    /// Where the sender was dialled by the receiver, nothing is received all the same.
    @Test func overConnectionsThatItMadeItselfItTakesNothingEither() async throws {
        let key = RealmKey.generate()
        let folder = try TemporaryFolder()
        let (sender, receiver) = (try await node(key), try await node(key, .only([])))
        try await receiver.receive(into: folder.path, messages: { _ in nil })
        _ = try await receiver.connectMember(DialTarget(addresses: await sender.addresses))
        try await sender.waitUntilConnected(with: receiver)
        await #expect(throws: DeP2PError(.busy, "")) { try await sender.send("hello", to: DialTarget(receiver.nodeID)) }
        await #expect(throws: DeP2PError(DeP2PError.Code(rawValue: "notAllowed"), "")) {
            try await sender.send(files: [folder.path], to: DialTarget(receiver.nodeID))
        }
        for node in [sender, receiver] { await node.stop() }
    }

    /// Nor what was under way when the policy changed.
    @Test func whatIsUnderWayOverConnectionsThatItMadeItselfEnds() async throws {
        let key = RealmKey.generate()
        let (sender, receiver) = (try await node(key), try await node(key))
        let incoming = try await receiver.acceptStreams("chat")
        _ = try await receiver.connectMember(DialTarget(addresses: await sender.addresses))
        try await sender.waitUntilConnected(with: receiver)
        let near = try await sender.openStream("chat", to: DialTarget(receiver.nodeID))
        try await near.write("one")
        var far: NodeStream?
        for await stream in incoming {
            far = stream
            break
        }
        #expect(try await far?.read() == Array("one".utf8))
        await NetworkActor.run { receiver.access = .only([]) }
        await #expect(throws: DeP2PError(.notAllowed, "")) { _ = try await near.read() }
        #expect(await sender.connection(with: receiver.nodeID) != nil)
        await NetworkActor.run { receiver.access = .members }
        try await receiver.onMessage { _ in nil }
        try await sender.send("two", to: DialTarget(receiver.nodeID))
        for node in [sender, receiver] { await node.stop() }
    }

    @Test func oneThingIsEnough() async throws {
        let key = RealmKey.generate()
        let (sender, receiver) = (try await node(key), try await node(key))
        var policy = InboxPolicy()
        policy.takesOne = true
        let inbox = try await receiver.receive(into: nil, policy: policy, messages: { $0.body })
        #expect(try await inbox.wait(beginningWithin: .milliseconds(1)) == false)
        let target = await DialTarget(addresses: receiver.addresses)
        #expect(try await sender.send("one", to: target) == Array("one".utf8))
        #expect(try await inbox.wait())
        #expect(try await inbox.wait(beginningWithin: .zero), "whoever asks again hears the same")
        await #expect(throws: DeP2PError(.busy, "")) { try await sender.send("two", to: target) }
        for node in [sender, receiver] { await node.stop() }
    }

    @Test func aHandlerThatFailsLeavesThePlaceToTheNext() async throws {
        struct NotTaken: Error {}
        let key = RealmKey.generate()
        let (sender, receiver) = (try await node(key), try await node(key))
        var policy = InboxPolicy()
        policy.takesOne = true
        let inbox = try await receiver.receive(
            into: nil, policy: policy,
            messages: { message in
                guard message.body == Array("good".utf8) else { throw NotTaken() }
                return nil
            })
        let target = await DialTarget(addresses: receiver.addresses)
        await #expect(throws: DeP2PError(.handlerFailed, "")) { try await sender.send("bad", to: target) }
        try await sender.send("good", to: target)
        #expect(try await inbox.wait())
        for node in [sender, receiver] { await node.stop() }
    }

    @Test func offersAreRefusedInTheReceiversWords() async throws {
        let key = RealmKey.generate()
        let (source, folder) = (try TemporaryFolder(), try TemporaryFolder())
        let (sender, receiver) = (try await node(key), try await node(key))
        var policy = InboxPolicy()
        policy.refusal = { offer, _ in offer.fileCount == 0 ? "no files in it" : nil }
        policy.maximumSize = 10
        try await receiver.receive(into: folder.path, policy: policy)
        let target = await DialTarget(addresses: receiver.addresses)
        do {
            try await sender.send(files: [source.path], to: target)
            Issue.record("an empty folder was taken")
        } catch {
            #expect(error.code.rawValue == "notAllowed" && error.message.contains("no files in it"))
        }
        for node in [sender, receiver] { await node.stop() }
    }
}

extension NetworkActor {
    fileprivate static func run(_ work: @NetworkActor @Sendable () -> Void) async { await assume(work) }
    @NetworkActor private static func assume(_ work: @NetworkActor @Sendable () -> Void) { work() }
}
