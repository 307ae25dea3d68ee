import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PWire
import Testing

@testable import DeP2PRealm

/// Who was dialled proves itself in the handshake: what both sides make of it.
@Suite @NetworkActor struct EarlyAdmissionTests {
    private let key = RealmKey.generate()
    private static let echo = "/dep2p/app/echo/1.0.0"

    /// Two nodes 50 ms apart, of which the right one echoes what members send.
    private func nodes(left: RealmKey?, right: RealmKey?) throws -> Pair {
        let pair = Pair()
        if let left { try pair.leftRealm.join(left) }
        if let right { try pair.rightRealm.join(right) }
        return pair
    }

    @NetworkActor
    private struct Pair {
        let world: SimulatedWorld
        let left: LightNode
        let right: LightNode
        let leftRealm: Realm
        let rightRealm: Realm

        init() {
            world = SimulatedWorld(seed: 9, latency: .milliseconds(50))
            world.light.greets = true
            left = world.lightNode(at: IPAddress(v4: 0x0a00_0001))
            right = world.lightNode(at: IPAddress(v4: 0x0a00_0002))
            leftRealm = Realm(left.connections)
            rightRealm = Realm(right.connections)
            right.connections.registry.register(
                EarlyAdmissionTests.echo, deadline: .unlimited(because: "a test")
            ) { _, stream in
                while let chunk = try await stream.read() { try await stream.write(chunk) }
            }
        }

        var now: Duration { world.network.now.duration(since: NetworkInstant(nanoseconds: 0)) }

        func run(_ body: @NetworkActor @Sendable @escaping (Pair) async throws -> Void) async throws {
            try await world.run { try await body(self) }
        }

        /// What the right node's end of the session with the left one is.
        func far() throws -> Session { try #require(right.connections.session(with: left.nodeID)) }

        func ask(_ session: Session) async throws -> [UInt8]? {
            let stream = try await session.openStream(EarlyAdmissionTests.echo)
            defer { stream.reset(0) }
            try await stream.write(Chunk([7]))
            return try await stream.read()?.array()
        }
    }

    @Test func aMemberIsAskedInTheFlightOfTheProof() async throws {
        try await nodes(left: key, right: key).run { pair in
            let start = pair.now
            let session = try await pair.left.connect(to: pair.right)
            try await pair.leftRealm.admit(session)
            #expect(session.isAdmitted && pair.now - start == .milliseconds(100))
            #expect(try await pair.ask(session) == [7])
            #expect(pair.now - start == .milliseconds(200))
            #expect(try pair.far().isAdmitted)
            try await pair.world.network.sleep(for: .seconds(20))
            #expect(session.isOpen && session.isAdmitted)
            #expect(pair.leftRealm.member(pair.right.nodeID)?.state == .online)
            #expect(pair.rightRealm.member(pair.left.nodeID)?.state == .online)
        }
    }

    /// Nothing of members goes to a node before it is proven; and what is not a member's answers as ever.
    @Test(arguments: [false, true])
    func aStrangersGreetingAdmitsNobody(isInARealm: Bool) async throws {
        try await nodes(left: key, right: isInARealm ? .generate() : nil).run { pair in
            let session = try await pair.left.connect(to: pair.right)
            await #expect(throws: SessionError(.notMember)) { _ = try await pair.ask(session) }
            await #expect(throws: RealmError(.refused)) { try await pair.leftRealm.admit(session) }
            #expect(session.membership == .outsider && session.isOpen)
            #expect(try pair.far().membership == .outsider)
        }
    }

    /// Who dials from outside of a realm, or asks something only, is greeted as anybody is, and makes nothing of it.
    @Test func aGreetingIsForWhoIsInARealm() async throws {
        try await nodes(left: nil, right: key).run { pair in
            let session = try await pair.left.connect(to: pair.right)
            try await pair.world.network.sleep(for: .seconds(1))
            #expect(session.membership == .outsider && session.connection.takeGreeting() == nil, "it is not kept")
            // Later it would be old: the usual admission follows, with an answer of the other side's own.
            try pair.leftRealm.join(key)
            let start = pair.now
            try await pair.leftRealm.admit(session)
            #expect(session.isAdmitted && pair.now - start == .milliseconds(100))
        }
    }

    /// The peer leaves its realm after it has greeted: the proof finds none, and the connection ends.
    @Test(arguments: [false, true])
    func whoLeavesMeanwhileIsNoMember(joinsAnother: Bool) async throws {
        try await nodes(left: key, right: key).run { pair in
            let session = try await pair.left.connect(to: pair.right)
            try pair.rightRealm.leave()
            if joinsAnother { try pair.rightRealm.join(.generate()) }
            try await pair.leftRealm.admit(session)
            await #expect(throws: (any Error).self) { _ = try await pair.ask(session) }
            try await pair.world.network.sleep(for: .seconds(1))
            #expect(!session.isOpen && !session.isAdmitted)
            guard case .offline = pair.leftRealm.member(pair.right.nodeID)?.state else {
                Issue.record("it is no member that is there")
                return
            }
            #expect(pair.rightRealm.knownMembers.isEmpty)
        }
    }

    /// This node leaves while its proof is under way: nothing of the realm it was in outlives that.
    @Test func leavingMeanwhileEndsIt() async throws {
        try await nodes(left: key, right: key).run { pair in
            let session = try await pair.left.connect(to: pair.right)
            try await pair.leftRealm.admit(session)
            try pair.leftRealm.leave()
            #expect(!session.isOpen && pair.leftRealm.knownMembers.isEmpty)
            try await pair.world.network.sleep(for: .seconds(1))
            #expect(pair.right.connections.session(with: pair.left.nodeID) == nil)
        }
    }

    /// Streams are not ordered: one that only members open may come before the proof, and waits for it, in a realm or not.
    @Test(arguments: [true, false])
    func aStreamThatOvertakesTheProofWaits(isInARealm: Bool) async throws {
        try await nodes(left: nil, right: isInARealm ? key : nil).run { pair in
            let session = try await pair.left.connect(to: pair.right)
            let start = pair.now
            let early = try await raw(session, Self.echo, [UInt8](repeating: 7, count: 20_000))
            try await pair.world.network.sleep(for: .seconds(1))
            // A stranger's bytes meanwhile: they count.
            let waiting = try #require((early as? LightStream)?.otherEnd)
            #expect(waiting.kept > 20_000)
            let proof = try await raw(session, ProtocolRegistry.admissionID, try proof(session, key))
            var answer: [UInt8] = []
            while let chunk = try await proof.read() { answer += chunk.array() }
            // The names, and the frame: 32 bytes, right or not.
            #expect(answer.count == 50 + 35)
            if isInARealm {
                var echoed: [UInt8] = []
                while echoed.count < 20_000, let chunk = try await early.read() { echoed += chunk.array() }
                #expect(echoed.last == 7)
                #expect(waiting.kept == 0)
                early.reset(0)
            } else {
                await #expect(throws: StreamError(.reset(StreamCode.notMember.rawValue))) { _ = try await early.read() }
            }
            #expect(pair.now - start < .milliseconds(1_200))
        }
    }

    /// Who proves nothing waits in vain, as long in a realm as outside of one; and after a proof that was wrong nobody waits.
    @Test(arguments: [true, false])
    func aStreamWithoutAProofIsNoMembers(isInARealm: Bool) async throws {
        try await nodes(left: nil, right: isInARealm ? key : nil).run { pair in
            let session = try await pair.left.connect(to: pair.right)
            let start = pair.now
            let early = try await raw(session, Self.echo, [7])
            await #expect(throws: StreamError(.reset(StreamCode.notMember.rawValue))) { _ = try await early.read() }
            #expect(pair.now - start == .milliseconds(5_100))
            let late = try await raw(session, Self.echo, [7])
            await #expect(throws: StreamError(.reset(StreamCode.notMember.rawValue))) { _ = try await late.read() }
            #expect(pair.now - start == .milliseconds(5_200))
        }
    }

    private func raw(_ session: Session, _ name: String, _ bytes: [UInt8]) async throws -> any ByteStream {
        let stream = try await session.connection.openByteStream()
        try await stream.write(Chunk(MultistreamDialer([name]).firstFlight + bytes))
        stream.finish()
        return stream
    }

    private func proof(_ session: Session, _ key: RealmKey) throws -> [UInt8] {
        let context = AdmissionContext(
            exporter: try session.exportKeyingMaterial(
                label: AdmissionContext.exporterLabel, count: AdmissionContext.exporterLength),
            opener: session.localNodeID, acceptor: session.remoteNodeID)
        let mac = context.proof(of: .opener, key: key.deriveKey(label: AdmissionContext.keyLabel))
        return Frame.encode(try AdmissionMessage.encode(proof: mac))
    }
}
