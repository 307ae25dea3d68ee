import Glibc
import QUIC
import TestSupport
import Testing

@testable import SystemLayer

@Suite struct BlockedNetworksTests {
    private let home = String(repeating: "a", count: NetworkFingerprint.length)
    private let cafe = String(repeating: "0", count: NetworkFingerprint.length)

    @Test func looksBecomeRarerAndAreForgottenWhenUDPWorks() {
        var networks = BlockedNetworks()
        var now: UInt64 = 1_000
        var waits: [UInt64] = []
        for _ in 0..<9 {
            networks.noteBlocked(home, now: now)
            let entry = networks.entry(home, now: now)
            waits.append((entry?.probeAt ?? 0) - now)
            // What fails before the time says nothing new.
            networks.noteBlocked(home, now: now + 1)
            #expect(networks.entry(home, now: now) == entry)
            now = entry?.probeAt ?? 0
        }
        #expect(waits == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600].map { $0 * 1_000 })
        #expect(networks.entry(cafe, now: now) == nil)
        networks.noteWorks(home)
        #expect(networks.entry(home, now: now) == nil)
    }

    @Test func aClockThatWasSetBackPutsNothingOff() {
        var networks = BlockedNetworks()
        networks.noteBlocked(home, now: 10_000_000_000)
        #expect(networks.entry(home, now: 5)?.probeAt == 5 + BlockedNetworks.longestProbe)
    }

    @Test func theFileComesBackAsItWas() {
        var networks = BlockedNetworks()
        networks.noteBlocked(home, now: 7)
        networks.noteBlocked(cafe, now: 8)
        #expect(BlockedNetworks(text: networks.text) == networks)
        #expect(networks.text.count < 200)
    }

    @Test func noMoreThanTheLimitIsRemembered() {
        var networks = BlockedNetworks()
        for number in 0..<200 {
            let hex = String(number, radix: 16)
            networks.noteBlocked(
                String(repeating: "0", count: NetworkFingerprint.length - hex.count) + hex, now: UInt64(number))
        }
        #expect(networks.entries.count == BlockedNetworks.limit && networks.text.count < BlockedNetworks.fileLimit)
        networks.set(BlockedNetworks.Entry(failures: 1, probeAt: 1), of: home)
        #expect(networks.entries.count == BlockedNetworks.limit)
    }

    @Test func whateverElseTheFileHoldsIsNothing() {
        let line = "\(home) 1 5"
        let header = "dep2p udp-blocked 1"
        for text in [
            "", "x", line, header, "\(header)\n\(home) 0 5", "\(header)\n\(home) 1", "\(header)\nzz 1 5",
            "\(header)\n\(home) 1 99999999999999999999999", "\(header)\n\(home) -1 5", "\(header)\n\(home)  1 5",
        ] { #expect(BlockedNetworks(text: Array(text.utf8)).entries.isEmpty, "\(text)") }
        #expect(BlockedNetworks(text: Array("\(header)\nrubbish\n\(line)".utf8)).entries.count == 1)
        #expect(BlockedNetworks(text: [UInt8](repeating: 0xff, count: 100)).entries.isEmpty)
        #expect(BlockedNetworks(text: [UInt8](repeating: 10, count: 1 << 20)).entries.isEmpty)
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var bytes = Array("\(header)\n\(line)\n".utf8)
            bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            #expect(BlockedNetworks(text: bytes).entries.count <= 1)
        }
    }

    // MARK: Networks

    private let routes = Array(
        """
        Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
        eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
        eth0\t0001A8C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0

        """.utf8)

    private func neighbours(_ hardware: String) -> [UInt8] {
        Array(
            """
            IP address       HW type     Flags       HW address            Mask     Device
            192.168.1.1      0x1         0x2         \(hardware)     *        eth0

            """.utf8)
    }

    @Test func theGatewaysHardwareTellsNetworksApart() {
        let one = NetworkFingerprint.of(routes: routes, routes6: [], neighbours: neighbours("02:00:00:00:00:01"))
        let two = NetworkFingerprint.of(routes: routes, routes6: [], neighbours: neighbours("02:00:00:00:00:02"))
        let none = NetworkFingerprint.of(routes: [], routes6: [], neighbours: [])
        #expect(Set([one, two, none]).count == 3)
        #expect([one, two, none].allSatisfy { NetworkFingerprint.isFingerprint($0) })
        #expect(NetworkFingerprint.isFingerprint(NetworkFingerprint.current()))
    }

    // MARK: Memory

    @Test @NetworkActor func memoryOutlivesItsRun() async throws {
        let temporary = try TemporaryFolder()
        defer { withExtendedLifetime(temporary) {} }
        let path = "\(temporary.path)/state/udp-blocked"
        func memory(_ network: String, now: UInt64) -> UDPMemory {
            let memory = UDPMemory(wallClock: { now }, network: { network })
            memory.path = path
            return memory
        }
        let first = memory(home, now: 1_000)
        #expect(await first.expectation() == .works)
        first.note(works: false)
        await first.flush()
        #expect(await first.expectation() == .blocked(isProbed: false))
        #expect(await first.timeToProbe() == .seconds(60))
        #expect(await memory(home, now: 2_000).expectation() == .blocked(isProbed: false))
        #expect(await memory(home, now: 61_000).expectation() == .blocked(isProbed: true))
        #expect(await memory(cafe, now: 2_000).expectation() == .works)
        let second = memory(cafe, now: 3_000)
        second.note(works: false)
        await second.flush()
        let third = memory(home, now: 4_000)
        third.note(works: true)
        await third.flush()
        #expect(await memory(home, now: 5_000).expectation() == .works)
        #expect(await memory(cafe, now: 5_000).expectation() == .blocked(isProbed: false))
    }
}
