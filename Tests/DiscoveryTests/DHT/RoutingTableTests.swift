import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PDiscovery

@Suite struct RoutingTableTests {
    private var random = SplitMix64(seed: 7)
    private let local: DHTKey
    private var table: RoutingTable

    init() {
        local = DHTKey.random(using: &random)
        table = RoutingTable(localKey: local)
    }

    /// One in the bucket of that number.
    private mutating func contact(in bucket: Int, at ip: IPAddress? = nil) throws -> DHTContact {
        let key = local.random(sharing: bucket, using: &random)
        return try random.contact(at: ip, key: key)
    }

    /// As many as a bucket holds, all of which have answered.
    private mutating func fill(_ bucket: Int, now: NetworkInstant = at(0)) throws -> [DHTContact] {
        var contacts: [DHTContact] = []
        while contacts.count < Bucket.capacity {
            let next = try contact(in: bucket)
            let branch = bucket + 1 + Bucket.branchBits
            let others = contacts.count { $0.key.commonPrefixLength(with: next.key) >= branch }
            if others < Bucket.perBranch { contacts.append(next) }
        }
        for contact in contacts { _ = table.answered(contact, subnet: contact.subnet, now: now) }
        return contacts
    }

    @Test mutating func entersOnceItHasAnswered() throws {
        let contact = try contact(in: 3)
        #expect(table.heard(of: contact, subnet: contact.subnet) == [.check(contact)])
        #expect(!table.contains(contact.key) && table.closest(to: contact.key).isEmpty)
        // Nobody is asked twice at a time.
        #expect(table.heard(of: contact, subnet: contact.subnet) == [])
        _ = table.answered(contact, subnet: contact.subnet, now: at(1))
        #expect(table.contains(contact.key) && table.count == 1)
        #expect(table.heard(of: contact, subnet: contact.subnet) == [])
        let silent = try self.contact(in: 3)
        #expect(table.heard(of: silent, subnet: silent.subnet) == [.check(silent)])
        _ = table.failed(silent.key)
        #expect(!table.contains(silent.key) && table.count == 1)
    }

    @Test mutating func neverHoldsItself() {
        let own = DHTContact(IdentityKey.generate().nodeID, addresses: [], key: local)
        #expect(table.heard(of: own, subnet: nil) == [])
        _ = table.answered(own, subnet: nil, now: at(0))
        #expect(table.count == 0)
    }

    @Test mutating func whoAnswersIsNotDisplaced() throws {
        let old = try fill(2)
        let late = try (0..<40).map { _ in try contact(in: 2) }
        for contact in late {
            #expect(table.heard(of: contact, subnet: contact.subnet) == [])
            _ = table.answered(contact, subnet: contact.subnet, now: at(1))
        }
        #expect(Set(table.contacts) == Set(old))
    }

    @Test mutating func theLastHeardOfTakesThePlaceOfWhoFails() throws {
        let old = try fill(2)
        let late = try (0..<3).map { _ in try contact(in: 2) }
        for contact in late { _ = table.heard(of: contact, subnet: contact.subnet) }
        #expect(table.failed(old[0].key) == [.check(late[2])])
        #expect(!table.contains(old[0].key) && !table.contains(late[2].key))
        _ = table.answered(late[2], subnet: late[2].subnet, now: at(2))
        #expect(table.contains(late[2].key) && table.count == Bucket.capacity)
    }

    @Test mutating func oneThatFailsNowAndThenStays() throws {
        let contact = try contact(in: 1)
        _ = table.answered(contact, subnet: contact.subnet, now: at(0))
        for _ in 1..<RoutingTable.failureLimit { _ = table.failed(contact.key) }
        #expect(table.contains(contact.key))
        _ = table.answered(contact, subnet: contact.subnet, now: at(1))
        for _ in 1..<RoutingTable.failureLimit { _ = table.failed(contact.key) }
        #expect(table.contains(contact.key))
        _ = table.failed(contact.key)
        #expect(!table.contains(contact.key) && table.count == 0)
    }

    @Test mutating func aSubnetHasItsShareOfABucketAndOfTheTable() throws {
        let prefix: UInt32 = 0x0801_0100
        var taken = 0
        for bucket in 0..<8 {
            for host in 0..<5 {
                let contact = try contact(in: bucket, at: IPAddress(v4: prefix + UInt32(bucket * 8 + host)))
                _ = table.answered(contact, subnet: contact.subnet, now: at(0))
            }
            taken = min(taken + Bucket.perSubnet, RoutingTable.perSubnet)
            #expect(table.count == taken)
        }
        // Waiting they have no more places than that either: those of others are not crowded out.
        let other = try contact(in: 0)
        _ = try fill(0)
        _ = table.heard(of: other, subnet: other.subnet)
        for host in 100..<200 {
            let contact = try contact(in: 0, at: IPAddress(v4: prefix + UInt32(host)))
            _ = table.heard(of: contact, subnet: contact.subnet)
        }
        let victim = try #require(table.contacts.first { $0.subnet != Subject(IPAddress(v4: prefix)).subnet })
        #expect(table.failed(victim.key) == [.check(other)])
    }

    /// Identities that crowd round a key get a few places of the bucket in which it lies, and none of those where honest nodes
    /// wait.
    @Test mutating func aCrowdRoundAKeyHasItsShareOfABucket() throws {
        let key = local.random(sharing: 3, using: &random)
        let crowd = try (0..<40).map { _ in try random.contact(key: key.random(sharing: 30, using: &random)) }
        let honest = try (0..<10).map { _ in try contact(in: 3) }
        for contact in crowd { _ = table.heard(of: contact, subnet: contact.subnet) }
        for contact in crowd { _ = table.answered(contact, subnet: contact.subnet, now: at(0)) }
        for contact in honest { _ = table.answered(contact, subnet: contact.subnet, now: at(0)) }
        #expect(crowd.count { table.contains($0.key) } == Bucket.perBranch)
        #expect(honest.allSatisfy { table.contains($0.key) })
        #expect(honest.allSatisfy(table.closest(to: key).contains))
    }

    @Test mutating func whoMovesIntoAFullSubnetLeaves() throws {
        let crowded = Subject(IPAddress(v4: 0x0801_0101)).subnet
        let inside = try (0..<2).map { try contact(in: 4, at: IPAddress(v4: 0x0801_0110 + UInt32($0))) }
        let mover = try contact(in: 4)
        for contact in inside + [mover] { _ = table.answered(contact, subnet: contact.subnet, now: at(0)) }
        #expect(table.count == 3)
        _ = table.answered(mover, subnet: crowded, now: at(1))
        #expect(table.count == 2 && !table.contains(mover.key))
        // Who left made room again.
        _ = (0..<RoutingTable.failureLimit).map { _ in table.failed(inside[0].key) }
        _ = table.answered(mover, subnet: crowded, now: at(2))
        #expect(table.contains(mover.key))
    }

    @Test mutating func neighboursAreNoSubnet() throws {
        for host in 0..<UInt32(Bucket.capacity) {
            let contact = try contact(in: 0, at: IPAddress(v4: 0x0a00_0001 + host))
            _ = table.answered(contact, subnet: nil, now: at(0))
        }
        #expect(table.count == Bucket.capacity)
    }

    @Test mutating func theClosestAreThose() throws {
        let contacts = try random.contacts(2_000)
        for contact in contacts { _ = table.answered(contact, subnet: contact.subnet, now: at(0)) }
        let entries = table.contacts
        #expect(entries.count == table.count && table.bucketCounts.allSatisfy { $0 <= Bucket.capacity })
        for round in 0..<200 {
            let target =
                round % 2 == 0
                ? DHTKey.random(using: &random) : local.random(sharing: round % 14, using: &random)
            #expect(table.closest(to: target) == entries.nearest(to: target, DHT.replication))
        }
        #expect(table.closest(to: local, count: 5) == entries.nearest(to: local, 5))
    }

    @Test mutating func whoFailedLastIsToldLast() throws {
        let contacts = try fill(0)
        _ = table.failed(contacts[3].key)
        #expect(!table.closest(to: contacts[3].key, count: 19).contains(contacts[3]))
        #expect(table.closest(to: contacts[3].key).count == DHT.replication)
    }

    /// The bound of everything that strangers push: entries, those that wait, and checks.
    @Test mutating func aFloodFillsNoMoreThanItsBounds() throws {
        var checks = 0
        for _ in 0..<5_000 {
            let contact = try random.contact()
            checks += table.heard(of: contact, subnet: contact.subnet).count
        }
        #expect(checks == RoutingTable.checkLimit && table.count == 0)
        for _ in 0..<5_000 {
            let contact = try random.contact()
            _ = table.answered(contact, subnet: contact.subnet, now: at(0))
        }
        #expect(table.bucketCounts.max() == Bucket.capacity && table.bucketCounts.count <= DHTKey.bitCount)
    }

    @Test mutating func theOldestIsCheckedOnceItWasSilent() throws {
        let contacts = try (0..<3).map { try contact(in: $0) }
        for (second, contact) in contacts.enumerated() {
            _ = table.answered(contact, subnet: contact.subnet, now: at(Double(second)))
        }
        table.lookedUp(local, now: at(550))
        for contact in contacts { table.lookedUp(contact.key, now: at(550)) }
        let interval = RoutingTable.checkInterval.seconds
        _ = table.timerFired(now: at(550))
        #expect(table.timerFired(now: at(interval - 1)) == [])
        #expect(table.wake == at(interval))
        #expect(table.timerFired(now: at(interval)) == [.check(contacts[0])])
        #expect(table.timerFired(now: at(interval)) == [])
        #expect(table.timerFired(now: at(interval + 1)) == [.check(contacts[1])])
        _ = table.answered(contacts[0], subnet: contacts[0].subnet, now: at(interval + 1))
        _ = table.failed(contacts[1].key)
        #expect(table.timerFired(now: at(interval + 2)) == [.check(contacts[1])])
        #expect(table.timerFired(now: at(interval + 3)) == [.check(contacts[2])])
    }

    @Test mutating func nobodyLeavesWhileNobodyAnswers() throws {
        let contacts = try random.contacts(60)
        for contact in contacts { _ = table.answered(contact, subnet: contact.subnet, now: at(0)) }
        let count = table.count
        for _ in 0..<10 { for contact in table.contacts { _ = table.failed(contact.key) } }
        #expect(table.count > count - RoutingTable.outageThreshold)
        let left = table.count
        _ = table.answered(table.contacts[0], subnet: table.contacts[0].subnet, now: at(1))
        for _ in 0..<3 { for contact in table.contacts.suffix(4) { _ = table.failed(contact.key) } }
        #expect(table.count < left)
    }

    @Test mutating func theSurroundingsAreLookedUpFirstThenEachBucket() throws {
        #expect(table.wake == nil)
        for bucket in [0, 2] {
            let contact = try contact(in: bucket)
            _ = table.answered(contact, subnet: contact.subnet, now: at(0))
        }
        #expect(table.wake == at(0))
        let spacing = RoutingTable.refreshSpacing.seconds
        #expect(table.timerFired(now: at(0)) == [.refresh(bucket: nil)])
        #expect(table.timerFired(now: at(spacing)) == [.refresh(bucket: 0)])
        #expect(table.timerFired(now: at(2 * spacing)) == [.refresh(bucket: 1)])
        #expect(table.timerFired(now: at(3 * spacing)) == [.refresh(bucket: 2)])
        #expect(table.timerFired(now: at(4 * spacing)) == [])
        // Sparse as they are, the next time is soon; who has been looked up for another reason is not due.
        let sparse = RoutingTable.sparseRefreshInterval.seconds
        #expect(table.wake == at(sparse))
        let key = table.target(inBucket: 0, using: &random)
        #expect(local.commonPrefixLength(with: key) == 0)
        table.lookedUp(key, now: at(sparse))
        table.lookedUp(local, now: at(sparse))
        let actions = table.timerFired(now: at(sparse + 2 * spacing))
        #expect(actions.contains(.refresh(bucket: 1)) && !actions.contains(.refresh(bucket: 0)))
    }
}
