import DeP2PDiscovery
import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PRealm

/// What members read in a record of the realm's, and outsiders and other members can make of it.
@Suite struct RealmSlotTests {
    private let realm = RealmKey.generate()
    private let member = IdentityKey.generate()
    private let epoch = RealmEpoch(at: 1_800_000_000_000)
    private let random = RandomSource.system

    private func slot(_ realm: RealmKey? = nil, of nodeID: NodeID? = nil, _ epoch: RealmEpoch? = nil) throws
        -> RealmSlot
    {
        try #require(RealmSlot(of: nodeID ?? member.nodeID, in: realm ?? self.realm, epoch: epoch ?? self.epoch))
    }

    private func envelope(of key: IdentityKey, seq: UInt64 = 7, addresses: Int = 2) throws -> [UInt8] {
        let all = (0..<addresses).map { Address.quic(IPAddress(v4: 0x2d00_0001 + UInt32($0)), port: 4001) }
        return try PeerRecord(nodeID: key.nodeID, seq: seq, addresses: all).sealed(by: key)
    }

    private func item(seq: UInt64 = 7, addresses: Int = 2) throws -> MutableItem {
        try #require(
            try slot().item(sealing: envelope(of: member, seq: seq, addresses: addresses), seq: seq, random: random))
    }

    @Test func aMemberReadsWhatAnotherHasSealed() throws {
        let record = try #require(try slot().record(in: try item()))
        #expect(record.nodeID == member.nodeID && record.addresses.count == 2 && record.seq == 7)
    }

    @Test func everyItemIsAsLongAsTheLimitAllows() throws {
        for count in [0, 1, 8, 30] {
            let item = try item(addresses: count)
            #expect(item.value.count == 852 && item.salt.isEmpty)
        }
        let long = [UInt8](repeating: 1, count: RealmSlot.contentLength + 1)
        #expect(try slot().item(sealing: long, seq: 1, random: random) == nil)
        #expect(try slot().item(sealing: [1], seq: .max, random: random) == nil)
    }

    @Test func nobodyElseReadsIt() throws {
        let item = try item()
        #expect(try slot(.generate()).record(in: item) == nil)
        #expect(try slot(of: IdentityKey.generate().nodeID).record(in: item) == nil)
        #expect(try slot(nil, of: nil, RealmEpoch(at: 1_800_000_000_000 + RealmEpoch.length)).record(in: item) == nil)
    }

    /// Neither who it is nor where, nor the realm; and two epochs, or two members, have nothing in common.
    @Test func theCuriousLearnNothing() throws {
        let item = try item()
        let seen = item.publicKey + item.value + item.signature
        let secrets = [
            member.nodeID.bytes, Array(member.nodeID.bytes.suffix(32)), realm.id.bytes, [0x2d, 0, 0, 1, 0x91, 0x02],
        ]
        for secret in secrets { #expect(!contains(seen, secret)) }
        let keys = try [
            slot().key, slot(nil, of: IdentityKey.generate().nodeID).key, slot(.generate()).key,
            slot(nil, of: nil, RealmEpoch(at: 0)).key,
        ]
        #expect(Set(keys).count == keys.count)
        // The same again looks otherwise.
        #expect(try self.item().value != item.value)
    }

    private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
        bytes.indices.contains { bytes[$0...].starts(with: part) }
    }

    @Test func aMemberCanMakeUpNoRecordOfAnother() throws {
        let forger = IdentityKey.generate()
        let forged = try slot().item(sealing: envelope(of: forger), seq: 7, random: random)
        #expect(try slot().record(in: try #require(forged)) == nil)
        // An old record under a new number.
        let renewed = try slot().item(sealing: envelope(of: member, seq: 6), seq: 8, random: random)
        #expect(try slot().record(in: try #require(renewed)) == nil)
    }

    @Test func whatAStoreHasChangedIsNoRecord() throws {
        let (slot, item) = (try slot(), try item())
        for place in stride(from: 0, to: item.value.count, by: 7) {
            var value = item.value
            value[place] ^= 1
            let changed = try MutableItem(
                publicKey: item.publicKey, salt: [], seq: item.seq, value: value, signature: item.signature)
            #expect(slot.record(in: changed) == nil)
        }
        for length in [1, 4, 5, 40, 851] {
            let short = try MutableItem(
                publicKey: item.publicKey, salt: [], seq: item.seq, value: Array(item.value.prefix(length)),
                signature: item.signature)
            #expect(slot.record(in: short) == nil)
        }
        let raised = try MutableItem(
            publicKey: item.publicKey, salt: [], seq: .max, value: item.value, signature: item.signature)
        #expect(slot.record(in: raised) == nil)
    }

    /// Who knows the realm key signs anything, of any length and with any number.
    @Test func whatAMemberHasSignedMayBeAnything() throws {
        let slot = try slot()
        let signer = try #require(
            realm.deriveIdentity(
                label: "record-member",
                info: (0..<8).map { UInt8(truncatingIfNeeded: epoch.number >> (56 - 8 * UInt64($0))) }
                    + member.nodeID.bytes))
        #expect(signer.publicKey.data == slot.key)
        for value in [Array("0:".utf8), Array("848:".utf8), Array("848:".utf8) + [UInt8](repeating: 0, count: 848)] {
            #expect(slot.record(in: try MutableItem(by: signer, salt: [], seq: 1, value: value)) == nil)
        }
    }

    /// A version that writes longer ones.
    @Test func recordsOfOtherLengthsAreRead() throws {
        let info =
            (0..<8).map { UInt8(truncatingIfNeeded: epoch.number >> (56 - 8 * UInt64($0))) } + member.nodeID.bytes
        let signer = try #require(realm.deriveIdentity(label: "record-member", info: info))
        let seal = realm.deriveSealingKey(label: "record-member-seal", info: info)
        let envelope = try envelope(of: member)
        for padding in [0, 1, 700 - envelope.count] {
            let plain =
                [UInt8(envelope.count >> 8), UInt8(envelope.count & 0xff)] + envelope
                + [UInt8](repeating: 0, count: padding)
            let sealed = seal.seal(plain, context: signer.publicKey.data, nonce: [UInt8](1...24))
            let value = Array("\(sealed.count):".utf8) + sealed
            let item = try MutableItem(by: signer, salt: [], seq: 7, value: value)
            #expect(try slot().record(in: item)?.nodeID == member.nodeID)
            let longer = try MutableItem(by: signer, salt: [], seq: 7, value: value + [0])
            #expect(try slot().record(in: longer) == nil)
            let padded = try MutableItem(by: signer, salt: [], seq: 7, value: Array("0".utf8) + value)
            #expect(try slot().record(in: padded) == nil)
        }
    }

    @Test func epochsOverlap() {
        let day = RealmEpoch.length
        #expect(RealmEpoch.published(at: 10 * day + day / 2).map(\.number) == [10])
        #expect(Set(RealmEpoch.published(at: 10 * day + 1).map(\.number)) == [9, 10])
        #expect(Set(RealmEpoch.published(at: 11 * day - 1).map(\.number)) == [10, 11])
        #expect(RealmEpoch.published(at: 0).map(\.number) == [0])
        #expect(!RealmEpoch.published(at: .max).isEmpty)
    }

    /// A relay that ends its sessions once a second.
    @Test func addressesThatComeAndGoArePublishedEverMoreSeldom() {
        var machine = PublishingMachine()
        var (now, count) = (NetworkInstant(nanoseconds: 1), 0)
        func pass(_ seconds: Int, changing: Bool) {
            for _ in 0..<seconds * 10 {
                now = now.advanced(by: .milliseconds(100))
                if changing, now.nanoseconds % 1_000_000_000 < 100_000_000 { machine.changed(now: now) }
                guard machine.timerFired(now: now) == [.publish] else { continue }
                count += 1
                machine.ended(isPlaced: true, now: now)
            }
        }
        machine.setWanted(true, now: now)
        pass(600, changing: true)
        #expect(count < 30 && count > 15, "\(count) in ten minutes")
        // The last change is told, and after a while of calm the next one at once.
        pass(90, changing: false)
        let before = count
        machine.changed(now: now)
        pass(1, changing: false)
        #expect(count == before + 1)
    }

    @Test func itIsPublishedAgainInTimeAndSoonerWhenNobodyTookIt() {
        var machine = PublishingMachine()
        var now = NetworkInstant(nanoseconds: 1)
        machine.changed(now: now)
        #expect(machine.wake == nil)
        machine.setWanted(true, now: now)
        #expect(machine.wake == now && machine.timerFired(now: now) == [.publish] && machine.wake == nil)
        machine.ended(isPlaced: false, now: now)
        #expect(machine.wake == now.advanced(by: PublishingMachine.firstRetry))
        now = now.advanced(by: PublishingMachine.firstRetry)
        #expect(machine.timerFired(now: now) == [.publish])
        machine.changed(now: now)
        machine.ended(isPlaced: true, now: now)
        #expect(machine.wake == now.advanced(by: PublishingMachine.settling))
        _ = machine.timerFired(now: now.advanced(by: PublishingMachine.settling))
        machine.ended(isPlaced: true, now: now)
        #expect(machine.wake == now.advanced(by: PublishingMachine.interval))
        machine.setWanted(false, now: now)
        #expect(machine.wake == nil && machine.timerFired(now: .distantFuture) == [])
    }
}
