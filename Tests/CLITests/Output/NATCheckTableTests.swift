import DeP2P
import DeP2PIdentity
import DeP2PReach
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PCLI

/// Text that people read: what it says of networks that read wrong elsewhere.
@Suite struct NATCheckTableTests {
    private static let observer = SocketAddress(IPAddress(v4: 0x2d0a_0001), port: 4001)
    private static let outside = SocketAddress(IPAddress(v4: 0x2d14_0001), port: 50_000)

    private func check(_ change: (inout NATReport) -> Void) -> NetworkCheck {
        var report = NATReport()
        change(&report)
        return NetworkCheck(interfaces: [IPAddress(v4: 0xc0a8_010a)], report: report, unusable: [])
    }

    @Test func aHomeNetworkIsToldInFamiliarWords() {
        let lines = NATCheckTable.lines(
            check { report in
                report.ipv4Family.asked = 2
                report.ipv4Family.observations = [
                    .init(observer: Self.observer, mapped: Self.outside, roundTrip: .milliseconds(40))
                ]
                report.ipv4Family.local = SocketAddress(IPAddress(v4: 0xc0a8_010a), port: 50_000)
                report.ipv4Family.mapped = Self.outside
                report.ipv4Family.mapping = .endpointIndependent
                report.ipv4Family.filtering = .addressAndPortDependent
                report.ipv4Family.mtu = 1420
                report.ipv4Family.burstAnswered = 8
                report.ipv6Family.isUnavailable = true
                report.portMapping = [.pcp: true, .natPMP: true, .upnp: false]
            })
        #expect(
            lines == [
                "addresses     192.168.1.10",
                "UDP           yes, 1 of 2 servers answered",
                "IPv4          yes, seen as 45.20.0.1:50000, port-restricted cone",
                "IPv6          no",
                "NAT           port-restricted cone",
                "mapping       endpoint-independent",
                "filtering     address-and-port-dependent",
                "path MTU      1420 bytes or more",
                "throttled     yes, 75 % of a burst was lost",
                "port mapping  PCP, NAT-PMP",
            ])
    }

    @Test func whatIsNotKnownIsNotGuessed() {
        let silent = check { $0.ipv4Family.asked = 2 }
        let lines = NATCheckTable.lines(silent)
        #expect(lines.contains("UDP           not determined, 0 of 2 servers answered"))
        #expect(lines.contains("port mapping  no IPv4 gateway to ask"))
        let fields = NATCheckTable.fields(silent)
        for name in ["udp", "ipv4", "ipv6", "mapping", "filtering", "nat_type", "hairpin", "ports", "mtu", "tcp"] {
            #expect(fields.first { $0.name == name }?.value == .null, "\(name)")
        }
    }

    @Test func blockedUDPAndPortalsAreNamed() {
        let blocked = check {
            $0.ipv4Family.asked = 2
            $0.ipv4Family.silentHosts = 2
            $0.tcp = true
            $0.captivePortal = true
        }
        let lines = NATCheckTable.lines(blocked)
        #expect(lines.contains("UDP           no, 0 of 2 servers answered"))
        #expect(lines.contains("TCP           yes"))
        #expect(lines.contains("portal        yes"))
    }
}
