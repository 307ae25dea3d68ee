import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PIdentity

@Suite struct IPAddressTests {
    @Test func textsAndCanonicalTexts() throws {
        for row in try Vectors.rows("ip-addresses.txt") {
            let address = try #require(IPAddress(row[0]), "\(row[0])")
            #expect(address.description == row[1])
            #expect(address.bytes == (try Vectors.bytes(row[2])))
            #expect(IPAddress(bytes: address.bytes) == address)
            #expect(IPAddress(row[1]) == address)
        }
    }

    @Test func textsThatAreNoAddress() throws {
        for text in try Vectors.lines("ip-addresses-bad.txt") + ["", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4\n", "::1\0"] {
            #expect(IPAddress(text) == nil, "\(text)")
        }
    }

    @Test func randomAddressesKeepTheirText() {
        var generator = SplitMix64(seed: 21)
        for _ in 0..<3000 {
            // Words of few bits make runs of zeros likely.
            let mask = generator.next() & generator.next() & generator.next()
            let address = IPAddress(v6High: generator.next() & mask, low: generator.next() & ~mask)
            #expect(IPAddress(address.description) == address)
            let v4 = IPAddress(v4: UInt32(truncatingIfNeeded: generator.next()))
            #expect(IPAddress(v4.description) == v4)
        }
    }

    @Test func hostileTexts() throws {
        let samples = ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "1:2:3:4:5:6:7:8", "::"].map { [UInt8]($0.utf8) }
        try forEachHostileVariant(of: samples, rounds: 4000) { text in
            guard let address = IPAddress(String(decoding: text, as: UTF8.self)) else { return }
            #expect(IPAddress(address.description) == address)
        }
    }

    /// Each range by its first and last address and the neighbours outside.
    @Test(arguments: [
        ("127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0", \IPAddress.isLoopback),
        ("10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0", \.isPrivate),
        ("172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0", \.isPrivate),
        ("192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0", \.isPrivate),
        ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fbff::", "fe00::", \.isPrivate),
        ("169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0", \.isLinkLocal),
        ("fe80::", "febf:ffff::", "fe7f::", "fec0::", \.isLinkLocal),
        ("100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0", \.isCGNAT),
        ("224.0.0.0", "239.255.255.255", "223.255.255.255", "240.0.0.0", \.isMulticast),
        ("ff00::", "ffff::", "feff::", "::ff00:0:0:0", \.isMulticast),
        ("::1", "::ffff:127.0.0.1", "::", "::2", \.isLoopback),
        ("0.0.0.0", "::", "0.0.0.1", "::1", \.isUnspecified),
        ("::ffff:10.0.0.1", "::ffff:192.168.0.1", "::ffff:8.8.8.8", "::fffe:10.0.0.1", \.isPrivate),
    ])
    func ranges(
        first: String, last: String, before: String, after: String, property: any KeyPath<IPAddress, Bool> & Sendable
    ) throws {
        #expect(try #require(IPAddress(first))[keyPath: property], "\(first)")
        #expect(try #require(IPAddress(last))[keyPath: property], "\(last)")
        #expect(try !#require(IPAddress(before))[keyPath: property], "\(before)")
        #expect(try !#require(IPAddress(after))[keyPath: property], "\(after)")
    }

    @Test(arguments: [
        "8.8.8.8", "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.32.0.1", "2606:4700::1111", "2a00::1",
        "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1",
    ])
    func global(text: String) throws {
        #expect(try #require(IPAddress(text)).isGlobal)
    }

    @Test(arguments: [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.1.1", "172.16.0.1", "192.0.0.1",
        "192.0.2.1", "192.168.0.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fc00::1", "fd00::1", "ff02::1", "2001:db8::1", "3fff::1",
        "2001::1", "2001:20::1", "2001:2::1", "::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::1",
        "2002:a00:1::1", "2002:7f00:1::", "100::1", "4000::1",
    ])
    func notGlobal(text: String) throws {
        #expect(try !#require(IPAddress(text)).isGlobal)
    }

    @Test func prefixes() throws {
        let cases = [
            ("192.0.2.77", 24, "192.0.2.0"), ("192.0.2.77", 32, "192.0.2.77"), ("192.0.2.77", 0, "0.0.0.0"),
            ("192.0.2.77", -1, "0.0.0.0"), ("192.0.2.77", 99, "192.0.2.77"), ("2001:db8:1:2:3::4", 48, "2001:db8:1::"),
            ("2001:db8:1:2:3::4", 64, "2001:db8:1:2::"), ("2001:db8:1:2:3::4", 80, "2001:db8:1:2:3::"),
            ("2001:db8::4", 128, "2001:db8::4"), ("2001:db8::4", 0, "::"),
        ]
        for (text, length, expected) in cases {
            #expect(try #require(IPAddress(text)).prefix(length).description == expected)
        }
    }
}
