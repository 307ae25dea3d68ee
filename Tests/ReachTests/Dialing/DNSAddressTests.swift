import DeP2PIdentity
import Testing

@testable import DeP2PReach

/// Addresses behind names (multiaddr's DNSADDR.md).
@Suite struct DNSAddressTests {
    private let node = IdentityKey.generate().nodeID
    private let other = IdentityKey.generate().nodeID

    private func name(_ text: String) throws -> DNSAddress { try #require(DNSAddress(try Address(text))) }

    private func found(_ name: DNSAddress, _ texts: [String], of nodeID: NodeID? = nil) -> [String] {
        name.addresses(in: texts.map { Array($0.utf8) }, of: nodeID).map(\.description)
    }

    @Test func theRecordsStandUnderAPrefix() throws {
        #expect(try name("/dnsaddr/bootstrap.libp2p.io/p2p/\(node)").recordName == "_dnsaddr.bootstrap.libp2p.io")
        #expect(DNSAddress(try Address("/dns4/a.example/udp/1/quic-v1")) == nil)
    }

    /// The specification's example: of two nodes behind one name the one is meant that the address names.
    @Test func addressesThatEndOtherwiseAreLeftOut() throws {
        let texts = [
            "dnsaddr=/dnsaddr/sjc-1.bootstrap.libp2p.io/p2p/\(node)",
            "dnsaddr=/dnsaddr/ams-2.bootstrap.libp2p.io/p2p/\(other)",
        ]
        #expect(
            found(try name("/dnsaddr/bootstrap.libp2p.io/p2p/\(node)"), texts) == [
                "/dnsaddr/sjc-1.bootstrap.libp2p.io/p2p/\(node)"
            ])
        #expect(found(try name("/dnsaddr/bootstrap.libp2p.io"), texts).count == 2)
        #expect(found(try name("/dnsaddr/bootstrap.libp2p.io"), texts, of: other).count == 1)
    }

    @Test func whatIsNoAddressIsPassedOver() throws {
        let texts = [
            "v=spf1 -all", "dnsaddr=", "dnsaddr=/ip4/1.2.3", "dnsaddr=\u{1b}[2J",
            "dnsaddr=/ip4/192.0.2.1/udp/1/quic-v1",
        ]
        #expect(found(try name("/dnsaddr/a.example"), texts) == ["/ip4/192.0.2.1/udp/1/quic-v1"])
        #expect(try name("/dnsaddr/a.example").addresses(in: [[0xff, 0xfe], []], of: nil).isEmpty)
    }

    @Test func namesBehindNamesAreBounded() throws {
        var budget = DNSAddressBudget()
        let first = try name("/dnsaddr/a.example")
        #expect(budget.refusal(of: first, depth: 1) == nil)
        #expect(budget.refusal(of: first, depth: 2) != nil)
        let deep = try name("/dnsaddr/deep.example")
        #expect(budget.refusal(of: deep, depth: DNSAddress.depthLimit + 1) != nil)
        #expect(budget.refusal(of: deep, depth: DNSAddress.depthLimit) == nil)
        for index in 2..<DNSAddress.nameLimit {
            #expect(budget.refusal(of: try name("/dnsaddr/n\(index).example"), depth: 1) == nil)
        }
        #expect(budget.refusal(of: try name("/dnsaddr/more.example"), depth: 1) != nil)
    }
}
