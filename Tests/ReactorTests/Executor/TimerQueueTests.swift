import DeP2PSimulation
import Testing

@testable import DeP2PReactor

@Suite struct TimerQueueTests {
    @Test(arguments: 0..<10)
    func agreesWithASortedList(_ seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var queue = TimerQueue<Int>()
        var model: [(deadline: UInt64, order: Int, token: TimerToken)] = []
        var now: UInt64 = 0
        for step in 0..<3_000 {
            switch random.next() % 10 {
            case 0..<5:
                let deadline = now + random.next() % 100
                let token = queue.insert(step, at: NetworkInstant(nanoseconds: deadline))
                model.append((deadline, step, token))
            case 5..<8:
                guard !model.isEmpty else { continue }
                let index = Int(random.next() % UInt64(model.count))
                queue.remove(model[index].token)
                queue.remove(model[index].token)
                model.remove(at: index)
            default:
                now += random.next() % 30
                let due = model.filter { $0.deadline <= now }.sorted {
                    ($0.deadline, $0.order) < ($1.deadline, $1.order)
                }
                for item in due {
                    let popped = queue.popDue(at: NetworkInstant(nanoseconds: now))
                    #expect(popped == item.order)
                }
                let none = queue.popDue(at: NetworkInstant(nanoseconds: now))
                #expect(none == nil)
                model.removeAll { $0.deadline <= now }
            }
            #expect(queue.count == model.count)
            let earliest = queue.earliest()?.nanoseconds
            #expect(earliest == model.map(\.deadline).min())
        }
    }

    @Test func cancelledActionsDoNotPileUp() {
        var queue = TimerQueue<Int>()
        for round in 0..<100_000 {
            queue.remove(queue.insert(round, at: NetworkInstant(nanoseconds: UInt64(1_000_000 + round))))
        }
        let earliest = queue.earliest()
        #expect(queue.count == 0 && earliest == nil)
    }
}

@Suite struct TokenBucketTests {
    /// How many of 100 requests at one instant are granted.
    private func taken(_ bucket: inout TokenBucket, _ now: NetworkInstant) -> Int {
        var count = 0
        for _ in 0..<100 where bucket.takeNow(now: now) { count += 1 }
        return count
    }

    @Test func allowsABurstAndThenTheRate() {
        var bucket = TokenBucket(rate: 10, burst: 5)
        var now = NetworkInstant(nanoseconds: 1_000_000_000)
        do {
            let count = taken(&bucket, now)
            #expect(count == 5)
        }
        now = now.advanced(by: .milliseconds(100))
        do {
            let count = taken(&bucket, now)
            #expect(count == 1)
        }
        now = now.advanced(by: .seconds(3_600))
        do {
            let count = taken(&bucket, now)
            #expect(count == 5)
        }
    }

    @Test(arguments: [(1, 1), (7, 3), (1_000, 10), (0, 0)])
    func neverExceedsRateOverAnyTime(_ rate: Int, _ burst: Int) {
        var bucket = TokenBucket(rate: rate, burst: burst)
        var random = SplitMix64(seed: 5)
        var now = NetworkInstant(nanoseconds: 0)
        var taken = 0
        for _ in 0..<20_000 {
            now = now.advanced(by: .microseconds(Int64(random.next() % 3_000)))
            if bucket.takeNow(now: now) { taken += 1 }
        }
        let allowed = Double(max(burst, 1)) + Double(max(rate, 1)) * Double(now.nanoseconds) / 1e9
        #expect(Double(taken) <= allowed + 1)
        #expect(Double(taken) >= min(allowed, 20_000) * 0.9 - 2)
    }

    @Test func takeTellsHowLongToWait() {
        var bucket = TokenBucket(rate: 10, burst: 2)
        let now = NetworkInstant(nanoseconds: 0)
        var waits: [Duration] = []
        for _ in 0..<5 { waits.append(bucket.take(now: now)) }
        #expect(waits == [0, 0, 100, 200, 300].map { .milliseconds($0) })
    }
}

@Suite struct NetworkInstantTests {
    @Test func arithmeticSaturates() {
        #expect(NetworkInstant.distantFuture.advanced(by: .seconds(1)) == .distantFuture)
        #expect(NetworkInstant(nanoseconds: 5).advanced(by: .seconds(Int64.max)) == .distantFuture)
        #expect(NetworkInstant(nanoseconds: 5).advanced(by: .seconds(-1)) == NetworkInstant(nanoseconds: 5))
        #expect(NetworkInstant(nanoseconds: 5).duration(since: NetworkInstant(nanoseconds: 9)) == .zero)
        #expect(NetworkInstant.distantFuture.duration(since: NetworkInstant(nanoseconds: 0)) > .seconds(1 << 32))
        #expect(Duration.milliseconds(1_500).milliseconds == 1_500 && Duration.milliseconds(1_500).seconds == 1.5)
    }
}
