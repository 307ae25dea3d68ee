import DeP2PReactor
import Testing

@testable import DeP2PApp

@Suite struct RoomLedgerTests {
    private let room = FileSystemRoom(device: 1, freeBytes: 100, blockSize: 1)
    private let start = NetworkInstant(nanoseconds: 1_000_000_000)

    private func at(_ seconds: Int) -> NetworkInstant { start.advanced(by: .seconds(seconds)) }

    @Test func twoThatFitAloneDoNotFitTogether() {
        var ledger = RoomLedger()
        #expect(ledger.reserve(61, for: 1, in: room, since: ledger.written, at: start) == .reserved)
        ledger.wrote(1, for: 1, at: start)
        #expect(
            ledger.reserve(60, for: 2, in: room, since: ledger.written, at: start)
                == .refused(available: 40, reservedByOthers: 60))
        #expect(ledger.reserve(40, for: 2, in: room, since: ledger.written, at: start) == .reserved)
        ledger.release(1)
        #expect(ledger.reserve(60, for: 3, in: room, since: ledger.written, at: start) == .reserved)
    }

    /// The file system was asked, then another transfer wrote, and then room is reserved by the old answer.
    @Test func whatIsWrittenMeanwhileIsNotFree() {
        var ledger = RoomLedger()
        #expect(ledger.reserve(61, for: 1, in: room, since: ledger.written, at: start) == .reserved)
        ledger.wrote(1, for: 1, at: start)
        let mark = ledger.written
        ledger.wrote(30, for: 1, at: start)
        #expect(
            ledger.reserve(41, for: 2, in: room, since: mark, at: start)
                == .refused(available: 40, reservedByOthers: 60))
        #expect(ledger.reserve(41, for: 2, in: room, since: ledger.written, at: start) == .reserved)
        ledger.release(2)
        #expect(ledger.reserve(40, for: 2, in: room, since: mark, at: start) == .reserved)
    }

    /// One member offers all that is free, and sends nothing.
    @Test func whatIsOnlySaidKeepsHalfForAMinute() {
        var ledger = RoomLedger()
        for id in RoomLedger.ID(1)...8 { _ = ledger.reserve(100, for: id, in: room, since: ledger.written, at: start) }
        #expect(
            ledger.reserve(51, for: 9, in: room, since: ledger.written, at: start)
                == .refused(available: 50, reservedByOthers: 50))
        #expect(ledger.reserve(50, for: 9, in: room, since: ledger.written, at: start) == .reserved)
        // To say it again makes it no younger.
        _ = ledger.reserve(100, for: 1, in: room, since: ledger.written, at: at(30))
        #expect(ledger.reserve(100, for: 9, in: room, since: ledger.written, at: at(60)) == .reserved)
    }

    @Test func whatMovesKeepsItsRoom() {
        var ledger = RoomLedger()
        let disk = FileSystemRoom(device: 1, freeBytes: 1 << 40, blockSize: 1)
        let most: UInt64 = 3 << 38
        #expect(ledger.reserve(most, for: 1, in: disk, since: ledger.written, at: start) == .reserved)
        for second in 0..<300 { ledger.wrote(10 << 20, for: 1, at: at(second)) }
        let left = most - 300 * (10 << 20)
        #expect(ledger.reserved(in: disk, beside: 2, at: at(300)) == left)
        // A drip vouches for a day of dripping.
        for minute in 6..<10 { ledger.wrote(1000, for: 1, at: at(60 * minute)) }
        #expect(ledger.reserved(in: disk, beside: 2, at: at(599)) == 1000 * RoomLedger.vouched)
        #expect(ledger.reserved(in: disk, beside: 2, at: at(10_000)) == 0)
    }

    /// A number of ten bytes leaves out any amount.
    @Test func whatIsLeftOutVouchesForNothing() {
        var ledger = RoomLedger()
        #expect(ledger.reserve(80, for: 1, in: room, since: ledger.written, at: start) == .reserved)
        ledger.spare(30, for: 1)
        #expect(ledger.outstanding(1) == 50)
        ledger.spare(1, for: 1)
        #expect(ledger.reserved(in: room, beside: 2, at: at(61)) == 0)
    }

    @Test func whatIsWrittenIsCountedOnce() {
        var ledger = RoomLedger()
        _ = ledger.reserve(60, for: 1, in: room, since: ledger.written, at: start)
        ledger.wrote(50, for: 1, at: start)
        // The disk has 50 less by now, and 10 more will come.
        let later = FileSystemRoom(device: 1, freeBytes: 50, blockSize: 1)
        #expect(
            ledger.reserve(41, for: 2, in: later, since: ledger.written, at: start)
                == .refused(available: 40, reservedByOthers: 10))
        #expect(ledger.reserve(40, for: 2, in: later, since: ledger.written, at: start) == .reserved)
        ledger.wrote(1000, for: 1, at: start)
        #expect(ledger.reserved(in: later, beside: 2, at: start) == 0)
    }

    @Test func anotherFileSystemIsAnotherMatter() {
        var ledger = RoomLedger()
        let other = FileSystemRoom(device: 2, freeBytes: 100, blockSize: 1)
        _ = ledger.reserve(100, for: 1, in: room, since: ledger.written, at: start)
        #expect(ledger.reserve(100, for: 2, in: other, since: ledger.written, at: start) == .reserved)
    }

    @Test func sumsDoNotOverflow() {
        var ledger = RoomLedger()
        let endless = FileSystemRoom(device: 1, freeBytes: .max, blockSize: 1)
        #expect(ledger.reserve(.max, for: 1, in: endless, since: ledger.written, at: start) == .reserved)
        ledger.wrote(1 << 62, for: 1, at: start)
        let left = UInt64.max - 1 << 62
        #expect(
            ledger.reserve(.max, for: 2, in: endless, since: ledger.written, at: start)
                == .refused(available: 1 << 62, reservedByOthers: left))
        #expect(ledger.reserve(1 << 62, for: 2, in: endless, since: ledger.written, at: start) == .reserved)
        #expect(ledger.reserve(.max, for: 3, in: endless, since: ledger.written, at: start) != .reserved)
        #expect(endless.adding(1) == endless)
        #expect(FileSystemRoom(device: 1, freeBytes: 0, blockSize: 4096).taken(by: .max) == .max)
        #expect(FileSystemRoom(device: 1, freeBytes: 0, blockSize: 4096).taken(by: 1) == 4096)
        #expect(FileSystemRoom(device: 1, freeBytes: 0, blockSize: 4096).taken(by: 8192) == 8192)
        #expect(FileSystemRoom(device: 1, freeBytes: 0, blockSize: 0).taken(by: 5) == 5)
    }
}
