import Testing

@testable import DeP2PHTTP

/// A name that resolves to a loopback address is not enough: the request has to name this machine.
@Suite struct HostRuleTests {
    private let rule = HostRule.loopback(port: 9_300)

    @Test(arguments: [
        "localhost:9300", "LocalHost:9300", "127.0.0.1:9300", "127.1.2.3:9300", "[::1]:9300", "[0:0:0:0:0:0:0:1]:9300",
    ])
    func thisMachineIsServed(host: String) { #expect(rule.admits(host)) }

    @Test(
        arguments: [
            nil, "", ":9300", "localhost", "localhost:", "localhost:9301", "localhost:09300x", "localhost:+9300",
            "localhost:99999", "localhost:000009300", "localhost.evil.example:9300", "evil.example:9300",
            "127.0.0.1.nip.io:9300",
            "127.0.0.1", "0.0.0.0:9300", "10.0.0.1:9300", "127.1:9300", "0177.0.0.1:9300", "2130706433:9300",
            "::1:9300",
            "[::1]", "[::2]:9300", "[::ffff:127.0.0.1]:9300", "[::1%lo]:9300", "user@localhost:9300", "localhost :9300",
            " localhost:9300", "localhost:9300, evil.example", "localhost\u{0}:9300", "lоcalhost:9300",
        ] as [String?])
    func nobodyElseIs(host: String?) { #expect(!rule.admits(host)) }

    @Test func portEightyNeedsNotBeNamed() {
        let rule = HostRule.loopback(port: 80)
        #expect(rule.admits("localhost") && rule.admits("[::1]") && rule.admits("127.0.0.1:80"))
        #expect(!rule.admits("localhost:8080"))
    }

    @Test func aUnixSocketTakesAnyName() {
        #expect(HostRule.any.admits(nil) && HostRule.any.admits("whatever"))
    }
}
