import Testing

@testable import DeP2PIdentity

@Suite struct HostPortTests {
    @Test(arguments: [
        "192.0.2.1:4001", "[::1]:0", "[2001:db8::1]:65535", ":4001", ":0", "example.com:4001", "localhost:1",
        "[fe80::1%eth0]:4001", "[fe80::1%2]:4001", "a-b.example:80", "[::ffff:192.0.2.1]:1",
    ])
    func roundTrip(text: String) throws {
        #expect(try HostPort(text).description == text)
    }

    @Test func parts() throws {
        let ip = try HostPort("[2001:DB8:0::1]:80")
        #expect(ip.host == IPAddress("2001:db8::1").map(Host.ip) && ip.port == 80 && ip.zone == nil)
        #expect(ip.description == "[2001:db8::1]:80")
        let name = try HostPort("relay.example.org:4001")
        #expect(name.host == .dns("relay.example.org", .dns) && name.port == 4001)
        let any = try HostPort(":4001")
        #expect(any.host == nil && any.port == 4001)
        #expect(try HostPort("[fe80::1%wlan0]:1").zone == "wlan0")
    }

    @Test func meansQUIC() throws {
        #expect(Address(quic: try HostPort("[::1]:4001"))?.description == "/ip6/::1/udp/4001/quic-v1")
        #expect(Address(quic: try HostPort("a.example:1"))?.description == "/dns/a.example/udp/1/quic-v1")
        #expect(
            Address(quic: try HostPort("[fe80::1%eth0]:1"))?.description == "/ip6zone/eth0/ip6/fe80::1/udp/1/quic-v1")
        #expect(Address(quic: try HostPort(":4001")) == nil)
    }

    /// Brackets that don't match made other tools panic; each is an error here.
    @Test(arguments: [
        "", ":", "[", "]", "[]", "[]:", "[]:1", "[:1", "]:1", "[::1", "::1]", "::1]:1", "[::1]", "[::1]1", "[::1]x:1",
        "x[::1]:1",
        "[[::1]]:1", "[::1]:1]", "[::1]:", "[::1]::1", "[192.0.2.1]:1", "[example.com]:1", "[fe80::1%]:1",
        "[fe80::1%a b]:1", "[fe80::1%interface-too-long]:1", "::1", "::1:4001", "2001:db8::1:4001", "1.2.3.4",
        "example.com",
        "example.com:", "example.com:x", "example.com:-1", "example.com:+1", "example.com: 1", "example.com:1 ",
        "example.com:65536", "example.com:080", "example.com:0x50", "1.2.3:80", "01.2.3.4:80", "1.2.3.4.5:80",
        "-a.example:1", "a..b:1", ".:1", "a b:1", "a/b:1", "é:1", "%:1", "a:b:1", "\u{0}:1", "user@host:1",
    ])
    func refusals(text: String) {
        #expect(throws: IdentityError(.malformedAddress, "")) { try HostPort(text) }
    }

    @Test func hintForMissingBrackets() {
        do {
            _ = try HostPort("2001:db8::1:4001")
            Issue.record("an address without brackets was taken")
        } catch {
            #expect(error.remedy?.description.contains("[IPV6]:PORT") == true)
        }
    }

    @Test func hostileTexts() throws {
        let samples = ["192.0.2.1:4001", "[2001:db8::1]:65535", "[fe80::1%eth0]:4001", ":4001", "example.com:4001"]
        try forEachHostileVariant(of: samples.map { [UInt8]($0.utf8) }, rounds: 4000) { text in
            guard let parsed = try? HostPort(String(decoding: text, as: UTF8.self)) else { return }
            #expect((try? HostPort(parsed.description)) == parsed)
        }
    }
}
