import DeP2PIdentity
import DeP2PReactor
import DeP2PTestSupport
import Testing

@testable import DeP2PDiscovery

/// How nodes are looked for on a link, and whose words count.
@Suite struct MDNSStateMachineTests {
    private let nodeID = IdentityKey.generate().nodeID
    private let key = RealmKey.generate().deriveKey(label: MemberTag.keyLabel)
    private let host = v4(192, 168, 1, 99, 5_353)
    private var bench = LANBench()

    private func answer(
        _ text: PeerText, name: String = "peer", lifetime: UInt32 = 120, id: UInt16 = 0
    ) throws -> DNSMessage {
        let announcement = try #require(LANBench.announcement(name, text))
        var message = announcement.message(.announced, lifetime: lifetime)
        message.id = id
        return message
    }

    private var shown: PeerText { LANBench.shown(nodeID, at: v4(192, 168, 1, 99, 4001)) }

    private func hidden(_ key: AuthenticationKey, name: String = "peer", _ addresses: String...) -> PeerText {
        let texts = addresses.map { Array($0.utf8) }
        let tag = MemberTag(peerName: Array(name.utf8), nodeID: nodeID, addresses: texts, realm: key)
        let realmTag = MemberTag(peerName: Array(name.utf8), nodeID: nil, addresses: texts, realm: key)
        return PeerText(addresses: texts, tag: tag.bytes, realmTag: realmTag.bytes)
    }

    private mutating func search() -> [MDNSMachine.Action] {
        bench.machine.search(1, for: nodeID, now: bench.now)
    }

    private static let there = "/ip4/192.168.1.99/udp/4001/quic-v1"

    @Test mutating func whoIsLookedForIsAskedForTwice() {
        let first = search().questions
        #expect(first.first?.questions == [.init(PeerAnnouncement.service, .pointer, wantsUnicast: true)])
        #expect(first.first?.answers.isEmpty == true)
        let rest = bench.pass(.seconds(60))
        #expect(rest.questions == first)
        #expect(rest.last == .ended(search: 1, heard: 0))
        #expect(!bench.machine.isSearching)
    }

    /// However many look for somebody at once.
    @Test mutating func questionsAreASecondApart() {
        var count = search().questions.count
        for id in 2..<60 {
            count += bench.machine.search(id, for: nodeID, now: bench.now).questions.count
            count += bench.pass(.milliseconds(50)).questions.count
        }
        #expect((3...5).contains(count), "\(count)")
    }

    @Test mutating func searchesAreBounded() {
        for id in 0..<MDNSMachine.searchLimit { _ = bench.machine.search(id, for: nodeID, now: bench.now) }
        #expect(bench.machine.search(1_000, for: nodeID, now: bench.now) == [.ended(search: 1_000, heard: 0)])
    }

    @Test mutating func aNodeThatShowsItselfIsFound() throws {
        let id = try #require(search().questions.first).id
        let found = bench.receive(try answer(shown, id: id), from: host, isAnswer: true).found
        #expect(found.map(\.description) == [Self.there])
        // Told again, it is not found again.
        #expect(bench.receive(try answer(shown), from: host).found.isEmpty)
        #expect(bench.pass(.seconds(2)).last == .ended(search: 1, heard: 1))
    }

    @Test mutating func whatWasHeardBeforeIsFoundAtOnce() throws {
        _ = bench.receive(try answer(shown), from: host)
        #expect(search().found.map(\.description) == [Self.there])
        bench.machine.endSearch(1)
        _ = bench.pass(.seconds(120))
        #expect(search().found.isEmpty)
    }

    @Test mutating func membersFindWhoHidesItsNodeID() throws {
        bench.machine.realm = key
        _ = search()
        #expect(bench.receive(try answer(hidden(key, Self.there)), from: host).found.map(\.description) == [Self.there])
    }

    /// Issue 12.5: members find each other with the realm key alone.
    @Test mutating func membersFindMembersWhoeverTheyAre() throws {
        bench.machine.realm = key
        #expect(bench.machine.search(1, for: nil, now: bench.now).questions.count == 1)
        let text = hidden(key, Self.there)
        #expect(bench.receive(try answer(text), from: host).found.map(\.description) == [Self.there])
        // As often as it tells of itself: whoever looks may have lost it. And for as long as somebody wants to hear of it.
        #expect(bench.receive(try answer(text), from: host).found.map(\.description) == [Self.there])
        let questions = bench.pass(.seconds(301)).questions.count
        #expect(questions == 6, "\(questions)")
        #expect(bench.machine.isSearching)
        #expect(bench.receive(try answer(text), from: host).found.map(\.description) == [Self.there])
        bench.machine.endSearch(1)
        #expect(bench.machine.wake == nil)
    }

    @Test mutating func whoIsNoMemberIsNotFoundAsOne() throws {
        bench.machine.realm = key
        _ = bench.machine.search(1, for: nil, now: bench.now)
        let other = RealmKey.generate().deriveKey(label: MemberTag.keyLabel)
        #expect(bench.receive(try answer(hidden(other, Self.there)), from: host).found.isEmpty)
        #expect(bench.receive(try answer(shown), from: host).found.isEmpty)
        // The tag of another name, and the one with a NodeID in this one's place.
        #expect(bench.receive(try answer(hidden(key, Self.there), name: "peer2"), from: host).found.isEmpty)
        let tag = try #require(hidden(key, Self.there).tag)
        let text = PeerText(addresses: [Array(Self.there.utf8)], realmTag: tag)
        #expect(bench.receive(try answer(text), from: host).found.isEmpty)
    }

    @Test mutating func aNodeDoesNotFindItself() throws {
        bench.machine.realm = key
        let text = hidden(key, Self.there)
        let own = try #require(LANBench.announcement("peer", text))
        _ = bench.machine.tell([bench.link.id: own], now: bench.now)
        _ = bench.machine.search(1, for: nil, now: bench.now)
        #expect(bench.receive(try answer(text), from: host).found.isEmpty)
    }

    @Test mutating func outsidersFindNothingOfIt() throws {
        _ = search()
        let text = hidden(key, Self.there)
        #expect(bench.receive(try answer(text), from: host).found.isEmpty)
        #expect(!text.strings.contains { String(decoding: $0, as: UTF8.self).contains("12D3") })
        bench.machine.realm = RealmKey.generate().deriveKey(label: MemberTag.keyLabel)
        #expect(bench.receive(try answer(text), from: host).found.isEmpty)
    }

    /// A tag is of one name and its addresses: an outsider who repeats it leads nobody elsewhere.
    @Test mutating func aTagVouchesForItsAddresses() throws {
        bench.machine.realm = key
        _ = search()
        let tag = try #require(hidden(key, Self.there).tag)
        let elsewhere = PeerText(addresses: [Array("/ip4/192.168.1.66/udp/53/quic-v1".utf8)], tag: tag)
        #expect(bench.receive(try answer(elsewhere), from: v4(192, 168, 1, 66, 5_353)).found.isEmpty)
        let more = PeerText(
            addresses: [Array(Self.there.utf8), Array("/ip4/192.168.1.66/udp/53/quic-v1".utf8)], tag: tag)
        #expect(bench.receive(try answer(more), from: host).found.isEmpty)
        #expect(bench.receive(try answer(hidden(key, Self.there), name: "peer2"), from: host).found.isEmpty)
    }

    @Test mutating func answersComeFromTheLinkAndItsPort() throws {
        let id = try #require(search().questions.first).id
        let bad: [(SocketAddress, UInt16, Bool)] = [
            (v4(192, 168, 2, 99, 5_353), id, true), (v4(45, 1, 1, 1, 5_353), id, false),
            (v4(192, 168, 1, 99, 5_354), id, true), (v4(192, 168, 1, 99, 5_353), id &+ 1, true),
            (v4(127, 0, 0, 1, 5_353), id, true), (v4(192, 168, 1, 255, 5_353), id, true),
        ]
        for (sender, id, isAnswer) in bad {
            #expect(
                bench.receive(try answer(shown, id: id), from: sender, isAnswer: isAnswer).found.isEmpty, "\(sender)")
        }
        #expect(bench.pass(.seconds(2)).last == .ended(search: 1, heard: 0))
    }

    /// Nothing that a stranger tells leads to another network, to this machine, or to what is no host.
    @Test mutating func addressesOfOtherNetworksAreNotTaken() throws {
        _ = search()
        let bad = [
            v4(192, 168, 2, 1, 4001), v4(10, 0, 0, 1, 4001), v4(45, 1, 1, 1, 4001), v4(127, 0, 0, 1, 4001),
            v4(192, 168, 1, 255, 4001), v4(224, 0, 0, 251, 5353), v4(0, 0, 0, 0, 4001), v4(192, 168, 1, 50, 0),
        ]
        for address in bad {
            let text = LANBench.shown(nodeID, at: address)
            #expect(bench.receive(try answer(text), from: host).found.isEmpty, "\(address)")
        }
        let texts = [
            "/ip4/192.168.1.9/udp/1/quic-v1/p2p/\(nodeID)/p2p-circuit/p2p/\(nodeID)",
            "/dns4/a.b/udp/1/quic-v1/p2p/\(nodeID)",
            "/ip4/192.168.1.9/tcp/1/p2p/\(nodeID)", "\u{1b}[2J/p2p/\(nodeID)", "/p2p/\(nodeID)",
        ]
        let text = PeerText(addresses: texts.map { Array($0.utf8) } + [[0xff] + Array("/p2p/\(nodeID)".utf8)])
        #expect(bench.receive(try answer(text), from: host).found.isEmpty)
    }

    @Test mutating func linkLocalAddressesNameTheirLink() throws {
        _ = search()
        let text = LANBench.shown(nodeID, at: v6(0xfe80_0000_0000_0000, 99, 4001))
        let found = bench.receive(try answer(text), from: host).found
        #expect(found.map(\.description) == ["/ip6zone/eth0/ip6/fe80::63/udp/4001/quic-v1"])
    }

    /// Whoever claims to be the node, in any number of names, gets so many dials and no more; the node is found all the same.
    @Test mutating func oneHostsLiesAreBounded() throws {
        _ = search()
        var found: [Address] = []
        for index in 0..<2_000 {
            let text = LANBench.shown(nodeID, at: v4(192, 168, 1, UInt8(index % 250), UInt16(1_000 + index / 250)))
            found += bench.receive(try answer(text, name: "liar\(index)"), from: v4(192, 168, 1, 66, 5_353)).found
        }
        #expect(found.count == MDNSMachine.addressesPerHost)
        #expect(bench.receive(try answer(shown), from: host).found.map(\.description) == [Self.there])
    }

    @Test mutating func manyPeersHideNobody() throws {
        bench.machine.realm = key
        for index in 0..<2_000 {
            let other = IdentityKey.generate(from: .init(replaying: Counting(UInt64(index)))).nodeID
            let text = LANBench.shown(other, at: v4(192, 168, 1, UInt8(index % 250), 4001))
            _ = bench.receive(try answer(text, name: "peer\(index)"), from: v4(192, 168, 1, UInt8(index % 250), 5_353))
        }
        _ = search()
        #expect(bench.receive(try answer(hidden(key, Self.there)), from: host).found.map(\.description) == [Self.there])
        guard case .ended(_, let heard)? = bench.pass(.seconds(2)).last else { throw Missing() }
        #expect(heard <= HeardPeers.limit)
    }

    private struct Missing: Error {}

    private struct Counting: RandomNumberGenerator, Sendable {
        var value: UInt64
        init(_ value: UInt64) { self.value = value &* 0x9e37_79b9_7f4a_7c15 }
        mutating func next() -> UInt64 {
            value &+= 1
            return value
        }
    }

    /// Of whom only a name is told, the text is asked for, once.
    @Test mutating func aNameAloneIsAskedFor() throws {
        _ = search()
        let announcement = try #require(LANBench.announcement("peer", shown))
        let alone = DNSMessage(answering: announcement.records(.pointer, lifetime: 120))
        #expect(bench.receive(alone, from: host).isEmpty)
        let asked = bench.pass(.milliseconds(20)).questions
        #expect(asked.first?.questions == [.init(announcement.instance, .text, wantsUnicast: true)])
        _ = bench.receive(alone, from: host)
        #expect(bench.pass(.milliseconds(500)).questions.isEmpty)
        for index in 0..<1_000 {
            let other = try #require(LANBench.announcement("peer\(index)", shown))
            _ = bench.receive(DNSMessage(answering: other.records(.pointer, lifetime: 120)), from: host)
        }
        #expect(bench.pass(.milliseconds(300)).questions.flatMap(\.questions).count == MDNSMachine.nameLimit - 1)
    }

    @Test mutating func aStrangersGoodbyeEndsNothing() throws {
        _ = bench.receive(try answer(shown), from: host)
        _ = bench.receive(try answer(shown, lifetime: 0), from: v4(192, 168, 1, 66, 5_353))
        _ = bench.pass(.seconds(5))
        #expect(search().found.map(\.description) == [Self.there])
        bench.machine.endSearch(1)
        _ = bench.receive(try answer(shown, lifetime: 0), from: host)
        _ = bench.pass(.seconds(1))
        #expect(search().found.isEmpty)
    }

    @Test mutating func whatWasHeardOnALinkGoesWithIt() throws {
        _ = bench.receive(try answer(shown), from: host)
        _ = bench.machine.setLinks([], now: bench.now)
        _ = bench.machine.setLinks([bench.link], now: bench.now)
        #expect(search().found.isEmpty)
    }
}
