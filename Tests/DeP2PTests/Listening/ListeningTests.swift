import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2P

/// Which of this machine's addresses others are told, and in which order.
@Suite struct ListeningTests {
    private static func interface(_ text: String, _ prefixLength: Int) throws -> InterfaceAddress {
        InterfaceAddress(SocketAddress(try #require(IPAddress(text)), port: 0), prefixLength: prefixLength)
    }

    private static func machine() throws -> [InterfaceAddress] {
        try [
            interface("127.0.0.1", 8), interface("192.168.1.5", 24), interface("::1", 128), interface("8.8.8.8", 30),
            interface("fd00::5", 64), interface("2a00::5", 64), interface("10.0.0.5", 8),
        ]
    }

    private static func socket(_ text: String, _ port: UInt16) throws -> SocketAddress {
        SocketAddress(try #require(IPAddress(text)), port: port)
    }

    private func shareable(_ bound: [SocketAddress], overTCP: Bool = false) throws -> [String] {
        let machine = try Self.machine()
        return Listening.shareable(bound, of: { machine }, overTCP: overTCP).map(\.description)
    }

    /// Global ones before private ones before loopback; within a kind the machine's own order.
    @Test func anySocketIsEachAddressOfItsFamilyBestFirst() throws {
        let both = [try Self.socket("0.0.0.0", 7), try Self.socket("::", 8)]
        #expect(
            try shareable(both) == [
                "/ip4/8.8.8.8/udp/7/quic-v1", "/ip6/2a00::5/udp/8/quic-v1", "/ip4/192.168.1.5/udp/7/quic-v1",
                "/ip4/10.0.0.5/udp/7/quic-v1", "/ip6/fd00::5/udp/8/quic-v1", "/ip4/127.0.0.1/udp/7/quic-v1",
                "/ip6/::1/udp/8/quic-v1",
            ])
        #expect(try shareable([try Self.socket("::", 8)]).allSatisfy { $0.hasPrefix("/ip6/") })
    }

    @Test func aBoundAddressIsItselfAndTheMachineIsNotAsked() throws {
        let bound = [try Self.socket("127.0.0.1", 7), try Self.socket("9.9.9.9", 9)]
        let told = Listening.shareable(
            bound,
            of: {
                Issue.record("nothing of the machine is needed")
                return []
            })
        #expect(told.map(\.description) == ["/ip4/9.9.9.9/udp/9/quic-v1", "/ip4/127.0.0.1/udp/7/quic-v1"])
    }

    @Test func overTCPTheAddressSaysSo() throws {
        #expect(try shareable([try Self.socket("9.9.9.9", 443)], overTCP: true) == ["/ip4/9.9.9.9/tcp/443/tls"])
        #expect(try shareable([]).isEmpty)
    }

    @Test func interfacesKeepTheirSubnetsAndTakeThePort() throws {
        let found = Listening.interfaces([try Self.socket("0.0.0.0", 7)], of: try Self.machine())
        #expect(found.map(\.address.ip.description) == ["8.8.8.8", "192.168.1.5", "10.0.0.5", "127.0.0.1"])
        #expect(found.map(\.prefixLength) == [30, 24, 8, 8] && found.allSatisfy { $0.address.port == 7 })
    }

    /// A socket bound to an address that no interface has (any more) is on no subnet but its own.
    @Test func anAddressOfNoInterfaceStandsAlone() throws {
        let bound = try [Self.socket("10.0.0.5", 1), Self.socket("10.9.9.9", 2), Self.socket("fd00::9", 3)]
        let found = Listening.interfaces(bound, of: try Self.machine())
        #expect(found.map(\.prefixLength) == [8, 32, 128] && found.map(\.address) == bound)
    }
}
