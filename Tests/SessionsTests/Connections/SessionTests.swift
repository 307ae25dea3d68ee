import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import DeP2PWire
import Testing

@testable import DeP2PSessions

@Suite @NetworkActor struct SessionTests {
    private let world = SimulatedWorld(seed: 1, latency: .zero)

    private func echo(_ node: LightNode, _ name: String) {
        node.connections.registry.register(name, deadline: .unlimited(because: "a test")) { _, stream in
            while let chunk = try await stream.read() { try await stream.write(chunk) }
        }
    }

    @Test func aStreamSpeaksItsProtocolFromTheFirstByte() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        echo(right, "/echo/1.0.0")
        let stream = try await left.connect(to: right).openStream("/echo/1.0.0")
        try await stream.write(Chunk(Array("hello".utf8)))
        #expect(try await stream.read()?.array() == Array("hello".utf8))
        stream.finish()
        #expect(try await stream.read() == nil)
    }

    @Test func anUnknownProtocolShowsAtTheFirstRead() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let stream = try await left.connect(to: right).openStream("/nobody/1.0.0")
        try await stream.write(Chunk([1]))
        await #expect(throws: SessionError(.unsupported)) { try await stream.read() }
    }

    @Test func theFirstNameThatThePeerKnowsIsSpoken() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        echo(right, "/b")
        let session = try await left.connect(to: right)
        let stream = try await session.openStream(anyOf: ["/a", "/b"])
        #expect(stream.protocolID == "/b")
        await #expect(throws: SessionError(.unsupported)) { try await session.openStream(anyOf: ["/c", "/d"]) }
    }

    @Test func membersProtocolsAreRefusedWhateverIsRegistered() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        echo(right, "/dep2p/app/echo/1.0.0")
        let session = try await left.connect(to: right)
        await #expect(throws: SessionError(.notMember)) { try await session.openStream("/dep2p/app/echo/1.0.0") }
        for name in ["/dep2p/app/echo/1.0.0", "/dep2p/app/none/1.0.0", "/dep2p/realm/none/1.0.0"] {
            // What a peer without our manners would send.
            let raw = try await left.transport.connections[0].openByteStream()
            try await raw.write(Chunk(MultistreamDialer([name]).firstFlight))
            await #expect(throws: StreamError(.reset(StreamCode.notMember.rawValue))) { try await raw.read() }
        }
    }

    /// A peer that grants no streams, and one that never says whether it speaks the protocol (issue 7.17).
    @Test func openingAndNegotiatingHaveDeadlines() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let session = try await left.connect(to: right)
        let connection = left.transport.connections[0]
        let time = SimulatedWorld(seed: 1).network
        let (near, far) = LightStream.pair()
        let silent = NegotiatedStream(proposing: "/silent", over: near, patience: (time, .seconds(10)))
        await time.run {
            await #expect(throws: SessionError(.timeout)) { try await silent.read() }
            #expect(time.now.duration(since: NetworkInstant(nanoseconds: 1_000_000_000)) == .seconds(10))
        }
        withExtendedLifetime(far) {}
        connection.grantsStreams = false
        connection.clock = SystemNetworkClock.shared
        await #expect(throws: SessionError(.timeout)) {
            try await session.openStream("/any", within: .milliseconds(1))
        }
    }

    @Test func thoseWhoNoLongerWaitLeave() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let session = try await left.connect(to: right)
        let waits = (0..<20).map { _ in networkTask { _ = try await session.waitClosed() } }
        try await SystemNetworkClock.shared.sleep(for: .milliseconds(1))
        #expect(session.waiterCount == 20)
        for wait in waits { wait.cancel() }
        for wait in waits { _ = await wait.result }
        #expect(session.waiterCount == 0)
        session.beginAdmission()
        let member = networkTask { await session.waitForMembership() }
        try await SystemNetworkClock.shared.sleep(for: .milliseconds(1))
        member.cancel()
        let isAdmitted = await member.value
        #expect(!isAdmitted && session.waiterCount == 0)
    }

    /// A relay of another realm takes its time to refuse a proof, and serves all the same.
    @Test func membershipIsWaitedForNoLongerThanTheCallerHasPatience() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let session = try await left.connect(to: right)
        session.beginAdmission()
        let start = world.network.now
        let isAdmitted = await world.run { await session.waitForMembership(atMost: .milliseconds(100)) }
        #expect(!isAdmitted && session.waiterCount == 0)
        #expect(world.network.now == start.advanced(by: .milliseconds(100)))
    }

    @Test func aMembersStreamWaitsForTheAdmissionUnderWay() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        echo(right, "/dep2p/app/echo/1.0.0")
        let session = try await left.connect(to: right)
        let far = try #require(right.connections.session(with: left.nodeID))
        session.beginAdmission()
        session.endAdmission(admitted: true)
        far.beginAdmission()
        let stream = try await session.openStream("/dep2p/app/echo/1.0.0")
        try await stream.write(Chunk([5]))
        for _ in 0..<10 { await Task.yield() }
        far.endAdmission(admitted: true)
        #expect(try await stream.read()?.array() == [5])
    }

    @Test func aStrangersHandlersAreBounded() async throws {
        var limits = ConnectionLimits()
        limits.strangerStreams = 4
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2, limits: limits))
        echo(right, "/echo")
        let session = try await left.connect(to: right)
        var streams: [NegotiatedStream] = []
        for _ in 0..<4 {
            let stream = try await session.openStream("/echo")
            try await stream.write(Chunk([1]))
            _ = try await stream.read()
            streams.append(stream)
        }
        let fifth = try await session.openStream("/echo")
        await #expect(throws: (any Error).self) {
            try await fifth.write(Chunk([1]))
            _ = try await fifth.read()
        }
        #expect(right.connections.session(with: left.nodeID)?.servedStreamCount == 4)
        streams[0].finish()
        #expect(try await streams[0].read() == nil)
        let sixth = try await session.openStream("/echo")
        try await sixth.write(Chunk([2]))
        #expect(try await sixth.read()?.array() == [2])
    }

    @Test func aMemberIsServedMoreStreamsThanAStranger() async throws {
        var limits = ConnectionLimits()
        limits.strangerStreams = 2
        limits.handlersPerSession = 4
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2, limits: limits))
        echo(right, "/echo")
        let session = try await left.connect(to: right)
        let far = try #require(right.connections.session(with: left.nodeID))
        for expected in [2, 4] {
            var streams: [NegotiatedStream] = []
            for _ in 0..<6 {
                let stream = try await session.openStream("/echo")
                try? await stream.write(Chunk([1]))
                _ = try? await stream.read()
                streams.append(stream)
            }
            #expect(far.servedStreamCount == expected)
            for stream in streams { stream.reset(0) }
            for _ in 0..<100 where far.servedStreamCount > 0 { await Task.yield() }
            far.beginAdmission()
            far.endAdmission(admitted: true)
        }
    }

    @Test func aHandlerIsEndedAtItsDeadline() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        right.connections.registry.register("/silent", deadline: .within(.seconds(5))) { _, stream in
            while try await stream.read() != nil {}
        }
        let session = try await left.connect(to: right)
        let far = try #require(right.connections.session(with: left.nodeID))
        _ = await world.run {
            await #expect(throws: SessionError(.reset(.timeout))) {
                do {
                    let stream = try await session.openStream("/silent")
                    try await stream.write(Chunk([1]))
                    while try await stream.read() != nil {}
                } catch {
                    throw SessionError(error, on: session)
                }
            }
        }
        for _ in 0..<100 where far.servedStreamCount > 0 { await Task.yield() }
        #expect(far.servedStreamCount == 0 && far.isOpen)
    }

    @Test func negotiationHasADeadline() async throws {
        var limits = ConnectionLimits()
        limits.negotiationDeadline = .milliseconds(10)
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2, limits: limits))
        _ = try await left.connect(to: right)
        let raw = try await left.transport.connections[0].openByteStream()
        try await raw.write(Chunk([0x13]))
        _ = await world.run {
            await #expect(throws: StreamError(.reset(StreamCode.timeout.rawValue))) { try await raw.read() }
        }
    }

    @Test func bothSidesSeeCodeAndReason() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let session = try await left.connect(to: right)
        let far = try #require(right.connections.session(with: left.nodeID))
        session.close(.goodbye, reason: "bye")
        #expect(try await far.waitClosed() == SessionEnd(.closedByPeer(.goodbye), reason: "bye"))
        #expect(session.end == SessionEnd(.closedLocally(.goodbye), reason: "bye"))
        #expect(left.connections.sessions.isEmpty && right.connections.sessions.isEmpty)
        await #expect(throws: SessionError(.closed(SessionEnd(.closedLocally(.goodbye), reason: "bye")))) {
            try await session.openStream("/x")
        }
    }

    @Test func aClosedSessionIsFreed() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        echo(right, "/echo")
        weak var near: Session?
        weak var far: Session?
        do {
            let session = try await left.connect(to: right)
            let stream = try await session.openStream("/echo")
            try await stream.write(Chunk([1]))
            _ = try await stream.read()
            near = session
            far = right.connections.session(with: left.nodeID)
            #expect(far != nil)
            session.close(.normal)
        }
        for _ in 0..<100 where near != nil || far != nil { await Task.yield() }
        #expect(near == nil && far == nil)
    }

    @Test func randomBytesOnAStreamNeverTrap() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        Ping.serve(on: right.connections)
        _ = try await left.connect(to: right)
        var random = SplitMix64(seed: 4)
        for round in 0..<500 {
            let raw = try await left.transport.connections[0].openByteStream()
            let prefix = round % 2 == 0 ? MultistreamDialer([Ping.protocolIDs[0]]).firstFlight : []
            try await raw.write(Chunk(prefix + random.bytes(upTo: 100)))
            raw.finish()
            while let chunk = try? await raw.read() { _ = chunk }
        }
        #expect(right.connections.session(with: left.nodeID)?.isOpen == true)
    }
}
