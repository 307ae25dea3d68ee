import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PSessions

@Suite struct ConnectionManagerMembersTests: ConnectionManagerFixture {
    @Test func aMemberWithManyIdentitiesMakesRoomForOthersOnceTheyAreAdmitted() {
        var manager = full([1])
        manager.used(1, now: at(5))
        // Nobody is closed for a stranger; and of the same address nobody more is taken.
        #expect(open(&manager, entry(17, of: 17, from: 2)) == [])
        #expect(open(&manager, entry(18, of: 18, from: 1)) == nil)
        #expect(manager.count == 17)
        #expect(admit(&manager, 17) == [2])
        #expect(manager.count == 16)
    }

    @Test func whatIsInUseGoesLast() {
        var manager = full([1])
        manager.committed(1, 1)
        _ = open(&manager, entry(17, of: 17, from: 2))
        #expect(admit(&manager, 17, busy: [2, 3]) == [4])
        for id: UInt64 in 5...16 { manager.committed(id, 1) }
        _ = open(&manager, entry(18, of: 18, from: 2))
        #expect(admit(&manager, 18, busy: [2, 3]) == [2])
    }

    /// An office behind one NAT: nobody pushes out a colleague, and who was pushed out pushes nobody out.
    @Test func colleaguesDontGiveWayToEachOther() {
        var manager = full([1])
        for id: UInt64 in 17...40 {
            guard open(&manager, entry(id, of: Int(id), from: UInt32(id))) != nil else { break }
            admit(&manager, id)
        }
        // Down to the share of an address, an eighth; the rest are others by now.
        #expect((1...16).count { manager.contains($0) } == 2)
        for _ in 1...5 { #expect(open(&manager, entry(99, of: 60, from: 1)) == nil) }
    }

    @Test func aSubnetHasAShareToo() {
        var manager = inRealm()
        for id: UInt64 in 1...16 {
            var neighbour = entry(id, of: Int(id), from: 1)
            neighbour.subject = Subject(IPAddress(v4: 0x0102_0300 + UInt32(id)))
            _ = open(&manager, neighbour)
            admit(&manager, id)
        }
        _ = open(&manager, entry(17, of: 17, from: 9))
        #expect(admit(&manager, 17) == [1])
        var neighbour = entry(18, of: 18, from: 1)
        neighbour.subject = Subject(IPAddress(v4: 0x0102_03F0))
        #expect(open(&manager, neighbour) == nil)
    }

    @Test func whatComesThroughOneRelayIsOneSubject() {
        var manager = inRealm()
        for id: UInt64 in 1...16 {
            var relayed = entry(id, of: Int(id), from: 1)
            relayed.subject = .relay(7)
            _ = open(&manager, relayed)
            admit(&manager, id)
        }
        var relayed = entry(17, of: 17, from: 1)
        relayed.subject = .relay(7)
        #expect(open(&manager, relayed) == nil)
        #expect(open(&manager, entry(18, of: 18, from: 2)) == [])
        #expect(admit(&manager, 18) == [1])
        // One that has come to a path of its own counts there.
        manager.moved(2, to: Subject(IPAddress(v4: 0x0203_0400)))
        #expect(open(&manager, entry(19, of: 19, from: 3)) == [])
        #expect(admit(&manager, 19) == [3])
    }

    @Test func protectedNodesGiveWayToNobodyAndHaveThePlaceOfAMember() {
        var manager = full([1])
        for id in 1...16 {
            let isProtected = manager.protect(Self.nodes[id], for: .tag("own"))
            #expect(isProtected)
        }
        #expect(open(&manager, entry(17, of: 17, from: 2)) == nil)
        manager.unprotect(Self.nodes[9], for: .tag("own"))
        // Alone it holds no more than anybody's share.
        #expect(open(&manager, entry(17, of: 17, from: 2)) == nil)
        var crowded = full([1])
        let isProtected = crowded.protect(Self.nodes[20], for: .relay)
        #expect(isProtected)
        #expect(open(&crowded, entry(20, of: 20, from: 2)) == [1])
    }

    /// Several prove themselves at once and there is room for one.
    @Test func whoComesTooLateIsClosedItself() {
        var manager = full([1, 2, 3, 4, 5, 6, 7, 8])
        manager.close(1)
        _ = open(&manager, entry(17, of: 17, from: 20))
        _ = open(&manager, entry(18, of: 18, from: 21))
        #expect(admit(&manager, 17) == [])
        #expect(admit(&manager, 18) == [18])
        #expect(manager.count == 16)
    }

    /// However many strangers come while members fill everything: each has the time to prove itself.
    @Test func newcomersHaveTheStrangersShareOnTop() {
        var manager = full([1])
        for id: UInt64 in 17...22 { #expect(open(&manager, entry(id, of: Int(id), from: UInt32(id))) == []) }
        #expect(manager.count == 22 && manager.strangerCount == 6)
        #expect(open(&manager, entry(23, of: 23, from: 23)) == [17])
    }
}
