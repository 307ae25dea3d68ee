import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PStorage
import Foundation
import Synchronization
import Testing

@testable import DeP2PSessions

/// What is known of nodes, from one run to the next.
@Suite @NetworkActor struct PeerStoreTests {
    private let network = SimulatedWorld(seed: 1).network
    private let node = IdentityKey.generate().nodeID
    private let rule = AddressRule(interfaces: [])
    private nonisolated static let now: UInt64 = 1_700_000_000_000

    private func store(_ storage: any Storage, at now: UInt64 = Self.now) -> PeerStore {
        let store = PeerStore(clock: network, wallClock: { now })
        store.storage = storage
        return store
    }

    private func attempt(_ address: String, _ outcome: ConnectAttempt.Outcome) -> ConnectAttempt {
        let place = (try? Address(address)).map(ConnectAttempt.Place.address) ?? .text(address)
        return ConnectAttempt(stage: .direct, place: place, elapsed: .zero, outcome: outcome)
    }

    private func found(_ store: PeerStore) async -> [String] {
        var found: [String] = []
        for await item in store.addresses(of: node) { found += item.addresses.map(\.address.description) }
        return found
    }

    @Test func whereANodeWasReachedIsKnownInTheNextRun() async throws {
        let storage = MemoryStorage(clock: { Self.now })
        let address = "/ip4/45.1.1.1/udp/4001/quic-v1"
        let first = store(storage)
        first.learn(
            from: [attempt("/ip4/45.1.1.2/udp/1/quic-v1", .timeout), attempt("\(address)/p2p/\(node)", .connected)],
            of: node)
        #expect(storage.entry(node.bytes, in: PeerStore.table) == nil, "nothing waits for the disk")
        await first.flush()
        let next = store(storage)
        #expect(next.addresses(of: node, by: rule, from: .stranger).isEmpty)
        #expect(await found(next) == [address])
        #expect(next.addresses(of: node, by: rule, from: .stranger).map(\.description) == ["\(address)/p2p/\(node)"])
        #expect(await found(store(storage, at: Self.now + KnownPeer.provenLifetime)).isEmpty)
    }

    @Test func batchesAreWrittenWithoutBeingAskedFor() async throws {
        let storage = MemoryStorage(clock: { Self.now })
        let store = store(storage)
        store.learn(from: [attempt("/ip4/45.1.1.1/udp/4001/quic-v1", .connected)], of: node)
        await network.run { try? await network.sleep(for: PeerStore.saveDelay * 2) }
        #expect(storage.entry(node.bytes, in: PeerStore.table) != nil)
    }

    /// What a command does again and again is no reason to write each time.
    @Test func nothingIsWrittenForWhatIsAsItWas() async throws {
        let storage = MemoryStorage(clock: { Self.now + PeerStore.lifetime / 2 })
        func row(_ time: UInt64) async throws -> Row {
            let store = store(storage, at: time)
            await store.recall(node)
            store.learn(from: [attempt("/ip4/45.1.1.1/udp/4001/quic-v1", .connected)], of: node)
            store.saw(node)
            await store.flush()
            return try #require(storage.row(node.bytes, in: PeerStore.table.space))
        }
        let first = try await row(Self.now)
        #expect(try await row(Self.now + KnownPeer.resolution - 1) == first)
        #expect(try await row(Self.now + KnownPeer.resolution) != first)
    }

    /// Two processes with one store.
    @Test func whatAnotherProcessKnowsIsKept() async throws {
        let storage = MemoryStorage(clock: { Self.now })
        let (left, right) = (store(storage), store(storage))
        left.learn(from: [attempt("/ip4/45.1.1.1/udp/1/quic-v1", .connected)], of: node)
        right.learn(from: [attempt("/ip4/45.1.1.2/udp/1/quic-v1", .connected)], of: node)
        await left.flush()
        await right.flush()
        #expect(await found(store(storage)).count == 2)
    }

    @Test func strangersAndTheUsersWordAreNotWritten() async throws {
        let storage = MemoryStorage(clock: { Self.now })
        let store = store(storage)
        #expect(store.give(try Address("/ip4/45.1.1.1/udp/4001/quic-v1/p2p/\(node)")))
        let key = IdentityKey.generate()
        let record = try PeerRecord(nodeID: key.nodeID, seq: 1, addresses: [try Address("/ip4/45.1.1.1/udp/1/quic-v1")])
        let information = PeerInformation(
            publicKey: key.publicKey, listenAddresses: [], protocols: ["/a"], observedAddress: nil, protocolVersion: "",
            agentVersion: "agent", record: record, signedRecord: try record.sealed(by: key))
        store.learn(information, of: key.nodeID, from: .stranger, subject: .relay(1))
        store.saw(node)
        await store.flush()
        #expect(storage.rows(in: PeerStore.table.space, prefix: [], newest: 10).isEmpty)
        // The same of a member is, with all that identify tells.
        store.learn(information, of: key.nodeID, from: .member, subject: .relay(1))
        await store.flush()
        let kept = try #require(storage.entry(key.nodeID.bytes, in: PeerStore.table)?.value)
        #expect(kept.protocols == ["/a"] && kept.agent == "agent" && kept.lastSeen == Self.now)
        #expect(try PeerRecord.open(kept.signedRecord) == record)
    }

    /// A member has any number of identities: they displace each other on the disk too, and not those met before.
    @Test func whoMakesUpNodesFillsNoStore() async throws {
        let storage = MemoryStorage(clock: { Self.now + PeerStore.lifetime / 2 })
        let earlier = store(storage)
        earlier.learn(from: [attempt("/ip4/45.1.1.1/udp/4001/quic-v1", .connected)], of: node)
        await earlier.flush()
        let time = Mutex(Self.now)
        let store = PeerStore(clock: network, wallClock: { time.withLock { $0 } })
        store.storage = storage
        func tell(_ key: IdentityKey, at subject: UInt64) throws {
            let address = try Address("/ip4/45.1.1.2/udp/1/quic-v1")
            let record = try PeerRecord(nodeID: key.nodeID, seq: 1, addresses: [address])
            let information = PeerInformation(
                publicKey: key.publicKey, listenAddresses: [], protocols: [], observedAddress: nil,
                protocolVersion: "", agentVersion: "", record: record, signedRecord: [])
            store.learn(information, of: key.nodeID, from: .member, subject: .relay(subject))
        }
        let colleague = IdentityKey.generate()
        try tell(colleague, at: 2)
        for number in 0..<PeerBook.nodeLimit + 100 {
            time.withLock { $0 += 1_000 }
            try tell(.generate(), at: 1)
            if number % 100 == 0 { await store.flush() }
        }
        await store.flush()
        let rows = storage.rows(in: PeerStore.table.space, prefix: [], newest: .max)
        #expect(rows.contains { $0.key == node.bytes } && rows.contains { $0.key == colleague.nodeID.bytes })
        #expect(rows.count == PeerBook.Share.others.perSubject + 2)
    }

    /// A disk on which nothing can be kept, a damaged row, a store from the future.
    @Test func aStoreThatIsOfNoUseCostsMemoryOnly() async throws {
        let storage = MemoryStorage(clock: { Self.now })
        let broken = Change.put(Row(key: node.bytes, value: [1, 2, 3], stamp: Self.now), in: PeerStore.table.space)
        storage.write([broken])
        let store = store(storage)
        #expect(await found(store).isEmpty)
        store.learn(from: [attempt("/ip4/45.1.1.1/udp/1/quic-v1", .connected)], of: node)
        await store.flush()
        #expect(await found(self.store(storage)).count == 1, "and is written anew")
    }

    @Test func manyAskAtOnce() async throws {
        let storage = MemoryStorage(clock: { Self.now })
        let first = store(storage)
        let nodes = (0..<100).map { _ in IdentityKey.generate().nodeID }
        for node in nodes { first.learn(from: [attempt("/ip4/45.1.1.1/udp/1/quic-v1", .connected)], of: node) }
        await first.flush()
        let next = store(storage)
        let tasks = nodes.map { node in networkTask { await next.recall(node) } }
        for task in tasks { await task.value }
        #expect(nodes.allSatisfy { !next.addresses(of: $0, by: rule, from: .stranger).isEmpty })
    }
}
