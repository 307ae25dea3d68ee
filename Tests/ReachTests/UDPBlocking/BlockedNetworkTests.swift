import DeP2PReactor
import DeP2PStorage
import Testing

@testable import DeP2PReach

@Suite struct BlockedNetworkTests {
    private let home = String(repeating: "a", count: NetworkFingerprint.length)
    private let cafe = String(repeating: "0", count: NetworkFingerprint.length)

    @Test func looksBecomeRarer() {
        var known: BlockedNetwork?
        var now: UInt64 = 1_000
        var waits: [UInt64] = []
        for _ in 0..<9 {
            let noted = BlockedNetwork.noteBlocked(known, now: now)
            waits.append(noted.probeAt - now)
            // What fails before the time says nothing new.
            #expect(BlockedNetwork.noteBlocked(noted, now: now + 1) == noted)
            now = noted.probeAt
            known = noted
        }
        #expect(waits == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600].map { $0 * 1_000 })
        let endless = BlockedNetwork(failures: .max, probeAt: 0)
        #expect(BlockedNetwork.noteBlocked(endless, now: 5).failures == .max)
    }

    @Test func aClockThatWasSetBackPutsNothingOff() {
        let noted = BlockedNetwork.noteBlocked(nil, now: 10_000_000_000)
        #expect(noted.probe(at: 5) == 5 + BlockedNetwork.longestProbe)
    }

    @Test func itsBytesComeBackAsTheyWereAndNoOthers() {
        let known = BlockedNetwork(failures: 0x0102, probeAt: 0x0304_0506_0708_090a)
        #expect(known.stored == [1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10] && BlockedNetwork(stored: known.stored) == known)
        let others: [[UInt8]] = [
            [], [1], Array(known.stored.dropLast()), known.stored + [0], [2] + Array(known.stored.dropFirst()),
        ]
        for bytes in others { #expect(BlockedNetwork(stored: bytes) == nil) }
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

    @Test @NetworkActor func memoryOutlivesItsRun() async {
        let store = MemoryStorage(clock: { 1_000 })
        func memory(_ network: String, now: UInt64) -> UDPMemory {
            let memory = UDPMemory(wallClock: { now }, network: { network })
            memory.storage = store
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

    @Test @NetworkActor func noMoreThanTheLimitIsRemembered() async {
        let store = MemoryStorage(clock: { 1_000_000 })
        for number in 0..<100 {
            let memory = UDPMemory(wallClock: { UInt64(number) }, network: { "network \(number)" })
            memory.storage = store
            memory.note(works: false)
            await memory.flush()
        }
        var known = 0
        for number in 0..<100 {
            let memory = UDPMemory(wallClock: { 1_000 }, network: { "network \(number)" })
            memory.storage = store
            if await memory.expectation() != .works {
                known += 1
                #expect(number >= 100 - BlockedNetwork.limit)
            }
        }
        #expect(known == BlockedNetwork.limit)
    }
}
