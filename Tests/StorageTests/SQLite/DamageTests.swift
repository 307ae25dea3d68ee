import DeP2PSimulation
import Foundation
import Testing

@testable import DeP2PStorage

/// Whatever a disk makes of the file: never a crash, never a hang, and what is read is what was written, or nothing.
@Suite struct DamageTests {
    private static let space = Space("things", rows: 200, keyBytes: 8, valueBytes: 8_192)
    private static let names = ["state.db", "state.db-wal", "state.db-shm"]
    private let folder = StoreFolder()

    private func open(_ folder: StoreFolder) -> SQLiteStorage { SQLiteStorage(file: folder.file, delay: nil) }

    /// What each key holds, so that anything else is known as wrong.
    private static func row(_ index: Int) -> Row {
        let value = UInt64(index).stored + [UInt8](repeating: UInt8(index), count: index % 20 == 0 ? 6_000 : 40)
        return Row(key: UInt64(index).stored, value: value, stamp: UInt64(index), expires: index % 3 == 0 ? .max : nil)
    }

    private func fill() -> [String: Data] {
        let store = open(folder)
        for index in 0..<150 { store.put(Self.row(index), in: Self.space) }
        store.flush()
        for index in 100..<110 { store.remove(UInt64(index), in: Self.space) }
        store.flush()
        // As a kill leaves it, with the log full and open.
        return Dictionary(uniqueKeysWithValues: Self.names.compactMap { name in folder.bytes(name).map { (name, $0) } })
    }

    /// - Returns: how many of the rows are there still.
    private func check(_ folder: StoreFolder, _ comment: Comment) -> Int {
        let store = open(folder)
        let rows = store.rows(in: Self.space, prefix: [], newest: .max)
        for row in rows {
            let index = UInt64(stored: row.key).map { Int(clamping: $0) } ?? -1
            #expect((0..<150).contains(index) && row == Self.row(index), comment)
        }
        for index in [0, 7, 149] {
            if let row = store.row(UInt64(index).stored, in: Self.space) { #expect(row == Self.row(index), comment) }
        }
        // And it goes on: what is new is kept.
        let key = UInt64(1_000).stored
        let new = Row(key: key, value: [1], stamp: 1_000)
        store.write([.put(new, in: Self.space)])
        store.flush()
        #expect(store.row(key, in: Self.space) == new, comment)
        if store.condition.problem == nil { #expect(open(folder).row(key, in: Self.space) == new, comment) }
        return rows.count
    }

    @Test func aThousandFilesWithFlippedBytes() throws {
        let whole = fill()
        var random = SplitMix64(seed: 9)
        var (intact, empty) = (0, 0)
        for round in 0..<1_000 {
            let folder = StoreFolder()
            for (name, bytes) in whole {
                var bytes = bytes
                let isHit = round % 3 == 0 || name == Self.names[round % 2]
                for _ in 0..<(isHit ? Int.random(in: 1...8, using: &random) : 0) where !bytes.isEmpty {
                    // Half of them where the structure is: in the first bytes of a page.
                    var position = Int.random(in: 0..<bytes.count, using: &random)
                    if Bool.random(using: &random) { position = position / 4_096 * 4_096 + position % 128 }
                    bytes[min(position, bytes.count - 1)] = UInt8.random(in: 0...255, using: &random)
                }
                // The index of the log is made anew by whoever opens it first.
                if name != "state.db-shm" || round % 3 == 0 { try folder.put(bytes, name) }
            }
            let count = check(folder, "round \(round)")
            intact += count == 140 ? 1 : 0
            empty += count == 0 ? 1 : 0
        }
        // It was of use: some files were damaged past use, and some not where it matters.
        #expect(intact > 10 && empty > 10 && intact + empty <= 1_000)
    }

    @Test func filesThatEndAnywhere() throws {
        let whole = fill()
        var random = SplitMix64(seed: 10)
        for round in 0..<150 {
            let folder = StoreFolder()
            for (name, bytes) in whole where name != "state.db-shm" {
                let isCut = name == Self.names[round % 2]
                let count = round < 4 ? round / 2 * 100 : Int.random(in: 0...bytes.count, using: &random)
                try folder.put(isCut ? bytes.prefix(count) : bytes, name)
            }
            _ = check(folder, "round \(round)")
        }
    }

    @Test func rubbishIsPutAside() throws {
        var random = SplitMix64(seed: 11)
        let whole = fill()
        let header = try #require(whole["state.db"]).prefix(100)
        let hollow = header + Data(repeating: 0, count: 8_092)
        for (content, isPutAside) in [
            (Data(random.bytes(upTo: 20_000) + [UInt8](repeating: 3, count: 600)), true), (header, true),
            (hollow, true), (Data("a text that somebody has put here, of many words".utf8), true), (Data(), false),
        ] {
            let folder = StoreFolder()
            try folder.put(content)
            let store = open(folder)
            #expect(store.names(in: Self.space).isEmpty)
            store.put(Row("b", stamp: 1), in: Self.space)
            store.flush()
            #expect(store.condition.problem == nil)
            #expect(store.condition.setAside == (isPutAside ? "\(folder.path)/state.db.damaged" : nil), "\(content)")
            #expect(open(folder).names(in: Self.space) == ["b"])
            #expect(folder.bytes("state.db.damaged") == (isPutAside ? content : nil))
        }
    }

    /// A journal of another time beside a file that is well.
    @Test func aHotJournalOfAnotherFile() throws {
        var random = SplitMix64(seed: 12)
        let whole = fill()
        let magic: [UInt8] = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7]
        for round in 0..<30 {
            let folder = StoreFolder()
            for (name, bytes) in whole where name == "state.db" { try folder.put(bytes, name) }
            try folder.put(Data(magic + [0, 0, 0, 9] + random.bytes(upTo: 20_000)), "state.db-journal")
            if round % 2 == 0 { try folder.put(Data(random.bytes(upTo: 20_000)), "state.db-wal") }
            _ = check(folder, "round \(round)")
        }
    }

    /// Damage that shows only in use: a file that another program shortens while it is open.
    @Test func aFileThatIsOverwrittenInUse() throws {
        let whole = fill()
        let store = open(folder)
        #expect(store.rows(in: Self.space, prefix: [], newest: .max).count == 140)
        let size = try #require(whole["state.db"]).count
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.file.path))
        try handle.write(contentsOf: Data(repeating: 0xa5, count: max(size, 65_536)))
        try handle.close()
        let log = try FileHandle(forWritingTo: URL(fileURLWithPath: folder.file.path + "-wal"))
        try log.write(contentsOf: Data(repeating: 0xa5, count: 65_536))
        try log.close()
        store.put(Row("b", stamp: 1), in: Self.space)
        store.flush()
        _ = store.rows(in: Self.space, prefix: [], newest: .max)
        store.flush()
        #expect(store.row("b", in: Self.space) != nil)
    }

    /// Another process has the damaged file open: it stays where it is, and memory serves meanwhile.
    @Test func aDamagedFileThatOthersUseStays() throws {
        let folder = StoreFolder()
        try folder.put(Data(repeating: 7, count: 5_000))
        let lock = try FileLock("\(folder.file.path).lock")
        #expect(try lock.take(alone: false))
        let store = open(folder)
        store.put(Row("b", stamp: 1), in: Self.space)
        store.flush()
        #expect(store.condition.problem?.code == .damaged)
        #expect(store.names(in: Self.space) == ["b"] && folder.bytes() == Data(repeating: 7, count: 5_000))
        withExtendedLifetime(lock) {}
    }
}

extension Storage {
    fileprivate func remove(_ number: UInt64, in space: Space) { write([.remove(number.stored, in: space)]) }
}
