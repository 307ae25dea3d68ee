import Testing

@testable import AppLayer

@Suite struct RoomLedgerTests {
    private let room = FileSystemRoom(device: 1, freeBytes: 100, blockSize: 1)

    @Test func twoThatFitAloneDoNotFitTogether() {
        var ledger = RoomLedger()
        #expect(ledger.reserve(60, for: 1, in: room) == .reserved)
        #expect(ledger.reserve(60, for: 2, in: room) == .refused(available: 40, reservedByOthers: 60))
        #expect(ledger.reserve(40, for: 2, in: room) == .reserved)
        ledger.release(1)
        #expect(ledger.reserve(60, for: 3, in: room) == .reserved)
    }

    @Test func whatIsWrittenIsCountedOnce() {
        var ledger = RoomLedger()
        _ = ledger.reserve(60, for: 1, in: room)
        ledger.wrote(50, for: 1)
        // The disk has 50 less by now, and 10 more will come.
        let later = FileSystemRoom(device: 1, freeBytes: 50, blockSize: 1)
        #expect(ledger.reserve(40, for: 2, in: later) == .reserved)
        #expect(ledger.reserve(41, for: 3, in: later) == .refused(available: 0, reservedByOthers: 50))
        ledger.wrote(1000, for: 1)
        #expect(ledger.reserved(on: 1, beside: 2) == 0)
    }

    @Test func anotherFileSystemIsAnotherMatter() {
        var ledger = RoomLedger()
        _ = ledger.reserve(100, for: 1, in: room)
        #expect(ledger.reserve(100, for: 2, in: FileSystemRoom(device: 2, freeBytes: 100, blockSize: 1)) == .reserved)
    }

    @Test func sumsDoNotOverflow() {
        var ledger = RoomLedger()
        let endless = FileSystemRoom(device: 1, freeBytes: .max, blockSize: 1)
        #expect(ledger.reserve(.max, for: 1, in: endless) == .reserved)
        #expect(ledger.reserve(1, for: 2, in: endless) == .refused(available: 0, reservedByOthers: .max))
        #expect(FileSystemRoom(device: 1, freeBytes: 0, blockSize: 4096).taken(by: .max) == .max)
        #expect(FileSystemRoom(device: 1, freeBytes: 0, blockSize: 4096).taken(by: 1) == 4096)
        #expect(FileSystemRoom(device: 1, freeBytes: 0, blockSize: 4096).taken(by: 8192) == 8192)
        #expect(FileSystemRoom(device: 1, freeBytes: 0, blockSize: 0).taken(by: 5) == 5)
    }
}
