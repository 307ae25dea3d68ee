import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

@Suite struct RecordStoreTests {
    private var random = SplitMix64(seed: 13)
    private let local: DHTKey
    private var store: RecordStore
    private let signer = IdentityKey.generate()

    init() {
        local = DHTKey.random(using: &random)
        store = RecordStore(localKey: local)
    }

    private mutating func publisher(in subnet: UInt32? = nil) throws -> RecordStore.Publisher {
        let ip = subnet.map { IPAddress(v4: 0x0801_0000 + $0 << 8 + UInt32(random.next() % 256)) } ?? random.ip()
        return RecordStore.Publisher(try random.nodeID(), subnet: Subject(ip).subnet)
    }

    private func item(_ salt: Int, seq: Int64 = 1, value: [UInt8] = [1]) throws -> MutableItem {
        try MutableItem(by: signer, salt: Array("\(salt)".utf8), seq: seq, value: value)
    }

    @Test mutating func aNewerItemReplacesAnOlder() throws {
        let (one, two) = (try publisher(), try publisher())
        let old = try item(1, seq: 5)
        #expect(put(&store, old, one) == nil && store.item(for: old.key, now: at(0)) == old)
        #expect(put(&store, old, two) == nil && store.count == 1)
        let newer = try item(1, seq: 6, value: [2])
        #expect(put(&store, newer, one) == nil && store.item(for: old.key, now: at(0)) == newer)
        #expect(put(&store, old, one) == .staleSequence)
        #expect(put(&store, try item(1, seq: 6, value: [3]), one) == .staleSequence)
        #expect(store.count == 1 && store.item(for: local, now: at(0)) == nil)
    }

    /// What an earlier run kept has its shares too, displaces nothing, and lasts no longer than it was to.
    @Test mutating func whatIsRestoredTakesWhatRoomThereIs() throws {
        let one = try publisher(in: 1)
        let newer = try item(0, seq: 6)
        #expect(put(&store, newer, one) == nil)
        store.restore(try item(0, seq: 5), from: one, left: .seconds(9), now: at(0))
        #expect(store.item(for: newer.key, now: at(0)) == newer && store.count == 1)
        for number in 1...RecordStore.perPublisher + 5 {
            store.restore(try item(number), from: one, left: .seconds(number == 1 ? 100_000 : 9), now: at(0))
        }
        #expect(store.count == RecordStore.perPublisher)
        store.restore(try item(-1), from: try publisher(in: 2), left: .zero, now: at(0))
        #expect(store.count == RecordStore.perPublisher)
        let (long, short) = (try item(1).key, try item(2).key)
        let end = RecordStore.lifetime
        #expect(store.item(for: short, now: at(8)) != nil && store.item(for: short, now: at(9)) == nil)
        #expect(store.item(for: long, now: at(0).advanced(by: end - .seconds(1))) != nil)
        #expect(store.item(for: long, now: at(0).advanced(by: end)) == nil)
    }

    @Test mutating func whatIsNotSignedIsNotStored() throws {
        let good = try item(1)
        let forged = try MutableItem(
            publicKey: good.publicKey, salt: good.salt, seq: 9, value: [9], signature: good.signature)
        #expect(put(&store, forged, try publisher()) == .badSignature)
        #expect(store.count == 0 && store.item(for: good.key, now: at(0)) == nil)
    }

    @Test mutating func recordsEnd() throws {
        let kept = try item(1, seq: 5)
        let key = DHTKey.random(using: &random)
        #expect(put(&store, kept, try publisher()) == nil)
        #expect(provide(&store, key, try publisher()) == nil)
        let end = RecordStore.lifetime.seconds
        #expect(store.item(for: kept.key, now: at(end - 1)) == kept)
        #expect(store.item(for: kept.key, now: at(end)) == nil && store.providers(of: key, now: at(end)).isEmpty)
        // What is over is no reason to refuse an older one.
        #expect(put(&store, try item(1, seq: 4), try publisher(), now: at(end)) == nil)
        #expect(store.count == 2)
        var now = at(end)
        while let wake = store.wake, now < at(3 * end) {
            now = max(now, wake)
            _ = store.timerFired(now: now)
        }
        #expect(store.count == 0 && store.wake == nil)
    }

    @Test mutating func onePublisherHasItsShare() throws {
        let greedy = try publisher()
        for salt in 0..<RecordStore.perPublisher { #expect(put(&store, try item(salt), greedy) == nil) }
        #expect(put(&store, try item(-1), greedy) == .publisherIsFull)
        #expect(provide(&store, local, greedy) == .publisherIsFull)
        // One of its own it may replace, and others have room.
        #expect(put(&store, try item(0, seq: 2), greedy) == nil)
        #expect(put(&store, try item(-1), try publisher()) == nil)
    }

    @Test mutating func oneSubnetHasItsShare() throws {
        for number in 0..<RecordStore.perSubnet {
            let key = DHTKey.random(using: &random)
            #expect(provide(&store, key, try publisher(in: 1)) == nil, "\(number)")
        }
        #expect(put(&store, try item(1), try publisher(in: 1)) == .subnetIsFull)
        #expect(put(&store, try item(1), try publisher(in: 2)) == nil)
    }

    /// Who fills the store makes nobody else's record give way by putting that again.
    @Test mutating func whatAnotherPutsAgainDoesNotCountAsHis() throws {
        let (honest, greedy) = (try publisher(in: 1), try publisher(in: 2))
        let record = try item(-1)
        for salt in 0..<RecordStore.perPublisher - 1 { #expect(put(&store, try item(salt), greedy) == nil) }
        #expect(put(&store, record, honest) == nil)
        #expect(put(&store, record, greedy) == nil)
        // It is not in his share, which has room for one more.
        #expect(put(&store, try item(-2), greedy) == nil)
        // Nor is it kept from anybody that he goes on doing so: he is full, and puts again what is there.
        #expect(put(&store, record, greedy) == nil)
        #expect(put(&store, try item(-3), greedy) == .publisherIsFull)
        // Who has stored less has it, whoever was first.
        let (first, second) = (try item(-4), try publisher(in: 3))
        for salt in 1_000..<1_010 { #expect(put(&store, try item(salt), second) == nil) }
        #expect(put(&store, first, second) == nil && put(&store, first, honest) == nil)
        for salt in 1_010..<1_000 + RecordStore.perPublisher { #expect(put(&store, try item(salt), second) == nil) }
        #expect(put(&store, try item(-5), second) == .publisherIsFull)
        // A newer one is its putter's.
        #expect(put(&store, try item(-1, seq: 2), greedy) == .publisherIsFull)
    }

    @Test mutating func oneKeyHasItsProviders() throws {
        let key = DHTKey.random(using: &random)
        for _ in 0..<RecordStore.providersPerKeyAndSubnet {
            #expect(provide(&store, key, try publisher(in: 3)) == nil)
        }
        #expect(provide(&store, key, try publisher(in: 3)) == .keyIsFull)
        let first = try publisher()
        #expect(provide(&store, key, first) == nil)
        while store.providers(of: key, now: at(0)).count < RecordStore.providersPerKey {
            #expect(provide(&store, key, try publisher()) == nil)
        }
        #expect(provide(&store, key, try publisher()) == .keyIsFull)
        // Who is there already stays, and comes first again.
        #expect(provide(&store, key, first, now: at(1)) == nil)
        #expect(store.providers(of: key, now: at(1)).first?.nodeID == first.nodeID)
        #expect(store.count == RecordStore.providersPerKey)
        // Those that are over give way.
        let end = RecordStore.lifetime.seconds
        #expect(provide(&store, key, try publisher(), now: at(end + 0.5)) == nil)
        #expect(store.providers(of: key, now: at(end + 0.5)).count == 2 && store.count == 2)
    }

    @Test mutating func nobodySpeaksForAnother() throws {
        let (publisher, other) = (try publisher(), try random.contact())
        #expect(throws: RecordRefusal.malformed) {
            try store.store(provider: other, of: local, from: publisher, reach: nil, now: at(0))
        }
    }

    @Test mutating func whatIsFarIsOthersToKeep() throws {
        let reach = XORDistance(fraction: 0.001)
        let near = try (0..<400).lazy.map { try self.item($0) }.first {
            $0.key.distance(to: local).fraction < 0.001 * RecordStore.reachSlack
        }
        #expect(put(&store, try #require(near), try publisher(), reach: reach) == nil)
        let far = try (0..<400).lazy.map { try self.item($0) }.first { $0.key.distance(to: local).fraction > 0.5 }
        #expect(put(&store, try #require(far), try publisher(), reach: reach) == .tooFar)
    }

    /// The store's own bound, filled by a publisher of each of as many subnets: the farthest gives way to a nearer one.
    @Test mutating func fullTheFarthestGivesWay() throws {
        while store.count < RecordStore.limit {
            let key = local.random(sharing: 1 + Int(random.next() % 8), using: &random)
            _ = provide(&store, key, try publisher(in: UInt32(store.count)))
        }
        #expect(provide(&store, local.random(sharing: 0, using: &random), try publisher()) == .storeIsFull)
        let near = local.random(sharing: 20, using: &random)
        #expect(provide(&store, near, try publisher()) == nil)
        #expect(store.count == RecordStore.limit && store.providers(of: near, now: at(0)).count == 1)
    }

    /// As many identities and subnets as it takes to fill the store, each at its limit, and keys nearer than any other: what
    /// somebody else has stored stays.
    @Test mutating func whoFloodsTheStoreDisplacesHimself() throws {
        let honest = local.random(sharing: 2, using: &random)
        #expect(provide(&store, honest, try publisher()) == nil)
        let full = UInt32(RecordStore.limit / RecordStore.perSubnet)
        for subnet in 1...full {
            for _ in 0..<RecordStore.perSubnet / RecordStore.perPublisher {
                let greedy = try publisher(in: subnet)
                for _ in 0..<RecordStore.perPublisher {
                    #expect(provide(&store, local.random(sharing: 30, using: &random), greedy) == nil)
                }
            }
        }
        let another = try publisher(in: full + 1)
        for _ in 0..<20 { #expect(provide(&store, local.random(sharing: 30, using: &random), another) == nil) }
        #expect(store.count == RecordStore.limit)
        #expect(store.providers(of: honest, now: at(0)).count == 1)
        // There is room for others still, also for what is farther.
        let far = local.random(sharing: 0, using: &random)
        #expect(provide(&store, far, try publisher()) == nil && store.providers(of: far, now: at(0)).count == 1)
        #expect(store.count == RecordStore.limit)
    }
}

// Outside of the suite, of which a call would hold a copy: each change of the store would copy all of it.

private func put(
    _ store: inout RecordStore, _ item: MutableItem, _ publisher: RecordStore.Publisher, reach: XORDistance? = nil,
    now: NetworkInstant = at(0)
) -> RecordRefusal? {
    do throws(RecordRefusal) {
        try store.store(item, from: publisher, reach: reach, now: now)
        return nil
    } catch { return error }
}

private func provide(
    _ store: inout RecordStore, _ key: DHTKey, _ publisher: RecordStore.Publisher, now: NetworkInstant = at(0)
) -> RecordRefusal? {
    do throws(RecordRefusal) {
        let provider = DHTContact(publisher.nodeID, addresses: [])
        try store.store(provider: provider, of: key, from: publisher, reach: nil, now: now)
        return nil
    } catch { return error }
}
