import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2P

/// A subscription's queue: what a reader is told that is slower than what comes.
@Suite struct TopicEventsTests {
    private static let author = IdentityKey.generate().nodeID

    private func message(_ number: UInt64, body: [UInt8] = []) -> TopicEvent {
        .message(
            TopicMessage(
                from: Self.author, topic: "t", sequence: number, id: "\(number)", body: body, receivedAt: 0))
    }

    /// What waits, up to `count` events.
    private func read(_ count: Int, of events: TopicEvents) async -> [TopicEvent] {
        var iterator = events.makeAsyncIterator()
        var result: [TopicEvent] = []
        while result.count < count, let event = await iterator.next() { result.append(event) }
        return result
    }

    @Test func whatIsLeftOutIsCountedWhereItWouldStand() async {
        let events = TopicEvents("t", capacity: 2)
        for number in 1...4 as ClosedRange<UInt64> { events.push(message(number)) }
        #expect(events.dropped == 2)
        #expect(await read(1, of: events) == [message(1)])
        events.push(message(5))
        #expect(await read(3, of: events) == [message(2), .dropped(2), message(5)])
        events.push(message(6))
        #expect(await read(1, of: events) == [message(6)] && events.dropped == 2)
    }

    @Test func aGapAtTheEndIsToldWithoutWaitingForWhatFollows() async {
        let events = TopicEvents("t", capacity: 1)
        events.push(message(1))
        events.push(message(2))
        #expect(await read(2, of: events) == [message(1), .dropped(1)])
    }

    /// Issue 7: few large messages fill memory as many small ones do.
    @Test func bytesThatWaitAreBoundedToo() async {
        let events = TopicEvents("t", capacity: 100)
        let half = [UInt8](repeating: 7, count: TopicEvents.byteLimit / 2)
        for number in 1...3 as ClosedRange<UInt64> { events.push(message(number, body: half)) }
        #expect(events.dropped == 1)
        events.push(.gap(from: Self.author, count: 1))
        #expect(await read(1, of: events).count == 1)
        // There is room for one again, and none for one more byte.
        events.push(message(4, body: half))
        events.push(message(5, body: [1]))
        #expect(events.dropped == 2)
        #expect(
            await read(5, of: events) == [
                message(2, body: half), .dropped(1), .gap(from: Self.author, count: 1), message(4, body: half),
                .dropped(1),
            ])
    }

    @Test func aCapacityOfNothingIsOne() async {
        let events = TopicEvents("t", capacity: 0)
        events.push(message(1))
        #expect(await read(1, of: events) == [message(1)] && events.dropped == 0)
    }

    @Test func whatHasComeIsReadAfterTheEndAndNothingCameLater() async {
        let events = TopicEvents("t", capacity: 8)
        events.push(message(1))
        events.finish()
        events.push(message(2))
        #expect(await read(9, of: events) == [message(1)] && events.dropped == 0)
    }

    @Test func aReaderThatWaitsIsWokenByTheEnd() async {
        let events = TopicEvents("t", capacity: 8)
        async let all = read(9, of: events)
        await Task.yield()
        events.cancel()
        #expect(await all.isEmpty)
    }

    /// Who forgets to cancel keeps no subscription alive.
    @Test(arguments: [true, false]) func lettingGoIsToldOnce(cancels: Bool) async {
        let (calls, call) = AsyncStream<Void>.makeStream()
        do {
            let events = TopicEvents("t", capacity: 8)
            events.onRelease { call.yield() }
            if cancels {
                events.cancel()
                events.cancel()
            }
        }
        var iterator = calls.makeAsyncIterator()
        #expect(await iterator.next() != nil)
        // Whatever else was asked of the network thread came before this.
        await networkTask { call.finish() }.value
        #expect(await iterator.next() == nil)
    }
}
