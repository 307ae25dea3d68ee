import DeP2PStorage
import Testing

/// What ``Storage`` promises, held by each of its kinds.
@Suite struct StorageContractTests {
    private let space = Space("things", rows: 4, keyBytes: 8, valueBytes: 16)
    private let other = Space("others", rows: 4, keyBytes: 8, valueBytes: 16)
    private let folder = TemporaryFolder()
    private let clock = SetClock(1_000_000_000)

    @Test(arguments: StoreKind.allCases) func writesAreReadAtOnceAndAfterAFlush(_ kind: StoreKind) {
        let store = kind.make(folder, clock)
        #expect(store.row("a", in: space) == nil && store.names(in: space).isEmpty)
        #expect(store.put(Row("a", "one", stamp: 1), Row("b", "", stamp: 2), in: space))
        for _ in 0..<2 {
            #expect(store.row("a", in: space) == Row("a", "one", stamp: 1))
            #expect(store.row("b", in: space) == Row("b", "", stamp: 2))
            #expect(store.names(in: space) == ["b", "a"] && store.names(in: other).isEmpty)
            store.flush()
        }
        store.put(Row("a", "two", stamp: 3), in: space)
        store.remove("b", in: space)
        for _ in 0..<2 {
            #expect(store.row("a", in: space)?.value == Array("two".utf8) && store.row("b", in: space) == nil)
            #expect(store.names(in: space) == ["a"])
            store.flush()
        }
        #expect(store.condition == StorageCondition())
    }

    @Test(arguments: StoreKind.allCases) func aSpaceIsReadNewestFirstAndByPrefix(_ kind: StoreKind) {
        let store = kind.make(folder, clock)
        let space = Space("wide", rows: 10, keyBytes: 8, valueBytes: 8)
        store.put(Row("ab", stamp: 5), Row("aa", stamp: 5), Row("b", stamp: 9), Row("ac", stamp: 7), in: space)
        store.flush()
        store.put(Row("ad", stamp: 6), Row("b", stamp: 1), in: space)
        #expect(store.names(in: space) == ["ac", "ad", "aa", "ab", "b"])
        #expect(store.names(in: space, newest: 2) == ["ac", "ad"])
        #expect(store.names(in: space, prefix: "a", newest: 3) == ["ac", "ad", "aa"])
        #expect(store.names(in: space, prefix: "ab") == ["ab"] && store.names(in: space, prefix: "abc").isEmpty)
        #expect(store.names(in: space, newest: 0).isEmpty && store.names(in: space, newest: -1).isEmpty)
        let last = Row(key: [0xff, 0xff], value: [], stamp: 2)
        store.write([.put(last, in: space)])
        store.flush()
        #expect(store.rows(in: space, prefix: [0xff], newest: .max) == [last])
        #expect(store.rows(in: space, prefix: [0xff, 0xff], newest: .max) == [last])
    }

    @Test(arguments: StoreKind.allCases) func whatIsTooLongIsRefusedWhole(_ kind: StoreKind) {
        let store = kind.make(folder, clock)
        let fits = Row("12345678", "0123456789abcdef", stamp: 1)
        #expect(store.put(fits, in: space))
        #expect(!store.put(Row("a"), Row("123456789"), in: space))
        #expect(!store.put(Row("a"), Row("b", "0123456789abcdefg"), in: space))
        #expect(store.update(Array("c".utf8), in: space) { _ in Row("c", "0123456789abcdefg") } == nil)
        store.flush()
        #expect(store.names(in: space) == ["12345678"])
    }

    @Test(arguments: StoreKind.allCases) func theLeastRecentGiveWay(_ kind: StoreKind) {
        let store = kind.make(folder, clock)
        for stamp in 1...6 {
            store.put(Row("k\(stamp)", stamp: UInt64(stamp)), in: space)
            store.flush()
        }
        #expect(store.names(in: space) == ["k6", "k5", "k4", "k3"])
        // One that is older than all does not push them out, nor does what replaces another.
        store.put(Row("k0", stamp: 0), in: space)
        store.flush()
        store.put(Row("k3", "new", stamp: 7), in: space)
        store.flush()
        #expect(store.names(in: space) == ["k3", "k6", "k5", "k4"])
        store.put(Row("x"), in: other)
        store.flush()
        #expect(store.names(in: space).count == 4 && store.names(in: other) == ["x"])
    }

    @Test(arguments: StoreKind.allCases) func whatHasEndedIsGoneAndGivesWayFirst(_ kind: StoreKind) {
        let store = kind.make(folder, clock)
        let now = clock.now
        store.put(Row("a", stamp: 9, expires: now + 1), Row("b", stamp: 1), Row("c", stamp: 2), in: space)
        store.flush()
        #expect(store.row("a", in: space)?.expires == now + 1)
        clock.now = now + 1
        #expect(store.row("a", in: space) == nil && store.names(in: space) == ["c", "b"])
        // A clock that ran ahead and is set back has lost nothing.
        clock.now = now
        #expect(store.row("a", in: space) != nil)
        clock.now = now + 1
        store.put(Row("d", stamp: 3), Row("e", stamp: 4), in: space)
        store.flush()
        clock.now = now
        #expect(store.names(in: space) == ["e", "d", "c", "b"])
        // Where there is room it stays for a day.
        store.remove("b", in: space)
        store.put(Row("f", stamp: 5, expires: now), in: space)
        store.flush()
        clock.now = now - 1
        #expect(store.row("f", in: space) != nil)
        clock.now = now + 86_400_000
        store.put(Row("e", stamp: 4), in: space)
        store.flush()
        clock.now = now - 1
        #expect(store.row("f", in: space) == nil)
    }

    @Test(arguments: StoreKind.allCases) func aClockThatWasSetBackHidesNothing(_ kind: StoreKind) {
        let store = kind.make(folder, clock)
        store.put(Row("a", stamp: clock.now), Row("b", stamp: clock.now - 1), in: space)
        store.flush()
        // Twenty years back, as on a board without a clock of its own.
        clock.now = 1_000
        #expect(store.names(in: space) == ["a", "b"] && store.row("a", in: space)?.stamp == 1_000)
        // What seems to be from the future goes first.
        for name in ["c", "d", "e"] {
            store.put(Row(name, stamp: 999), in: space)
            store.flush()
        }
        #expect(store.names(in: space) == ["a", "c", "d", "e"])
    }

    @Test(arguments: StoreKind.allCases) func anUpdateSeesWhatIsThere(_ kind: StoreKind) {
        let store = kind.make(folder, clock)
        let key = Array("n".utf8)
        func add() -> Row? {
            store.update(key, in: space) { old in
                Row("", (old.map { String(decoding: $0.value, as: UTF8.self) } ?? "") + "x")
            }
        }
        #expect(add() == Row("n", "x"))
        store.put(Row("n", "xx"), in: space)
        #expect(add() == Row("n", "xxx"))
        #expect(store.row("n", in: space) == Row("n", "xxx"))
        #expect(store.update(key, in: space) { $0 } == Row("n", "xxx"))
        #expect(store.update(key, in: space) { _ in nil } == nil && store.row("n", in: space) == nil)
        store.put(Row("n", "old", expires: clock.now), in: space)
        #expect(add() == Row("n", "x"))
    }

    @Test(arguments: StoreKind.allCases) func timesBeyondWhatTheFileHoldsAreItsLatest(_ kind: StoreKind) {
        let store = kind.make(folder, clock)
        store.put(Row("a", stamp: .max, expires: .max), in: space)
        store.flush()
        #expect(store.row("a", in: space) == Row("a", stamp: clock.now, expires: Row.latest))
        clock.now = .max
        #expect(store.row("a", in: space) == nil)
    }
}
