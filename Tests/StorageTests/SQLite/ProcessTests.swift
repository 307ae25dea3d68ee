import DeP2PIdentity
import Foundation
import Testing

@testable import DeP2PStorage

/// Several processes, and such as are killed. Each child is this test program, started for one closure.
@Suite struct ProcessTests {
    private static let space = Space("counts", rows: 1_000, keyBytes: 8, valueBytes: 4_096)
    private let folder = StoreFolder()

    /// kill -9 at any moment: what had been flushed is there, in order, and the file is sound. That whatever is written is
    /// flushed within a second, on a machine that is not overloaded, is the writer's doing: no test asserts on time.
    @Test func aKilledProcessKeepsWhatWasFlushed() async throws {
        let path = folder.path
        var reached: UInt64 = 0
        for round in 0..<8 {
            let milliseconds = Int.random(in: 20...1_500)
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [path = path as String, milliseconds = milliseconds as Int] in
                Self.writeUntilKilled(in: path, after: milliseconds)
            }
            // It may have come to its end before it wrote anything.
            guard folder.bytes() != nil else { continue }
            let database = try Database(path: folder.file.path, patience: 1_000)
            #expect(try database.text("PRAGMA integrity_check") == "ok")
            let store = SQLiteStorage(folder: path)
            let stored = store.row([1], in: Self.space).flatMap { UInt64(stored: $0.value) } ?? 0
            // What it had noted in a plain file: when it had flushed, and when it had written.
            let noted = Self.notes(path)
            let due = noted.last { $0.isFlushed }?.count ?? reached
            #expect(
                stored >= due && stored >= reached && stored <= (noted.last?.count ?? reached) + 1, "round \(round)")
            // Both rows of a write are there, or none.
            #expect(store.row([2], in: Self.space).flatMap { UInt64(stored: $0.value) } ?? 0 == stored)
            #expect(store.condition == StorageCondition())
            reached = stored
        }
        #expect(reached > 0)
    }

    private static func writeUntilKilled(in path: String, after milliseconds: Int) {
        let store = SQLiteStorage(folder: path)
        var count = store.row([1], in: space).flatMap { UInt64(stored: $0.value) } ?? 0
        let notes = open("\(path).notes", O_WRONLY | O_CREAT | O_APPEND, 0o600)
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { kill(getpid(), SIGKILL) }
        while true {
            count += 1
            let now = WallClock.milliseconds()
            let row = { (key: UInt8) in Row(key: [key], value: count.stored, stamp: now) }
            store.write([.put(row(1), in: space), .put(row(2), in: space)])
            let filler = Row(key: (count % 900 + 10).stored, value: [UInt8](repeating: 1, count: 3_000), stamp: now)
            store.write([.put(filler, in: space)])
            let isFlushed = count.isMultiple(of: 64)
            if isFlushed { store.flush() }
            let note = count.stored + UInt64(isFlushed ? 1 : 0).stored
            write(notes, note, note.count)
            usleep(200)
        }
    }

    private static func notes(_ path: String) -> [(count: UInt64, isFlushed: Bool)] {
        let bytes = [UInt8](FileManager.default.contents(atPath: "\(path).notes") ?? Data())
        try? FileManager.default.removeItem(atPath: "\(path).notes")
        return stride(from: 0, to: bytes.count - 15, by: 16).map { start in
            let number = { (from: Int) in bytes[from..<from + 8].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
            return (number(start), number(start + 8) == 1)
        }
    }

    /// A daemon and one-shot commands beside it: every count is there in the end.
    @Test func processesCountTogether() async throws {
        let path = folder.path
        let daemon = SQLiteStorage(folder: path)
        await withTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    await #expect(processExitsWith: .success) { [path = path as String] in
                        let store = SQLiteStorage(folder: path)
                        for _ in 0..<25 { Self.add(store) }
                        store.flush()
                        exit(store.condition == StorageCondition() ? 0 : 1)
                    }
                }
            }
            for _ in 0..<25 { Self.add(daemon) }
        }
        daemon.flush()
        #expect(daemon.condition == StorageCondition())
        #expect(daemon.row([7], in: Self.space).flatMap { UInt64(stored: $0.value) } == 125)
    }

    private static func add(_ store: SQLiteStorage) {
        store.update([7], in: space) { old in
            Row(key: [7], value: ((old.flatMap { UInt64(stored: $0.value) } ?? 0) + 1).stored, stamp: 1)
        }
    }
}
