import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

@Suite struct NATObserversTests {
    @Test("addresses of nodes, STUN servers and TCP legs are sorted, names looked up, others named with the reason")
    @NetworkActor
    func resolve() async throws {
        let relay = "12D3KooWQYV9dGMFoRzNStwpXztXaBUjtPqi6aU76ZgUriHhKust"
        let texts = [
            "/ip4/198.51.100.1/udp/4001/quic-v1/p2p/\(relay)", "/ip4/198.51.100.1/udp/4001/quic-v1",
            "/ip4/198.51.100.1/tcp/443/tls/p2p/\(relay)", "/dns4/relay.example/udp/4001/quic-v1",
            "/dnsaddr/relay.example/udp/4001/quic-v1", "/ip4/198.51.100.1/tcp/80",
            "/ip4/198.51.100.3/udp/4001/quic-v1/p2p/\(relay)/p2p-circuit/p2p/\(relay)",
        ]
        let resolver = NameResolver(clock: SystemNetworkClock.shared, deadline: .seconds(5)) { name, family in
            #expect(name == "relay.example")
            #expect(family == .v4)
            return .success([v4(198, 51, 100, 2, 0).ip])
        }
        let observers = try await NATObservers.resolve(texts.map { try Address($0) }, by: resolver)
        #expect(observers.udp == [v4(198, 51, 100, 1, 4001), v4(198, 51, 100, 2, 4001), v4(198, 51, 100, 3, 4001)])
        #expect(observers.tcp == [v4(198, 51, 100, 1, 443)])
        #expect(
            observers.unusable.map(\.reason) == [
                "dnsaddr names are not looked up", "neither /udp/PORT/quic-v1 nor /tcp/PORT/tls",
            ])
    }
}
