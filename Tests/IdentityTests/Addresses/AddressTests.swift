import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PIdentity

@Suite struct AddressTests {
    private let node = IdentityKey.generate().nodeID
    private let relay = IdentityKey.generate().nodeID

    @Test func textAndBytes() throws {
        for row in try Vectors.rows("multiaddr.txt") {
            let address = try Address(row[0])
            let bytes = try Vectors.bytes(row[1])
            #expect(address.bytes == bytes, "\(row[0])")
            #expect(address.description == row[0])
            #expect(try Address(bytes: bytes) == address)
        }
    }

    @Test func otherSpellingsOfTheSame() throws {
        #expect(try Address("/ip6/2001:DB8:0:0::1/udp/1/").description == "/ip6/2001:db8::1/udp/1")
        #expect(try Address("/ipfs/\(node)") == Address("/p2p/\(node.cid)"))
    }

    @Test func badTexts() throws {
        for text in try Vectors.lines("multiaddr-bad-texts.txt") + [
            "", "/dns/a b", "/dns/a\u{1b}[2J", "/dns/\(String(repeating: "a", count: 64))",
        ] {
            #expect(throws: IdentityError.self, "\(text)") { try Address(text) }
        }
        let labels = [String](repeating: String(repeating: "a", count: 63), count: 4).joined(separator: ".")
        #expect(throws: IdentityError(.malformedAddress, "")) { try Address("/dns/\(labels)") }
    }

    @Test func badBytes() throws {
        for row in try Vectors.rows("multiaddr-bad-bytes.txt") {
            let bytes = try Vectors.bytes(row[1])
            #expect(throws: IdentityError.self, "\(row[0])") { try Address(bytes: bytes) }
        }
    }

    @Test func limits() throws {
        let sixteen = String(repeating: "/p2p-circuit", count: 16)
        #expect(try Address(bytes: Address(sixteen).bytes).components.count == 16)
        #expect(throws: IdentityError(.limitExceeded, "")) { try Address(sixteen + "/p2p-circuit") }
        #expect(throws: IdentityError(.limitExceeded, "")) { try Address(String(repeating: "/tls", count: 300)) }
        #expect(throws: IdentityError(.limitExceeded, "")) {
            try Address(bytes: [UInt8](repeating: 0, count: Address.maximumLength + 1))
        }
        #expect(throws: IdentityError(.malformedAddress, "")) { try Address(components: []) }
        let name = [String](repeating: String(repeating: "a", count: 60), count: 4).joined(separator: ".")
        #expect(throws: IdentityError(.limitExceeded, "")) { try Address("/dns/\(name)/dns/\(name)/dns/\(name)") }
        #expect(throws: IdentityError(.malformedAddress, "")) { try Address(components: [.dns("a/b", .dns)]) }
        #expect(throws: IdentityError(.malformedAddress, "")) { try Address(components: [.ip6zone("")]) }
    }

    @Test func viewsOfADirectAddress() throws {
        let address = Address.quic(.v4Loopback, port: 4001, nodeID: node)
        #expect(address.description == "/ip4/127.0.0.1/udp/4001/quic-v1/p2p/\(node)")
        #expect(address.host == .ip(.v4Loopback))
        #expect(address.transport == .quic(port: 4001))
        #expect(address.nodeID == node)
        #expect(address.relay == nil && !address.isRelayed)
        #expect(address.withoutNodeID == .quic(.v4Loopback, port: 4001))
        #expect(address.with(nodeID: relay) == .quic(.v4Loopback, port: 4001, nodeID: relay))
        #expect(Address.quic(.v4Loopback, port: 4001).with(nodeID: node) == address)
        #expect(Address.quic(.v4Loopback, port: 4001).nodeID == nil)
    }

    @Test func viewsOfARelayLeg() throws {
        let address = try Address("/dns4/relay.example/tcp/443/tls/p2p/\(relay)")
        #expect(address.host == .dns("relay.example", .dns4))
        #expect(address.transport == .tcpTLS(port: 443))
        #expect(address == (try Address(bytes: address.bytes)))
        #expect(Address.tcpTLS(.v6Loopback, port: 1).transport == .tcpTLS(port: 1))
    }

    @Test func viewsOfARelayedAddress() throws {
        let way = Address.quic(.v6Loopback, port: 1, nodeID: relay)
        let address = try Address("\(way)/p2p-circuit/p2p/\(node)")
        #expect(address.nodeID == node)
        #expect(address.isRelayed)
        #expect(address.relay?.address == way)
        #expect(address.relay?.nodeID == relay)
        #expect(address.transport == .quic(port: 1))
        let open = try #require(address.withoutNodeID)
        #expect(open.nodeID == nil, "the relay is not the node that is named")
        #expect(open.with(nodeID: node) == address)
        #expect(try Address("/p2p/\(relay)/p2p-circuit/p2p/\(node)").host == nil)
        #expect(try Address("/p2p-circuit/p2p/\(node)").relay == nil)
    }

    @Test func zoneStandsBeforeTheHost() throws {
        let address = try Address("/ip6zone/eth0/ip6/fe80::1/udp/4001/quic-v1")
        #expect(address.zone == "eth0")
        #expect(address.host == IPAddress("fe80::1").map(Host.ip))
        #expect(address.transport == .quic(port: 4001))
    }

    @Test(arguments: [
        "/ip4/1.2.3.4", "/ip4/1.2.3.4/udp/1", "/ip4/1.2.3.4/tcp/1", "/udp/1/quic-v1", "/ip4/1.2.3.4/tcp/1/quic-v1",
        "/ip4/1.2.3.4/udp/1/tls", "/ip4/1.2.3.4/udp/1/quic-v1/tls", "/ip4/1.2.3.4/udp/1/quic-v1/udp/2", "/p2p-circuit",
    ])
    func waysThatAreNotOurs(text: String) throws {
        #expect(try Address(text).transport == nil)
    }

    @Test func onlyANodeIDLeavesNothingWithoutIt() throws {
        #expect(try Address("/p2p/\(node)").withoutNodeID == nil)
        #expect(try Address("/p2p/\(node)").transport == nil)
    }

    @Test func randomAddressesRoundTrip() throws {
        var generator = SplitMix64(seed: 33)
        for _ in 0..<2000 {
            let components = (0..<Int.random(in: 1...10, using: &generator)).map { _ in randomComponent(&generator) }
            guard let address = try? Address(components: components) else { continue }
            #expect(try Address(bytes: address.bytes) == address)
            #expect(try Address(address.description) == address)
        }
    }

    private func randomComponent(_ generator: inout SplitMix64) -> Address.Component {
        let number = generator.next()
        switch number % 10 {
        case 0: return .ip(IPAddress(v4: UInt32(truncatingIfNeeded: number >> 8)))
        case 1: return .ip(IPAddress(v6High: generator.next(), low: number))
        case 2: return .udp(UInt16(truncatingIfNeeded: number >> 8))
        case 3: return .tcp(UInt16(truncatingIfNeeded: number >> 8))
        case 4: return .quicV1
        case 5: return .tls
        case 6: return .p2p(number & 256 == 0 ? node : relay)
        case 7: return .p2pCircuit
        case 8: return .ip6zone("eth\(number >> 8 & 255)")
        default: return .dns("n\(number >> 8).example", [.dns, .dns4, .dns6, .dnsaddr][Int(number >> 8 & 3)])
        }
    }

    @Test func hostileBytesAndTexts() throws {
        let rows = try Vectors.rows("multiaddr.txt")
        try forEachHostileVariant(of: rows.map { try Vectors.bytes($0[1]) }) { bytes in
            guard let address = try? Address(bytes: bytes) else { return }
            #expect(address.bytes == bytes)
            #expect((try? Address(address.description)) == address)
        }
        try forEachHostileVariant(of: rows.map { [UInt8]($0[0].utf8) }) { text in
            guard let address = try? Address(String(decoding: text, as: UTF8.self)) else { return }
            #expect((try? Address(bytes: address.bytes)) == address)
        }
    }
}
