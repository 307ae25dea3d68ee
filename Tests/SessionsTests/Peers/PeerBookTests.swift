import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PSessions

@Suite struct PeerBookTests {
    private let node = IdentityKey.generate().nodeID
    private let relay = IdentityKey.generate().nodeID
    /// Nothing here is subject to it.
    private let anywhere = AddressRule(interfaces: [])
    private static let day: UInt64 = 86_400_000

    private func record(_ sequence: UInt64, _ addresses: [String], of node: NodeID? = nil) throws -> PeerRecord {
        try PeerRecord(nodeID: node ?? self.node, seq: sequence, addresses: addresses.map { try Address($0) })
    }

    private func quic(_ host: String) -> String { "/ip4/\(host)/udp/4001/quic-v1" }

    @discardableResult
    private func tell(
        _ book: inout PeerBook, _ record: PeerRecord, from voucher: AddressRule.Voucher = .stranger,
        at subject: Subject? = nil, now: UInt64 = 0
    ) -> Bool {
        book.learn(record, from: voucher, subject: subject, now: now)
    }

    /// Without the NodeID at the end.
    private func dialled(_ book: PeerBook, _ node: NodeID? = nil, now: UInt64 = 0) -> [String] {
        book.addresses(of: node ?? self.node, by: anywhere, now: now).compactMap { $0.withoutNodeID?.description }
    }

    @Test func theLaterRecordCounts() throws {
        var book = PeerBook()
        #expect(book.listed(of: node).isEmpty && book.relays(of: node, by: anywhere, now: 0).isEmpty)
        #expect(tell(&book, try record(5, [quic("45.1.1.1")])))
        #expect(!tell(&book, try record(4, [quic("45.1.1.2")])))
        #expect(!tell(&book, try record(5, [quic("45.1.1.2")])))
        #expect(book.listed(of: node).map(\.description) == ["\(quic("45.1.1.1"))/p2p/\(node)"])
        #expect(!tell(&book, try record(6, [quic("45.1.1.1")])))
        #expect(tell(&book, try record(7, [])))
        #expect(book.listed(of: node).isEmpty)
    }

    @Test func relaysAreNamedOnceForEachWay() throws {
        var book = PeerBook()
        let ways = ["\(quic("45.1.1.9"))/p2p/\(relay)", "/ip4/45.1.1.9/tcp/443/tls/p2p/\(relay)"]
        let circuits = ways.map { $0 + "/p2p-circuit" }
        tell(&book, try record(1, [quic("45.1.1.1")] + circuits + circuits))
        #expect(book.relays(of: node, by: anywhere, now: 0).map(\.description) == ways)
        let relayed = book.addresses(of: node, by: anywhere, now: 0).filter(\.isRelayed)
        #expect(relayed.count == 2 && relayed.allSatisfy { $0.nodeID == node })
    }

    @Test func manyInterfacesDoNotCrowdOutTheRelays() throws {
        var book = PeerBook()
        let own = (1...60).map { quic("45.1.1.\($0)") }
        tell(&book, try record(1, own + ["\(quic("45.1.2.1"))/p2p/\(relay)/p2p-circuit"]))
        #expect(book.listed(of: node).count == KnownPeer.recordAddresses)
        #expect(book.relays(of: node, by: anywhere, now: 0).count == 1)
        let relays = (1...60).map { "\(quic("45.1.2.\($0)"))/p2p/\(relay)/p2p-circuit" }
        tell(&book, try record(2, relays + own.prefix(4)))
        #expect(book.listed(of: node).count(where: \.isRelayed) == KnownPeer.recordAddresses / 2)
    }

    // MARK: Room

    @Test func theNodeHeardOfLongestAgoGivesWay() throws {
        var book = PeerBook()
        let nodes = (0..<PeerBook.nodeLimit + 1).map { _ in IdentityKey.generate().nodeID }
        for node in nodes { tell(&book, try record(1, [quic("45.1.1.1")], of: node)) }
        #expect(book.learnedCount == PeerBook.nodeLimit)
        #expect(book.listed(of: nodes[0]).isEmpty)
        #expect(nodes.dropFirst().allSatisfy { !book.listed(of: $0).isEmpty })
    }

    /// However many identities strangers make up.
    @Test func strangersDontMakeMembersForgotten() throws {
        var book = PeerBook()
        func tell(_ node: NodeID, _ voucher: AddressRule.Voucher) throws -> Bool {
            self.tell(&book, try record(1, [quic("45.1.1.1")], of: node), from: voucher)
        }
        let members = (0..<PeerBook.nodeLimit).map { _ in IdentityKey.generate().nodeID }
        _ = try tell(members[0], .member)
        for _ in 0..<PeerBook.nodeLimit + 100 { _ = try tell(IdentityKey.generate().nodeID, .stranger) }
        #expect(!book.listed(of: members[0]).isEmpty)
        // Members take the strangers' places, to the last; then one another's.
        for member in members.dropFirst() { _ = try tell(member, .member) }
        #expect(members.allSatisfy { !book.listed(of: $0).isEmpty })
        let isTold = try [tell(IdentityKey.generate().nodeID, .stranger), tell(IdentityKey.generate().nodeID, .member)]
        #expect(isTold == [false, true] && book.listed(of: members[0]).isEmpty)
    }

    /// Who makes up identities displaces those that they made up, and nobody else's; for a member there is more room.
    @Test(arguments: [AddressRule.Voucher.stranger, .member])
    func aSubjectHasItsShare(_ voucher: AddressRule.Voucher) throws {
        var book = PeerBook()
        let share = voucher == .stranger ? PeerBook.Share.strangers : PeerBook.Share.others
        let other = IdentityKey.generate().nodeID
        tell(
            &book, try record(1, [quic("45.9.1.1")], of: other), from: voucher, at: Subject(IPAddress(v4: 0x2d09_0001)))
        for _ in 0..<share.perSubject + 5 {
            let made = IdentityKey.generate().nodeID
            tell(
                &book, try record(1, [quic("45.1.1.1")], of: made), from: voucher,
                at: Subject(IPAddress(v4: 0x2d01_0101)))
        }
        #expect(book.learnedCount == share.perSubject + 1 && !book.listed(of: other).isEmpty)
        // Nor does it help to have the whole subnet's addresses.
        for host in 0..<UInt32(share.perSubnet) {
            let made = IdentityKey.generate().nodeID
            let subject = Subject(IPAddress(v4: 0x2d01_0100 + host % 256))
            tell(&book, try record(1, [quic("45.1.1.1")], of: made), from: voucher, at: subject)
        }
        #expect(book.learnedCount == share.perSubnet + 1 && !book.listed(of: other).isEmpty)
    }

    @Test func whatTheUserSaysIsDisplacedByNothing() throws {
        var book = PeerBook()
        let mine = try Address("\(quic("10.0.0.7"))/p2p/\(node)")
        book.give(mine, of: node, as: .user, now: 0)
        tell(&book, try record(1, (1...60).map { quic("45.1.1.\($0)") }), from: .member)
        for _ in 0..<PeerBook.nodeLimit + 10 {
            tell(&book, try record(1, [quic("45.1.1.1")], of: IdentityKey.generate().nodeID), from: .member)
        }
        #expect(dialled(book, now: 1_000 * Self.day) == [quic("10.0.0.7")])
    }

    @Test func whatTheUserSaysIsBoundedToo() throws {
        var book = PeerBook()
        for port in 1...PeerBook.givenAddresses {
            #expect(book.give(try Address("/ip4/10.0.0.7/udp/\(port)/quic-v1"), of: node, as: .user, now: 0))
        }
        #expect(!book.give(try Address(quic("10.0.0.8")), of: node, as: .user, now: 0))
        #expect(book.given(of: node).count == PeerBook.givenAddresses)
        for _ in 1..<PeerBook.givenNodes {
            #expect(book.give(try Address(quic("10.0.0.8")), of: IdentityKey.generate().nodeID, as: .user, now: 0))
        }
        #expect(!book.give(try Address(quic("10.0.0.8")), of: IdentityKey.generate().nodeID, as: .user, now: 0))
    }

    @Test func whatANodeSaysOfItselfIsBounded() {
        var book = PeerBook()
        let names = (1...100).map { "/some/rather/long/name/of/a/protocol/\($0)" }
        book.describe(
            node, protocols: ["/a\n/b"] + names, agent: String(repeating: "x", count: 1_000), from: .stranger,
            subject: nil)
        let peer = book.peer(node)
        #expect(peer?.agent.utf8.count == KnownPeer.agentBytes)
        #expect(peer?.protocols.first == names[0], "no name has lines")
        #expect((peer?.protocols.joined(separator: "\n").utf8.count ?? .max) <= KnownPeer.protocolBytes)
    }

    // MARK: The rule

    @Test func aStrangersRecordLeadsOutwardsOnly() throws {
        var book = PeerBook()
        let rule = AddressRule(interfaces: [
            InterfaceAddress(v4(192, 168, 1, 10, 0), prefixLength: 24),
            InterfaceAddress(v4(127, 0, 0, 1, 0), prefixLength: 8),
        ])
        let hosts = ["127.0.0.1", "192.168.1.1", "10.0.0.1", "169.254.169.254", "45.1.1.1"]
        let own = hosts.map(quic)
        tell(&book, try record(1, own + own.map { "\($0)/p2p/\(relay)/p2p-circuit" }))
        let wanted = try Address("\(quic("45.1.1.1"))/p2p/\(relay)")
        #expect(book.relays(of: node, by: rule, now: 0) == [wanted])
        #expect(book.addresses(of: node, by: rule, now: 0).count == 2)
        // The same node, once it is admitted: what it knows of the subnet counts.
        let relays = book.relays(of: node, by: rule, from: .member, now: 0).map(\.description)
        #expect(relays == [own[1], own[4]].map { "\($0)/p2p/\(relay)" })
        tell(&book, try record(1, own), from: .member)
        #expect(
            book.addresses(of: node, by: rule, now: 0).count == 4,
            "the word is worth what it was when it was given, or more")
        tell(&book, try record(2, own), from: .stranger)
        #expect(book.addresses(of: node, by: rule, now: 0).count == 1)
        tell(&book, try record(3, own), from: .sameHost)
        #expect(
            !book.addresses(of: node, by: rule, now: 0).contains { $0.description.contains("127.0.0.1") },
            "a listener's port on this machine is another one with each start")
    }

    // MARK: What came of it

    @Test func whatWorkedIsTriedFirstAndWhatFailedLast() throws {
        var book = PeerBook()
        let all = (1...4).map { quic("45.1.1.\($0)") }
        tell(&book, try record(1, all))
        book.failed(at: try Address(all[0]), of: node, now: 1)
        book.connected(to: try Address(all[2]), of: node, now: 2)
        #expect(dialled(book) == [all[2], all[1], all[3], all[0]])
        // What came of an address outlives the record that named it, in the next that does.
        tell(&book, try record(2, Array(all.prefix(3))))
        #expect(dialled(book) == [all[2], all[1], all[0]])
    }

    /// Where a connection was made is known from then on, whoever named it: a few of each node.
    @Test func whereTheNodeWasReachedIsRemembered() throws {
        var book = PeerBook()
        for host in 1...KnownPeer.provenAddresses + 2 {
            book.connected(to: try Address("\(quic("10.0.0.\(host)"))/p2p/\(node)"), of: node, now: UInt64(host))
        }
        #expect(dialled(book) == [6, 5, 4, 3].map { quic("10.0.0.\($0)") })
        #expect(book.peer(node)?.isLasting == true)
        tell(&book, try record(1, [quic("45.1.1.1")]))
        #expect(dialled(book).count == KnownPeer.provenAddresses + 1)
        #expect(dialled(book, now: KnownPeer.recordLifetime).count == KnownPeer.provenAddresses, "records age")
        #expect(dialled(book, now: KnownPeer.provenLifetime + 10).isEmpty, "and so does the rest")
    }

    /// Its record may name the same address, on a word that leads nowhere: it has been there all the same.
    @Test func whereTheNodeWasReachedIsDialledWhateverItsRecordNames() throws {
        var book = PeerBook()
        let all = [quic("127.0.0.1"), quic("10.9.9.9")]
        for (index, address) in all.enumerated() {
            book.connected(to: try Address(address), of: node, now: UInt64(index))
        }
        for voucher in [AddressRule.Voucher.stranger, .member, .sameHost] {
            tell(&book, try record(UInt64(voucher.rawValue) + 1, all), from: voucher)
            #expect(dialled(book) == all.reversed())
        }
        book.failed(at: try Address(all[1]), of: node, now: 5)
        #expect(dialled(book) == all)
        book.connected(to: try Address(all[1]), of: node, now: 6)
        #expect(dialled(book) == all.reversed())
        // And so it is in the next run.
        let peer = try #require(book.peer(node).flatMap { KnownPeer(stored: $0.stored) })
        #expect(peer.addresses == book.peer(node)?.addresses)
        var next = PeerBook()
        next.restore(peer, of: node)
        #expect(dialled(next) == all.reversed() && next.listed(of: node).count == 2)
        let mine = try #require(next.peer(node))
        #expect(mine.merged(with: peer) == peer && peer.merged(with: KnownPeer()).addresses.count == 4)
        // Once in the list of what is tried.
        #expect(mine.ordered(now: 0).map(\.address.description) == all.reversed())
    }

    @Test func whatStrangersSayEndsWithTheProcess() throws {
        var book = PeerBook()
        tell(&book, try record(1, [quic("45.1.1.1")]))
        #expect(book.peer(node)?.isLasting == false)
        tell(&book, try record(2, [quic("45.1.1.1")]), from: .member)
        #expect(book.peer(node)?.isLasting == true)
    }

    // MARK: As bytes

    private func fullest() throws -> KnownPeer {
        var book = PeerBook()
        let name = String(repeating: "a", count: 60)
        let names = (0..<40).map { "/dns/\(name).\(name).\(name).a\($0)/udp/4001/quic-v1" }
        book.learn(
            try record(.max, names), signed: [UInt8](repeating: 7, count: KnownPeer.recordBytes), from: .sameHost,
            subject: nil, now: .max / 2)
        book.describe(
            node, protocols: (0..<200).map { "/protocol/\($0)" }, agent: String(repeating: "x", count: 99),
            from: .member, subject: nil)
        for host in 1...9 { book.connected(to: try Address(quic("10.0.0.\(host)")), of: node, now: .max / 2) }
        book.failed(at: try Address(quic("10.0.0.9")), of: node, now: .max / 2 + 1)
        book.saw(node, now: .max / 2)
        return try #require(book.peer(node))
    }

    @Test func aPeerIsReadAsItWasWritten() throws {
        var peer = try fullest()
        #expect(peer.stored.count <= KnownPeer.storedBytes)
        let read = try #require(KnownPeer(stored: peer.stored))
        peer.voucher = .member
        #expect(read == peer, "that it is on this machine is nothing to remember")
        #expect(KnownPeer(stored: KnownPeer().stored) == KnownPeer())
    }

    /// Whatever a damaged disk holds.
    @Test func noBytesTrap() throws {
        let bytes = try fullest().stored
        for count in stride(from: 0, to: bytes.count, by: 31) { _ = KnownPeer(stored: Array(bytes.prefix(count))) }
        var random = SplitMix64(seed: 4)
        for _ in 0..<500 {
            var broken = bytes
            for _ in 0..<3 {
                broken[Int.random(in: 0..<broken.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = KnownPeer(stored: broken)
        }
        var later = bytes
        later[0] = 2
        #expect(KnownPeer(stored: later) == nil)
    }

    // MARK: Two that know it

    @Test func twoKnowledgesOfANodeAreOne() throws {
        var left = PeerBook()
        var right = PeerBook()
        tell(&left, try record(1, [quic("45.1.1.1")]), from: .member)
        left.connected(to: try Address(quic("10.0.0.1")), of: node, now: 5)
        tell(&right, try record(2, [quic("45.1.1.2")]), from: .member)
        right.connected(to: try Address(quic("10.0.0.2")), of: node, now: 6)
        let (first, second) = (try #require(left.peer(node)), try #require(right.peer(node)))
        #expect(first.merged(with: second) == second.merged(with: first))
        #expect(first.merged(with: first) == first)
        left.restore(second, of: node)
        #expect(dialled(left) == [quic("10.0.0.2"), quic("10.0.0.1"), quic("45.1.1.2")])
    }
}
