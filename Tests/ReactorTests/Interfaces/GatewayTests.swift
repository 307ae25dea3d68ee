import DeP2PIdentity
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReactor

@Suite struct GatewayTests {
    @Test("the default route with the lowest metric, whatever else the table holds")
    func ipv4() {
        let table = """
            Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
            wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
            eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0
            tun0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0
            eth0\t0000000A\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0
            down0\t00000000\t0200000A\t0002\t0\t0\t1\t00000000\t0\t0\t0
            """
        let gateway = Gateway.ipv4(inRoutes: Array(table.utf8))
        #expect(gateway?.address == v4(10, 0, 0, 1, 0).ip)
        #expect(gateway?.interface == "eth0")
    }

    @Test("an IPv6 default route, a link-local gateway among them")
    func ipv6() {
        let zero = String(repeating: "0", count: 32)
        let table = """
            fe800000000000000000000000000000 40 \(zero) 00 \(zero) 00000100 00000001 00000000 00000001 eth0
            \(zero) 00 \(zero) 00 fe80000000000000021122fffe334455 00000400 00000001 00000000 00450003 eth0
            \(zero) 00 \(zero) 00 \(zero) ffffffff 00000001 00000000 00200200 lo
            """
        let gateway = Gateway.ipv6(inRoutes: Array(table.utf8))
        #expect(gateway?.address == v6(0xfe80_0000_0000_0000, 0x0211_22ff_fe33_4455, 0).ip)
        #expect(gateway?.interface == "eth0")
    }

    @Test("no default route, an empty table, and garbage give none")
    func none() {
        #expect(Gateway.ipv4(inRoutes: []) == nil)
        #expect(Gateway.ipv6(inRoutes: []) == nil)
        var random = SplitMix64(seed: 5)
        for _ in 0..<500 {
            let table = random.bytes(200)
            #expect(Gateway.ipv4(inRoutes: table) == nil)
            #expect(Gateway.ipv6(inRoutes: table) == nil)
        }
    }
}
