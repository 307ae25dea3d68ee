import DeP2PReactor
import Testing

@testable import DeP2P

@Suite struct InterfaceCacheTests {
    @Test @NetworkActor func readsOnceASecondAndAfterAChange() {
        var readings = 0
        let cache = InterfaceCache(SystemNetworkClock.shared) {
            readings += 1
            return []
        }
        let start = NetworkInstant(nanoseconds: 1_000_000_000)
        for milliseconds in [0, 1, 500, 999] {
            _ = cache.interfaces(now: start.advanced(by: .milliseconds(milliseconds)))
        }
        #expect(readings == 1)
        _ = cache.interfaces(now: start.advanced(by: InterfaceCache.age))
        #expect(readings == 2)
        cache.forget()
        _ = cache.interfaces(now: start.advanced(by: InterfaceCache.age))
        #expect(readings == 3)
    }
}
