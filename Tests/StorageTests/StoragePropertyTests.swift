import DeP2PSimulation
import DeP2PStorage
import Testing

@testable import DeP2PStorage

/// Random operations: the file does what the double in memory does.
@Suite struct StoragePropertyTests {
    private static let spaces = [
        Space("one", rows: 5, keyBytes: 4, valueBytes: 40), Space("two", rows: 20, keyBytes: 4, valueBytes: 500),
    ]

    /// Every write is flushed, and the file opened anew now and then: row for row the same, evictions and all.
    @Test(arguments: 0..<12) func theFileDoesWhatMemoryDoes(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let (folder, clock) = (StoreFolder(), SetClock(500_000_000))
        let memory = MemoryStorage(clock: clock.read)
        var file = SQLiteStorage(file: folder.file, delay: nil, clock: clock.read)
        for step in 0..<250 {
            switch Int.random(in: 0..<20, using: &random) {
            case 0: clock.now = UInt64.random(in: 0...1_000_000_000, using: &random)
            case 1: file = SQLiteStorage(file: folder.file, delay: nil, clock: clock.read)
            case 2...4:
                let (space, key) = (Self.spaces.pick(&random), key(&random))
                let row = Bool.random(using: &random) ? row(&random, in: space) : nil
                let isKept = Bool.random(using: &random)
                let results = [file as any Storage, memory].map { store in
                    store.update(key, in: space) { old in isKept ? old : row }
                }
                #expect(results[0] == results[1], "seed \(seed), step \(step)")
            default:
                let changes = (0..<Int.random(in: 1...4, using: &random)).map { _ in change(&random) }
                #expect(file.write(changes) == memory.write(changes))
                file.flush()
            }
            compare(file, memory, &random, "seed \(seed), step \(step)")
        }
        #expect(file.condition == StorageCondition())
    }

    /// Nothing is flushed but by chance, nothing is evicted: what waits lies over what is stored.
    @Test(arguments: 0..<12) func whatWaitsIsSeenAsIfItWereStored(_ seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        let (folder, clock) = (StoreFolder(), SetClock(500_000_000))
        let space = Space("one", rows: 2_000, keyBytes: 4, valueBytes: 40)
        let memory = MemoryStorage(clock: clock.read)
        let file = SQLiteStorage(file: folder.file, delay: nil, clock: clock.read)
        for step in 0..<300 {
            if Int.random(in: 0..<10, using: &random) == 0 { file.flush() }
            if Int.random(in: 0..<10, using: &random) == 0 {
                clock.now = UInt64.random(in: 500_000_000...500_000_100, using: &random)
            }
            let change =
                Int.random(in: 0..<3, using: &random) > 0
                ? Change.put(row(&random, in: space), in: space) : .remove(key(&random), in: space)
            #expect(file.write([change]) == memory.write([change]))
            compare(file, memory, &random, "seed \(seed), step \(step)", in: [space])
        }
    }

    private func compare(
        _ file: SQLiteStorage, _ memory: MemoryStorage, _ random: inout SplitMix64, _ comment: Comment,
        in spaces: [Space] = spaces
    ) {
        let (key, limit) = (key(&random), Int.random(in: 0...8, using: &random))
        for space in spaces {
            #expect(file.row(key, in: space) == memory.row(key, in: space), comment)
            let prefix = Array(key.prefix(Int.random(in: 0...1, using: &random)))
            let rows = file.rows(in: space, prefix: prefix, newest: limit)
            #expect(rows == memory.rows(in: space, prefix: prefix, newest: limit), comment)
        }
    }

    private func key(_ random: inout SplitMix64) -> [UInt8] {
        (0..<Int.random(in: 1...2, using: &random)).map { _ in [0, 1, 7, 0xfe, 0xff].pick(&random) }
    }

    private func row(_ random: inout SplitMix64, in space: Space) -> Row {
        let times: [UInt64] = [0, 1, 499_999_990, 500_000_000, 500_000_050, 900_000_000]
        return Row(
            key: key(&random), value: random.bytes(upTo: space.valueBytes), stamp: times.pick(&random),
            expires: Bool.random(using: &random) ? nil : times.pick(&random))
    }

    private func change(_ random: inout SplitMix64) -> Change {
        let space = Self.spaces.pick(&random)
        return Int.random(in: 0..<4, using: &random) > 0
            ? .put(row(&random, in: space), in: space) : .remove(key(&random), in: space)
    }
}
