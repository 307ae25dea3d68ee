import DeP2PStorage
import Testing

@Suite struct TableTests {
    private static let counts = Table<[UInt8], UInt64>("counts", rows: 8, keyBytes: 4, valueBytes: 8)
    private static let texts = Table<[UInt8], [UInt8]>("counts", rows: 8, keyBytes: 4, valueBytes: 8)

    @Test func keysAndValuesKeepTheirTypes() {
        let store = MemoryStorage()
        #expect(store.set(Entry(.max, stamp: 5), for: [1], in: Self.counts))
        #expect(store.set(Entry(7, stamp: 6, expires: .max), for: [1, 2], in: Self.counts))
        #expect(store.entry([1], in: Self.counts) == Entry(.max, stamp: 5))
        #expect(store.entries(in: Self.counts).map(\.key) == [[1, 2], [1]])
        #expect(store.entries(in: Self.counts, prefix: [1, 2]).map(\.entry.value) == [7])
        let sum = store.update([1, 2], in: Self.counts) { old in Entry((old?.value ?? 0) + 1, stamp: 8) }
        #expect(sum == Entry(8, stamp: 8))
        store.remove([1], in: Self.counts)
        #expect(store.entries(in: Self.counts).count == 1)
    }

    /// What a later or another form of a tenant has left there is nothing to it.
    @Test func bytesOfAnotherFormAreNothing() {
        let store = MemoryStorage()
        store.set(Entry([1, 2, 3], stamp: 1), for: [9], in: Self.texts)
        #expect(store.entry([9], in: Self.counts) == nil && store.entries(in: Self.counts).isEmpty)
        #expect(store.update([9], in: Self.counts) { old in Entry(old?.value ?? 40, stamp: 1) }?.value == 40)
    }

    @Test func numbersAreInNetworkOrder() {
        #expect(UInt64(0x0102_0304_0506_0708).stored == [1, 2, 3, 4, 5, 6, 7, 8])
        #expect(UInt64(stored: [0, 0, 0, 0, 0, 0, 1, 0]) == 256 && UInt64(stored: [1]) == nil)
    }
}
