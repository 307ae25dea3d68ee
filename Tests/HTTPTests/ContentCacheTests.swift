import Testing

@testable import DeP2PHTTP

/// However many ask, content is made once in a while.
@Suite struct ContentCacheTests {
    private typealias Cache = ContentCache<Int, ContinuousClock.Instant>

    @Test func contentIsMadeOnceForAllWhoAskMeanwhile() {
        let start = ContinuousClock().now
        var (cache, made) = (Cache(), 0)
        for step in 0..<10_000 {
            let now = start.advanced(by: .milliseconds(step))
            guard case .make = cache.request("/", by: step, now: now) else { continue }
            made += 1
            #expect(cache.made(LocalContent("\(step)"), for: "/", now: now) == [step])
        }
        #expect(made == 40)
    }

    @Test func whoAsksWhileItIsMadeIsToldWithTheOthers() {
        let now = ContinuousClock().now
        var cache = Cache()
        guard case .make = cache.request("/a", by: 1, now: now), case .wait = cache.request("/a", by: 2, now: now),
            case .make = cache.request("/b", by: 3, now: now)
        else {
            Issue.record("one makes it, the other waits, and another route is its own")
            return
        }
        #expect(cache.made(LocalContent("x"), for: "/a", now: now) == [1, 2])
        #expect(cache.made(LocalContent("x"), for: "/a", now: now).isEmpty)
        guard case .take(let content) = cache.request("/a", by: 4, now: now) else {
            Issue.record("it is there")
            return
        }
        #expect(content.bytes == Array("x".utf8))
    }
}
