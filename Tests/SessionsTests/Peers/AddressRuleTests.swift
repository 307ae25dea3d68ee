import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PSessions

/// Where a node lets itself be sent, and what it tells of itself.
@Suite struct AddressRuleTests {
    private let rule = AddressRule(interfaces: [
        InterfaceAddress(v4(192, 168, 1, 10, 0), prefixLength: 24),
        InterfaceAddress(v4(127, 0, 0, 1, 0), prefixLength: 8),
        InterfaceAddress(v6(0xfd42_0000_0000_0001, 10, 0), prefixLength: 64),
        InterfaceAddress(v4(198, 51, 100, 7, 0), prefixLength: 24),
    ])
    private let all: [AddressRule.Voucher] = [.stranger, .neighbour, .member, .sameHost]
    private let node = IdentityKey.generate().nodeID

    @Test func nobodySendsThisNodeToWhatIsNoHost() {
        let never = [
            v4(0, 0, 0, 0, 1), v4(255, 255, 255, 255, 1), v4(224, 0, 0, 1, 1), v4(240, 0, 0, 1, 1),
            v4(169, 254, 169, 254, 1), v4(192, 168, 1, 255, 1), v6(0, 0, 1), v6(0xff02 << 48, 1, 1),
            v6(0xfe80 << 48, 1, 1), v6(0, 0xffff_2d01_0101, 1), v4(10, 0, 0, 1, 1), v4(100, 64, 0, 1, 1),
        ]
        for address in never {
            for voucher in all { #expect(!rule.admits(address.ip, from: voucher), "\(address) \(voucher)") }
        }
    }

    @Test func privateAddressesTakeMoreThanAStrangersWord() {
        for near in [v4(192, 168, 1, 99, 0), v6(0xfd42_0000_0000_0001, 99, 0), v4(198, 51, 100, 9, 0)] {
            #expect(all.map { rule.admits(near.ip, from: $0) } == [false, true, true, true], "\(near)")
        }
        for loopback in [IPAddress.v4Loopback, v4(127, 0, 0, 53, 0).ip, .v6Loopback] {
            #expect(all.map { rule.admits(loopback, from: $0) } == [false, false, false, true], "\(loopback)")
        }
        for global in [v4(45, 1, 1, 1, 0), v6(0x2600_0000_0000_0001, 1, 0)] {
            for voucher in all { #expect(rule.admits(global.ip, from: voucher)) }
        }
    }

    /// The host that is dialled counts, which is the relay's; a name may stand for any of them.
    @Test(arguments: [
        ("/ip4/127.0.0.1/udp/4001/quic-v1", false), ("/ip4/45.1.1.1/udp/4001/quic-v1", true),
        ("/ip4/192.168.1.1/tcp/443/tls", false), ("/ip6/::1/udp/4001/quic-v1", false),
        ("/ip6zone/eth0/ip6/fe80::1/udp/4001/quic-v1", false), ("/dns4/inside.example/udp/4001/quic-v1", false),
    ])
    func addressesOfRecords(text: String, isAdmitted: Bool) throws {
        let address = try Address(text)
        #expect(rule.admits(address, from: .stranger) == isAdmitted)
        let relayed = try Address("\(text)/p2p/\(node)/p2p-circuit")
        #expect(rule.admits(relayed, from: .stranger) == isAdmitted)
        let name = try Address("/dns4/relay.example/udp/4001/quic-v1")
        #expect(rule.admits(name, from: .member) && !rule.admits(name, from: .stranger))
    }

    /// What is heard on a network leads to its hosts, and over loopback to this machine; no further.
    @Test(arguments: [
        ("/ip4/192.168.1.77/udp/4001/quic-v1", true), ("/ip4/198.51.100.9/udp/4001/quic-v1", true),
        ("/ip4/127.0.0.1/udp/4001/quic-v1", true), ("/ip6zone/eth0/ip6/fe80::1/udp/4001/quic-v1", true),
        ("/ip6/fe80::1/udp/4001/quic-v1", false), ("/ip4/192.168.2.1/udp/4001/quic-v1", false),
        ("/ip4/45.1.1.1/udp/4001/quic-v1", false), ("/ip4/192.168.1.255/udp/4001/quic-v1", false),
        ("/ip4/169.254.169.254/udp/80/quic-v1", false), ("/dns4/a.example/udp/4001/quic-v1", false),
        ("/ip6/::ffff:192.168.1.77/udp/4001/quic-v1", false),
    ])
    func whatIsHeardOnALink(text: String, isAdmitted: Bool) throws {
        let known = KnownAddress(try Address(text), origin: .link, learnedAt: 0)
        for voucher in all { #expect(rule.admits(known, from: voucher) == isAdmitted) }
        let relayed = try KnownAddress(Address("\(text)/p2p/\(node)/p2p-circuit"), origin: .link, learnedAt: 0)
        #expect(!rule.admits(relayed, from: .sameHost))
    }

    @Test func whoIsTrustedHowFar() {
        func voucher(_ peer: SocketAddress?, isMember: Bool = false) -> AddressRule.Voucher {
            rule.voucher(at: peer?.ip, isMember: isMember)
        }
        #expect(voucher(nil) == .stranger && voucher(nil, isMember: true) == .member)
        #expect(voucher(v4(45, 1, 1, 1, 9)) == .stranger && voucher(v4(45, 1, 1, 1, 9), isMember: true) == .member)
        #expect(voucher(v4(192, 168, 1, 77, 9)) == .neighbour && voucher(v4(192, 168, 2, 77, 9)) == .stranger)
        #expect(voucher(v4(127, 0, 0, 1, 9)) == .sameHost && voucher(v6(0xfd42_0000_0000_0001, 7, 9)) == .neighbour)
        // Who has a global address beside ours at a provider's is still a stranger.
        let hosted = AddressRule(interfaces: [InterfaceAddress(v4(45, 1, 1, 2, 0), prefixLength: 24)])
        #expect(hosted.voucher(at: v4(45, 1, 1, 1, 0).ip, isMember: false) == .stranger)
    }

    @Test func strangersLearnNothingOfTheInside() {
        let own = [v4(45, 1, 1, 1, 0), v4(192, 168, 1, 10, 0), v4(127, 0, 0, 1, 0)].map(\.ip)
        #expect(all.map { listener in own.count { rule.tells($0, to: listener) } } == [1, 2, 2, 3])
    }
}
