import DeP2PIdentity
import DeP2PReactor
import DeP2PStorage
import Testing

@testable import DeP2PSessions

@Suite @NetworkActor struct RecordSequenceTests {
    private let one = IdentityKey.generate().nodeID
    private let other = IdentityKey.generate().nodeID
    private let store = MemoryStorage(clock: { 1_000_000 })

    private func numbers(_ sequence: RecordSequence, _ count: Int) async -> [UInt64] {
        var numbers: [UInt64] = []
        for _ in 0..<count { numbers.append(await sequence.next()) }
        await sequence.flush()
        return numbers
    }

    @Test func numbersAreTheClocksAndAlwaysGrow() async {
        let sequence = RecordSequence(of: one, storage: store) { 500 }
        #expect(await numbers(sequence, 3) == [500, 501, 502])
    }

    /// Issue 9.8: after a restart with the clock set back the numbers go on above those that were told.
    @Test func aLaterRunGoesOnAboveAnEarlierOne() async {
        #expect(await numbers(RecordSequence(of: one, storage: store) { 900 }, 2) == [900, 901])
        #expect(await numbers(RecordSequence(of: one, storage: store) { 100 }, 2) == [902, 903])
        #expect(await numbers(RecordSequence(of: one, storage: store) { 2_000 }, 1) == [2_000])
        #expect(await numbers(RecordSequence(of: other, storage: store) { 7 }, 1) == [7])
    }

    /// Two processes with one identity: what is stored is the higher of theirs.
    @Test func whatIsStoredOnlyGrows() async {
        let (ahead, behind) = (
            RecordSequence(of: one, storage: store) { 900 }, RecordSequence(of: one, storage: store) { 100 }
        )
        #expect(await numbers(behind, 1) == [100])
        #expect(await numbers(ahead, 1) == [900])
        #expect(await numbers(behind, 1) == [101])
        #expect(await numbers(RecordSequence(of: one, storage: store) { 0 }, 1) == [901])
    }

    @Test func manyAtOnceGetNumbersOfTheirOwn() async {
        let sequence = RecordSequence(of: one, storage: store) { 10 }
        let tasks = (0..<50).map { _ in networkTask { await sequence.next() } }
        var numbers: Set<UInt64> = []
        for task in tasks { numbers.insert(await task.value) }
        #expect(numbers == Set(10..<60))
    }
}
