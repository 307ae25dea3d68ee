import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2P

/// One observer's queue, and the hub that fills several (issue 9.6).
@Suite struct NodeEventsTests {
    private static let sender = IdentityKey.generate().nodeID

    private func push(_ numbers: ClosedRange<Int>, to events: NodeEvents) {
        for number in numbers { events.push(.messageFailed(from: Self.sender, protocolName: "\(number)", reason: "")) }
    }

    /// The numbers read; what was left out is negative.
    private func number(_ event: NodeEvent) -> Int? {
        switch event {
        case .messageFailed(_, let name, _): Int(name)
        case .dropped(let count): -count
        default: nil
        }
    }

    private func all(_ events: NodeEvents) async -> [Int?] {
        var result: [Int?] = []
        for await event in events { result.append(number(event)) }
        return result
    }

    @Test func whatIsBeyondTheCapacityIsCountedWhereItWouldStand() async {
        let events = NodeEvents(of: .all, capacity: 3)
        push(1...5, to: events)
        #expect(events.dropped == 2)
        var iterator = events.makeAsyncIterator()
        #expect(await iterator.next().flatMap(number) == 1)
        // Of the gap an event can be told as soon as there is room again.
        push(6...7, to: events)
        events.cancel()
        #expect(await all(events) == [2, 3, -2, 6, -1])
        #expect(events.dropped == 3)
    }

    @Test func aSlowObserverKeepsNoMoreThanItsCapacity() async {
        let events = NodeEvents(of: .all, capacity: 100)
        var iterator = events.makeAsyncIterator()
        var read: [Int?] = []
        for round in 0..<1_000 {
            push((round * 10)...(round * 10 + 9), to: events)
            read.append(await iterator.next().flatMap(number))
        }
        events.cancel()
        let rest = await all(events)
        #expect(rest.count <= 102)
        read += rest
        // Nothing is lost without being counted, and nothing told twice.
        #expect(read.reduce(0) { $0 + (($1 ?? 0) < 0 ? -($1 ?? 0) : 1) } == 10_000)
        let told = read.compactMap(\.self).filter { $0 >= 0 }
        #expect(told == told.sorted() && Set(told).count == told.count)
    }

    @Test func whatCameBeforeTheEndIsRead() async {
        let events = NodeEvents(of: .all, capacity: 10)
        push(1...2, to: events)
        events.cancel()
        push(3...4, to: events)
        #expect(await all(events) == [1, 2])
    }

    @Test func aReaderThatIsCancelledEnds() async {
        let events = NodeEvents(of: .all, capacity: 10)
        let reading = Task { await all(events) }
        reading.cancel()
        #expect(await reading.value.isEmpty)
    }

    @Test @NetworkActor func everyObserverHearsEverythingThatItWants() async {
        let hub = NodeEventHub()
        let first = hub.observe(.all, capacity: 10, earlier: [])
        let second = hub.observe(.messages, capacity: 10, earlier: [.networkChanged])
        let third = hub.observe(.node, capacity: 10, earlier: [.networkChanged])
        hub.emit(.messageFailed(from: Self.sender, protocolName: "1", reason: ""))
        second.cancel()
        hub.emit(.messageFailed(from: Self.sender, protocolName: "2", reason: ""))
        hub.finish()
        #expect(await all(first) == [1, 2])
        #expect(await all(second) == [1])
        #expect(await all(third).count == 1)
        #expect(await all(hub.observe(.all, capacity: 10, earlier: [])) == [])
    }

    @Test @NetworkActor func whoLetsGoIsForgotten() {
        let hub = NodeEventHub()
        for _ in 0..<100 { _ = hub.observe(.all, capacity: 10, earlier: []) }
        let kept = hub.observe(.all, capacity: 10, earlier: [])
        hub.emit(.networkChanged)
        #expect(hub.count == 1)
        withExtendedLifetime(kept) {}
    }
}
