import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PStorage
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// Dials that others join, and whose addresses come late.
@Suite @NetworkActor struct LateCandidatesTests {
    private let world = SimulatedWorld(seed: 1, latency: .zero)
    private let dead = SocketAddress(.v4Loopback, port: 9)

    /// Finds what it is told, when it is told.
    @NetworkActor
    private final class Source: AddressSource {
        let name = "test"
        private var waiting: [AsyncStream<FoundAddresses>.Continuation] = []
        private(set) var asked = 0
        private(set) var isLeft = false
        /// What it knows without looking.
        var known: FoundAddresses?

        func answer(of nodeID: NodeID) -> FoundAddresses? { known }

        func addresses(of nodeID: NodeID) -> AsyncStream<FoundAddresses> {
            let (stream, found) = FoundAddresses.makeStream()
            asked += 1
            waiting.append(found)
            found.onTermination = { [weak self] _ in networkTask { self?.isLeft = true } }
            return stream
        }

        func find(_ address: Address, from voucher: AddressRule.Voucher = .sameHost) {
            let known = KnownAddress(address.withoutNodeID ?? address, origin: .derived, learnedAt: 0)
            for found in waiting { found.yield(FoundAddresses([known], from: voucher)) }
        }

        func findRecorded(_ address: Address, from voucher: AddressRule.Voucher) {
            let known = KnownAddress(address.withoutNodeID ?? address, origin: .record, learnedAt: 0)
            for found in waiting { found.yield(FoundAddresses([known], from: voucher)) }
        }

        func end(saying detail: String? = nil) {
            for found in waiting {
                if let detail { found.yield(FoundAddresses([], detail: detail)) }
                found.finish()
            }
        }
    }

    private func failure(of body: @NetworkActor () async throws -> Session) async -> ConnectError? {
        do {
            _ = try await body()
            return nil
        } catch {
            return error as? ConnectError
        }
    }

    private func silent(_ nodeID: NodeID) -> DialTarget {
        world.light.behaviours[dead] = .hang
        return DialTarget(nodeID: nodeID, addresses: [.quic(dead.ip, port: dead.port)])
    }

    // MARK: Sources

    @Test func aDialTakesWhatASourceFindsLate() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let source = Source()
        left.connections.sources = [source]
        let session = try await world.run {
            _ = world.network.schedule(after: .seconds(3)) { source.find(right.address) }
            return try await left.connections.reach(DialTarget(nodeID: right.nodeID, addresses: []))
        }
        #expect(session.remoteNodeID == right.nodeID)
        for _ in 0..<50 { await Task.yield() }
        #expect(source.isLeft, "nobody looks for a node that is found")
    }

    @Test func aSourceThatKnowsIsNotAskedToLook() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let (knows, nothing) = (Source(), Source())
        let address = KnownAddress(
            right.address.withoutNodeID ?? right.address, origin: .derived, learnedAt: 0)
        knows.known = FoundAddresses([address], from: .sameHost)
        nothing.known = FoundAddresses([], detail: "there are none")
        left.connections.sources = [nothing]
        let begun = world.network.now
        let error = await world.run {
            await failure { try await left.connections.reach(DialTarget(nodeID: right.nodeID, addresses: [])) }
        }
        #expect(error?.code == .noAddress && world.network.now == begun)
        #expect(error?.sources.last == SourceReport("test", elapsed: .zero, detail: "there are none"))
        left.connections.sources = [nothing, knows]
        let session = try await world.run {
            try await left.connections.reach(DialTarget(nodeID: right.nodeID, addresses: []))
        }
        #expect(session.remoteNodeID == right.nodeID)
        #expect(nothing.asked == 0 && knows.asked == 0)
    }

    @Test func theDialIsOverWhenTheLastSourceIs() async throws {
        let left = world.lightNode(port: 1)
        let (first, second) = (Source(), Source())
        left.connections.sources = [first, second]
        let begun = world.network.now
        let error = await world.run {
            _ = world.network.schedule(after: .seconds(1)) { first.end() }
            _ = world.network.schedule(after: .seconds(2)) { second.end() }
            return await failure {
                try await left.connections.reach(DialTarget(nodeID: IdentityKey.generate().nodeID, addresses: []))
            }
        }
        #expect(error?.code == .noAddress)
        #expect(world.network.now.duration(since: begun) == .seconds(2))
    }

    @Test func aFailureTellsWhoWasAskedAndWhatTheyAnswered() async throws {
        let left = world.lightNode(port: 1)
        let (first, second) = (Source(), Source())
        left.connections.sources = [first, second]
        world.light.behaviours[dead] = .hang
        let error = await world.run {
            _ = world.network.schedule(after: .seconds(1)) {
                first.find(.quic(dead.ip, port: dead.port))
                first.end(saying: "2 of 3 answered")
            }
            return await failure {
                try await left.connections.reach(DialTarget(IdentityKey.generate().nodeID), timeout: .seconds(3))
            }
        }
        #expect(error?.code == .timeout)
        #expect(
            error?.sources == [
                SourceReport("remembered", elapsed: .zero),
                SourceReport("test", addresses: 1, elapsed: .seconds(1), detail: "2 of 3 answered"),
                SourceReport("test"),
            ])
    }

    @Test func onlyWhoLooksForANodeAsksTheSources() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let source = Source()
        left.connections.sources = [source]
        _ = try await left.connections.connect(to: DialTarget(addresses: [right.address]))
        #expect(source.asked == 0)
    }

    /// However it was found, and when.
    @Test func theRuleHoldsForWhatIsFoundLate() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let source = Source()
        left.connections.sources = [source]
        let error = await world.run {
            _ = world.network.schedule(after: .seconds(1)) {
                source.findRecorded(right.address, from: .member)
                source.end()
            }
            return await failure {
                try await left.connections.reach(DialTarget(nodeID: right.nodeID, addresses: []))
            }
        }
        #expect(error?.code == .noAddress && world.light.dialled.isEmpty, "a record's loopback address is nobody's way")
    }

    @Test func whatIsFoundDisplacesNothingOfTheUsers() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let source = Source()
        left.connections.sources = [source]
        let limit = left.connections.limits.candidates
        let task = networkTask {
            try await left.connections.reach(DialTarget(nodeID: right.nodeID, addresses: []), timeout: .seconds(60))
        }
        let session = try await world.run {
            for _ in 0..<20 { await Task.yield() }
            for port in 0..<UInt16(limit * 2) {
                source.find(.quic(.v4Loopback, port: 1_000 + port))
                for _ in 0..<5 { await Task.yield() }
            }
            return try await left.connections.connect(to: DialTarget(nodeID: right.nodeID, addresses: [right.address]))
        }
        #expect(session.remoteNodeID == right.nodeID)
        #expect(world.light.dialled.count { $0.port >= 1_000 } <= limit)
        #expect(try await task.value === session)
    }

    // MARK: Several who ask

    @Test func aSecondCallerAddsItsAddresses() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let target = silent(right.nodeID)
        let (first, second) = try await world.run {
            let task = networkTask { try await left.connections.connect(to: target) }
            try await world.network.sleep(for: .seconds(1))
            let second = try await left.connections.connect(
                to: DialTarget(nodeID: right.nodeID, addresses: [right.address]))
            return (try await task.value, second)
        }
        #expect(first === second && second.remoteNodeID == right.nodeID)
    }

    /// Issue 9.4: a shared dial had its first caller's timeout.
    @Test(arguments: [true, false]) func eachCallerHasADeadlineOfItsOwn(isFirstPatient: Bool) async throws {
        let left = world.lightNode(port: 1)
        let target = silent(IdentityKey.generate().nodeID)
        let begun = world.network.now
        let patience: [Duration] = isFirstPatient ? [.seconds(7), .seconds(2)] : [.seconds(2), .seconds(7)]
        let ends = await world.run {
            let tasks = patience.map { patience in
                networkTask {
                    let error = await failure { try await left.connections.connect(to: target, timeout: patience) }
                    return (error, world.network.now.duration(since: begun))
                }
            }
            var ends: [(ConnectError?, Duration)] = []
            for task in tasks { ends.append(await task.value) }
            return ends
        }
        #expect(ends.map(\.1) == patience)
        #expect(ends.allSatisfy { $0.0?.code == .timeout && $0.0?.attempts.map(\.outcome) == [.timeout] })
        #expect(world.light.dialled.count == 1, "one dial for both")
    }

    @Test func theDialEndsWithTheLastWhoWaits() async throws {
        let left = world.lightNode(port: 1)
        let target = silent(IdentityKey.generate().nodeID)
        let source = Source()
        left.connections.sources = [source]
        let error = await world.run {
            await failure { try await left.connections.reach(target, timeout: .seconds(1)) }
        }
        for _ in 0..<50 { await Task.yield() }
        #expect(error?.code == .timeout && source.isLeft && left.connections.dialCount == 0)
    }

    /// A dial that has just failed is nobody's to join.
    @Test func whoComesTooLateDialsAnew() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let first = networkTask {
            await failure { try await left.connections.connect(to: DialTarget(nodeID: right.nodeID, addresses: [])) }
        }
        let second = networkTask {
            try await left.connections.connect(to: DialTarget(nodeID: right.nodeID, addresses: [right.address]))
        }
        #expect(try await second.value.remoteNodeID == right.nodeID)
        #expect(await first.value?.code == .noAddress)
    }

    @Test func askersShareTheRoomOfTheLast() async throws {
        let left = world.lightNode(port: 1)
        let nodeID = IdentityKey.generate().nodeID
        let limit = left.connections.limits.candidates
        _ = await world.run {
            for asker in 0..<10 {
                networkTask {
                    let ports = (0..<limit * 2).map { UInt16(1_000 + asker * 100 + $0) }
                    let own = ports.map { Address.quic(.v4Loopback, port: $0) }
                    for port in ports { world.light.behaviours[SocketAddress(.v4Loopback, port: port)] = .hang }
                    _ = try await left.connections.connect(
                        to: DialTarget(nodeID: nodeID, addresses: own), timeout: .seconds(60))
                }
            }
            try? await world.network.sleep(for: .seconds(70))
        }
        #expect(world.light.dialled.count == SharedDial.askerLimit * limit)
    }

    // MARK: What is known

    @Test func whereANodeWasReachedItIsReachedAgain() async throws {
        let (left, right) = (world.lightNode(port: 1), world.lightNode(port: 2))
        let storage = MemoryStorage(clock: world.wallClock)
        left.connections.peers.storage = storage
        let session = try await left.connections.reach(DialTarget(addresses: [right.address]))
        session.close(.normal)
        let again = try await left.connections.reach(DialTarget(nodeID: right.nodeID, addresses: []))
        #expect(again.remoteNodeID == right.nodeID && again !== session)
        await left.connections.peers.flush()
        // Another run.
        let next = world.lightNode(port: 3)
        next.connections.peers.storage = storage
        #expect(
            try await next.connections.reach(DialTarget(nodeID: right.nodeID, addresses: [])).remoteNodeID
                == right.nodeID)
    }
}
