import DeP2PIdentity
import Testing

@testable import DeP2P

@Suite struct WaitingStreamsTests {
    private let nodes = (0..<9).map { _ in IdentityKey.generate().nodeID }

    @Test func theyAreTakenInOrder() {
        var waiting = WaitingStreams<String>()
        let numbers = ["a", "b", "c"].map { waiting.add($0, of: nodes[0]) }
        #expect(waiting.remove(numbers[1]) == "b" && waiting.remove(numbers[1]) == nil)
        #expect([waiting.takeFirst(), waiting.takeFirst(), waiting.takeFirst()] == ["a", "c", nil])
    }

    @Test func oneNodeHasAnEighthOfThePlaces() {
        var waiting = WaitingStreams<Int>()
        for number in 0..<IncomingStreams.waitingLimitPerNode {
            #expect(waiting.hasRoom(for: nodes[0]))
            _ = waiting.add(number, of: nodes[0])
        }
        #expect(!waiting.hasRoom(for: nodes[0]) && waiting.hasRoom(for: nodes[1]))
        _ = waiting.takeFirst()
        #expect(waiting.hasRoom(for: nodes[0]))
    }

    @Test func allTogetherHaveALimit() {
        var waiting = WaitingStreams<Int>()
        for number in 0..<IncomingStreams.waitingLimit {
            let node = nodes[number / IncomingStreams.waitingLimitPerNode]
            #expect(waiting.hasRoom(for: node))
            _ = waiting.add(number, of: node)
        }
        #expect(!waiting.hasRoom(for: nodes[8]) && waiting.count == IncomingStreams.waitingLimit)
        #expect(waiting.removeAll() == Array(0..<IncomingStreams.waitingLimit) && waiting.hasRoom(for: nodes[8]))
    }
}
