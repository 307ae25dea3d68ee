import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PWire
import Testing

@testable import DeP2PRealm

@NetworkActor
private struct RealmNode {
    let node: LightNode
    let realm: Realm

    init(
        in world: SimulatedWorld, port: UInt16, key: RealmKey? = nil, limits: ConnectionLimits = ConnectionLimits()
    ) throws {
        node = world.lightNode(port: port, limits: limits)
        realm = Realm(node.connections)
        if let key { try realm.join(key) }
    }

    func session(with other: RealmNode) throws -> Session {
        try #require(node.connections.session(with: other.node.nodeID))
    }
}

@Suite @NetworkActor struct RealmTests {
    private let world = SimulatedWorld(seed: 1, latency: .zero)
    private let key = RealmKey.generate()

    /// Of a node that does not mind how long a stranger takes.
    private var patient: ConnectionLimits {
        var limits = ConnectionLimits()
        limits.strangerTime = .seconds(3_600)
        return limits
    }

    private func settle() async { for _ in 0..<50 { await Task.yield() } }

    @Test func membersAdmitEachOther() async throws {
        let left = try RealmNode(in: world, port: 1, key: key)
        let right = try RealmNode(in: world, port: 2, key: key)
        let session = try await left.node.connect(to: right.node)
        try await left.realm.admit(session)
        #expect(session.isAdmitted)
        #expect(try right.session(with: left).isAdmitted)
        #expect(left.realm.member(right.node.nodeID)?.state == .online)
        #expect(right.realm.member(left.node.nodeID)?.state == .online)
        // Started by the connect itself, not a second time by the caller.
        #expect(left.node.transport.connections[0].openedStreams == 1)
    }

    @Test func aWrongKeyAndNoRealmAreRefusedAlike() async throws {
        let left = try RealmNode(in: world, port: 1, key: key)
        let wrong = try RealmNode(in: world, port: 2, key: .generate())
        let none = try RealmNode(in: world, port: 3)
        for other in [wrong, none] {
            let session = try await left.node.connect(to: other.node)
            await #expect(throws: RealmError(.refused)) { try await left.realm.admit(session) }
            #expect(session.membership == .outsider && session.isOpen)
            #expect(try other.session(with: left).membership == .outsider)
            #expect(left.realm.knownMembers.isEmpty && other.realm.knownMembers.isEmpty)
        }
    }

    /// What is on the wire differs in the 32 bytes of the proof alone.
    @Test func theirAnswersHaveOneShape() async throws {
        let left = try RealmNode(in: world, port: 1)
        var answers: [[UInt8]] = []
        for (port, key) in [(UInt16(2), RealmKey.generate()), (3, nil)] {
            let other = try RealmNode(in: world, port: port, key: key)
            _ = try await left.node.connect(to: other.node)
            let connection = try #require(left.node.transport.connections.last)
            for proof in [SecureRandom.bytes(32), [], SecureRandom.bytes(7)] {
                let raw = try await connection.openByteStream()
                let message = try AdmissionMessage.encode(proof: proof)
                let flight = MultistreamDialer([ProtocolRegistry.admissionID]).firstFlight
                try await raw.write(Chunk(flight + Frame.encode(message)))
                raw.finish()
                var answer: [UInt8] = []
                while let chunk = try await raw.read() { answer += chunk.array() }
                answers.append(answer)
            }
        }
        #expect(Set(answers.map(\.count)).count == 1)
        #expect(Set(answers.map { $0.dropLast(32) }).count == 1)
        #expect(Set(answers).count == answers.count)
    }

    /// A man in the middle forwards both proofs, and even shares one exporter value with both of his connections.
    @Test func aRelayedProofIsRefused() async throws {
        let left = try RealmNode(in: world, port: 1, key: key)
        let right = try RealmNode(in: world, port: 2, key: key)
        let middle = world.lightNode(port: 3)
        _ = try await middle.connect(to: right.node)
        let onward = try #require(middle.transport.connections.first)
        let atRight = try #require(right.node.transport.connections.first)
        middle.connections.registry.register(ProtocolRegistry.admissionID, deadline: .unlimited(because: "a test")) {
            _, stream in
            middle.transport.connections[1].exporterSecret = onward.exporterSecret
            let proof = try await FrameReader(stream, limit: 128).required()
            let raw = try await onward.openByteStream()
            try await raw.write(
                Chunk(MultistreamDialer([ProtocolRegistry.admissionID]).firstFlight + Frame.encode(proof)))
            raw.finish()
            var answer: [UInt8] = []
            while let chunk = try await raw.read() { answer += chunk.array() }
            try await stream.write(Chunk(answer.suffix(35)))
        }
        atRight.exporterSecret = onward.exporterSecret
        let session = try await left.node.connect(to: middle)
        left.node.transport.connections[0].exporterSecret = onward.exporterSecret
        await #expect(throws: RealmError(.refused)) { try await left.realm.admit(session) }
        #expect(right.realm.knownMembers.isEmpty && left.realm.knownMembers.isEmpty)
    }

    @Test func oneRealmAtATime() throws {
        let node = try RealmNode(in: world, port: 1, key: key)
        #expect(throws: RealmError(.alreadyInRealm)) { try node.realm.join(.generate()) }
        #expect(throws: RealmError(.alreadyInRealm)) { try node.realm.join(key) }
        #expect(node.realm.id == key.id)
        try node.realm.leave()
        #expect(throws: RealmError(.notMember)) { try node.realm.leave() }
        try node.realm.join(.generate())
    }

    @Test func leavingSaysGoodbyeForgetsAndAllowsReturning() async throws {
        let left = try RealmNode(in: world, port: 1, key: key)
        let right = try RealmNode(in: world, port: 2, key: key)
        var changes: [MemberChange] = []
        right.realm.onMemberChange { changes.append($0) }
        right.node.connections.registry.register("/dep2p/app/x/1.0.0", deadline: .unlimited(because: "a test")) {
            _, stream in
            while let chunk = try await stream.read() { try await stream.write(chunk) }
        }
        let session = try await left.node.connect(to: right.node)
        try await left.realm.admit(session)
        let stream = try await session.openStream("/dep2p/app/x/1.0.0")
        try await stream.write(Chunk([1]))
        _ = try await stream.read()
        let far = try right.session(with: left)
        try left.realm.leave()
        #expect(far.end?.cause == .closedByPeer(.leftRealm))
        await #expect(throws: (any Error).self) { try await stream.read() }
        #expect(left.realm.knownMembers.isEmpty && right.realm.knownMembers.isEmpty)
        #expect(changes.last == .left(left.node.nodeID))
        await #expect(throws: RealmError(.notMember)) { try await left.realm.admit(session) }
        try left.realm.join(key)
        let again = try await left.node.connect(to: right.node)
        try await left.realm.admit(again)
        #expect(again.isAdmitted && right.realm.member(left.node.nodeID)?.state == .online)
    }

    @Test func joiningLaterAdmitsTheConnectionsThatStand() async throws {
        let left = try RealmNode(in: world, port: 1, key: key)
        let right = try RealmNode(in: world, port: 2)
        let session = try await left.node.connect(to: right.node)
        await #expect(throws: RealmError(.refused)) { try await left.realm.admit(session) }
        try right.realm.join(key)
        let far = try right.session(with: left)
        try await right.realm.admit(far)
        #expect(session.isAdmitted && far.isAdmitted)
    }

    @Test func offlineMembersHaveAReason() async throws {
        let left = try RealmNode(in: world, port: 1, key: key)
        let right = try RealmNode(in: world, port: 2, key: key)
        try await left.realm.admit(left.node.connect(to: right.node))
        left.node.transport.connections[0].timeOut()
        #expect(left.realm.member(right.node.nodeID)?.state == .offline(.timeout))
        try await left.realm.admit(left.node.connect(to: right.node))
        #expect(left.realm.member(right.node.nodeID)?.state == .online)
        right.node.connections.stop()
        #expect(left.realm.member(right.node.nodeID)?.state == .offline(.goodbye))
    }

    @Test func aNodeWithoutAdmissionIsNoMember() async throws {
        let left = try RealmNode(in: world, port: 1, key: key)
        let stranger = world.lightNode(port: 2)
        let session = try await left.node.connect(to: stranger)
        await #expect(throws: RealmError(.violation)) { try await left.realm.admit(session) }
        #expect(session.isOpen)
    }

    /// Issue 7.5a: a mistyped key first, somebody else's from the same address, then the right one.
    @Test func aRightProofIsAdmittedWhateverFailedBefore() async throws {
        let right = try RealmNode(in: world, port: 2, key: key)
        let left = try RealmNode(in: world, port: 1, key: .generate())
        let neighbour = try RealmNode(in: world, port: 3, key: .generate())
        await world.run {
            for _ in 0..<20 {
                for node in [left, neighbour] {
                    await #expect(throws: RealmError(.refused)) {
                        let session = try await node.node.connect(to: right.node)
                        defer { session.close(.normal) }
                        try await node.realm.admit(session)
                    }
                }
            }
        }
        try left.realm.leave()
        try left.realm.join(key)
        let session = try await left.node.connect(to: right.node)
        try await left.realm.admit(session)
        #expect(try session.isAdmitted && right.session(with: left).isAdmitted)
    }

    /// Issue 7.5c: one proof of a session is looked at a time, and few in its life; what is silent ends.
    @Test func aSessionsProofsAreFewAndOneAtATime() async throws {
        let right = try RealmNode(in: world, port: 2, key: key, limits: patient)
        let stranger = world.lightNode(port: 1)
        _ = try await stranger.connect(to: right.node)
        let connection = try #require(stranger.transport.connections.first)
        let flight = MultistreamDialer([ProtocolRegistry.admissionID]).firstFlight
        let session = try #require(right.node.connections.session(with: stranger.nodeID))
        for round in 0..<Admission.proofsPerSession + 2 {
            var streams: [any ByteStream] = []
            for _ in 0..<20 {
                let raw = try await connection.openByteStream()
                try await raw.write(Chunk(flight))
                streams.append(raw)
            }
            for _ in 0..<200 { await Task.yield() }
            #expect(session.servedStreamCount == (round < Admission.proofsPerSession ? 1 : 0))
            await world.run { try? await world.network.sleep(for: Admission.deadline + .seconds(2)) }
            #expect(session.servedStreamCount == 0)
            for stream in streams { stream.reset(0) }
        }
        #expect(session.isOpen)
    }

    /// Issue 7.24.
    @Test func provingItselfAgainAddsNothing() async throws {
        let left = try RealmNode(in: world, port: 1, key: key)
        let right = try RealmNode(in: world, port: 2, key: key)
        var changes = 0
        var admissions = 0
        right.realm.onMemberChange { _ in changes += 1 }
        right.node.connections.onAdmission { _ in admissions += 1 }
        let session = try await left.node.connect(to: right.node)
        try await left.realm.admit(session)
        let connection = try #require(left.node.transport.connections.first)
        let context = AdmissionContext(
            exporter: try session.exportKeyingMaterial(
                label: AdmissionContext.exporterLabel, count: AdmissionContext.exporterLength),
            opener: left.node.nodeID, acceptor: right.node.nodeID)
        let proof = AdmissionOpener(
            context: context, key: key.deriveKey(label: AdmissionContext.keyLabel)
        ).proof
        let flight = MultistreamDialer([ProtocolRegistry.admissionID]).firstFlight
        var answers = 0
        for _ in 0..<20 {
            let raw = try await connection.openByteStream()
            try await raw.write(Chunk(flight + Frame.encode(try AdmissionMessage.encode(proof: proof))))
            raw.finish()
            while let chunk = try? await raw.read() { answers += chunk.count > 40 ? 1 : 0 }
        }
        #expect(answers == Admission.proofsPerSession - 1 && admissions == 1 && changes == 1)
        let far = try right.session(with: left)
        #expect(far.isAdmitted && far.endHandlerCount == 3)
    }

    @Test func aBusyPeerIsWorthAnotherTry() async throws {
        let left = try RealmNode(in: world, port: 1, key: key)
        let right = world.lightNode(port: 2)
        right.connections.registry.register(
            ProtocolRegistry.admissionID, deadline: .within(.seconds(1))
        ) { _, _ in throw SessionError(.busy) }
        let session = try await left.node.connect(to: right)
        await #expect(throws: RealmError(.busy)) { try await left.realm.admit(session) }
    }

    @Test func hostileAdmissionStreamsNeitherTrapNorAdmit() async throws {
        let right = try RealmNode(in: world, port: 2, key: key, limits: patient)
        let stranger = world.lightNode(port: 1)
        var random = SplitMix64(seed: 7)
        let flight = MultistreamDialer([ProtocolRegistry.admissionID]).firstFlight
        // Wrong proofs are answered late: on virtual time.
        try await world.run {
            for round in 0..<500 {
                if round % Admission.proofsPerSession == 0 {
                    stranger.connections.session(with: right.node.nodeID)?.close(.normal)
                    _ = try await stranger.connect(to: right.node)
                }
                let connection = try #require(stranger.transport.connections.last)
                let raw = try await connection.openByteStream()
                let body =
                    switch round % 3 {
                    case 0: Frame.encode(random.bytes(upTo: 120))
                    case 1: random.bytes(upTo: 200)
                    default: Varint.encode(UInt64.random(in: 0..<1 << 62, using: &random)) + random.bytes(upTo: 20)
                    }
                try await raw.write(Chunk(flight + body))
                raw.finish()
                while let chunk = try? await raw.read() { _ = chunk }
            }
        }
        let session = try #require(right.node.connections.session(with: stranger.nodeID))
        #expect(session.isOpen && !session.isAdmitted && right.realm.knownMembers.isEmpty)
    }
}
