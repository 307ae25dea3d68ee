import Testing

@testable import DeP2PStorage

@Suite struct OverlayTests {
    private let space = Space("space", rows: 3, keyBytes: 8, valueBytes: Space.longestValue)

    @Test func aSpaceIsHeldToItsRows() {
        var overlay = Overlay()
        for stamp in 1...5 { overlay.set(.put(Row("k\(stamp)", stamp: UInt64(stamp)), in: space)) }
        #expect(overlay.trim(at: 10, remembersRemovals: true) == 0)
        // What they were to replace on the disk has to go too.
        #expect(overlay.change(of: Array("k1".utf8), in: space)?.row == nil && overlay.count(in: space) == 5)
        #expect(overlay.changes[space]?.values.compactMap(\.row?.name).sorted() == ["k3", "k4", "k5"])
        _ = overlay.trim(at: 10, remembersRemovals: false)
        #expect(overlay.count(in: space) == 3)
    }

    @Test func theWholeIsHeldToItsBytes() {
        var overlay = Overlay()
        let space = Space("wide", rows: 10_000, keyBytes: 8, valueBytes: Space.longestValue)
        let value = String(repeating: "v", count: 60_000)
        for stamp in 1...200 { overlay.set(.put(Row("k\(stamp)", value, stamp: UInt64(stamp)), in: space)) }
        overlay.set(.remove([1], in: space))
        #expect(overlay.cost > Overlay.byteLimit)
        let lost = overlay.trim(at: 1_000, remembersRemovals: true)
        #expect(lost > 100 && overlay.cost <= Overlay.byteLimit)
        // The most recent stay.
        #expect(overlay.change(of: Array("k200".utf8), in: space) != nil)
        #expect(overlay.change(of: Array("k1".utf8), in: space) == nil && overlay.change(of: [1], in: space) == nil)
        #expect(overlay.count(in: space) == 201 - lost)
        for change in overlay.changes.values.flatMap(\.values) { overlay.set(.remove(change.key, in: change.space)) }
        _ = overlay.trim(at: 1_000, remembersRemovals: false)
        #expect(overlay.isEmpty && overlay.cost == 0)
    }
}
