import DeP2PIdentity
import DeP2PReactor
import DeP2PTestSupport
import Testing

@testable import DeP2PSessions

@Suite struct AddressBookTests {
    private let node = IdentityKey.generate().nodeID
    private let relay = IdentityKey.generate().nodeID

    private func record(_ sequence: UInt64, _ addresses: [String], of node: NodeID? = nil) throws -> PeerRecord {
        try PeerRecord(nodeID: node ?? self.node, seq: sequence, addresses: addresses.map { try Address($0) })
    }

    @Test func theLaterRecordCounts() throws {
        var book = AddressBook()
        #expect(book.addresses(of: node).isEmpty && book.relays(of: node).isEmpty)
        #expect(book.learn(try record(5, ["/ip4/192.0.2.1/udp/1/quic-v1"])))
        #expect(!book.learn(try record(4, ["/ip4/192.0.2.2/udp/1/quic-v1"])))
        #expect(!book.learn(try record(5, ["/ip4/192.0.2.2/udp/1/quic-v1"])))
        #expect(book.addresses(of: node).map(\.description) == ["/ip4/192.0.2.1/udp/1/quic-v1/p2p/\(node)"])
        #expect(!book.learn(try record(6, ["/ip4/192.0.2.1/udp/1/quic-v1"])))
        #expect(book.learn(try record(7, [])))
        #expect(book.addresses(of: node).isEmpty)
    }

    @Test func relaysAreNamedOnceForEachWay() throws {
        var book = AddressBook()
        let ways = ["/ip4/192.0.2.9/udp/4001/quic-v1/p2p/\(relay)", "/ip4/192.0.2.9/tcp/443/tls/p2p/\(relay)"]
        let circuits = ways.map { $0 + "/p2p-circuit" }
        book.learn(try record(1, ["/ip4/192.0.2.1/udp/1/quic-v1"] + circuits + circuits))
        #expect(book.relays(of: node).map(\.description) == ways)
        #expect(book.addresses(of: node).filter(\.isRelayed).allSatisfy { $0.nodeID == node })
    }

    @Test func manyInterfacesDoNotCrowdOutTheRelays() throws {
        var book = AddressBook()
        let own = (1...60).map { "/ip4/192.0.2.\($0)/udp/1/quic-v1" }
        book.learn(try record(1, own + ["/ip4/192.0.2.9/udp/4001/quic-v1/p2p/\(relay)/p2p-circuit"]))
        #expect(book.addresses(of: node).count == AddressBook.addressesPerNode)
        #expect(book.relays(of: node).count == 1)
        let relays = (1...60).map { "/ip4/192.0.2.\($0)/udp/1/quic-v1/p2p/\(relay)/p2p-circuit" }
        book.learn(try record(2, relays + own.prefix(4)))
        #expect(book.addresses(of: node).count(where: \.isRelayed) == AddressBook.addressesPerNode / 2)
    }

    @Test func theNodeHeardOfLongestAgoGivesWay() throws {
        var book = AddressBook()
        let nodes = (0..<AddressBook.nodeLimit + 1).map { _ in IdentityKey.generate().nodeID }
        for node in nodes { book.learn(try record(1, ["/ip4/192.0.2.1/udp/1/quic-v1"], of: node)) }
        #expect(book.addresses(of: nodes[0]).isEmpty)
        #expect(nodes.dropFirst().allSatisfy { !book.addresses(of: $0).isEmpty })
    }

    /// However many identities strangers make up.
    @Test func strangersDontMakeMembersForgotten() throws {
        var book = AddressBook()
        func tell(_ node: NodeID, _ voucher: AddressRule.Voucher) throws -> Bool {
            book.learn(try record(1, ["/ip4/192.0.2.1/udp/1/quic-v1"], of: node), from: voucher)
        }
        let members = (0..<AddressBook.nodeLimit).map { _ in IdentityKey.generate().nodeID }
        _ = try tell(members[0], .member)
        for _ in 0..<AddressBook.nodeLimit + 100 { _ = try tell(IdentityKey.generate().nodeID, .stranger) }
        #expect(!book.addresses(of: members[0]).isEmpty)
        // Members take the strangers' places, to the last; then one another's.
        for member in members.dropFirst() { _ = try tell(member, .member) }
        #expect(members.allSatisfy { !book.addresses(of: $0).isEmpty })
        let isTold = try [tell(IdentityKey.generate().nodeID, .stranger), tell(IdentityKey.generate().nodeID, .member)]
        #expect(isTold == [false, true] && book.addresses(of: members[0]).isEmpty)
    }

    @Test func aStrangersRecordLeadsOutwardsOnly() throws {
        var book = AddressBook()
        let rule = AddressRule(interfaces: [
            InterfaceAddress(v4(192, 168, 1, 10, 0), prefixLength: 24),
            InterfaceAddress(v4(127, 0, 0, 1, 0), prefixLength: 8),
        ])
        let hosts = ["127.0.0.1", "192.168.1.1", "10.0.0.1", "169.254.169.254", "45.1.1.1"]
        let own = hosts.map { "/ip4/\($0)/udp/4001/quic-v1" }
        book.learn(try record(1, own + own.map { "\($0)/p2p/\(relay)/p2p-circuit" }))
        let wanted = try Address("/ip4/45.1.1.1/udp/4001/quic-v1/p2p/\(relay)")
        #expect(book.relays(of: node, by: rule) == [wanted])
        #expect(book.addresses(of: node, by: rule).count == 2)
        // The same node, once it is admitted: what it knows of the subnet counts.
        let relays = book.relays(of: node, by: rule, from: .member).map(\.description)
        #expect(relays == [own[1], own[4]].map { "\($0)/p2p/\(relay)" })
        book.learn(try record(1, own), from: .member)
        #expect(
            book.addresses(of: node, by: rule).count == 4, "the word is worth what it was when it was given, or more")
        book.learn(try record(2, own), from: .stranger)
        #expect(book.addresses(of: node, by: rule).count == 1)
    }
}
