import Foundation
import Testing

@testable import DeP2PStorage

@Suite struct SchemaTests {
    private let folder = TemporaryFolder()
    private let space = Space("things", rows: 8, keyBytes: 8, valueBytes: 16)
    /// Two steps after the present form, as later programs may have.
    private let later = Schema(
        migrations: Schema.current.migrations + [
            "CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('kept')",
            "ALTER TABLE notes ADD COLUMN stamp INTEGER NOT NULL DEFAULT 7",
        ])

    private func store(_ schema: Schema) -> SQLiteStorage {
        SQLiteStorage(file: StorageFile(folder: folder.path, schema: schema), delay: nil)
    }

    @Test func eachVersionLeadsToTheLastWithItsRows() throws {
        for first in 0...2 {
            let folder = TemporaryFolder()
            let migrations = Array(later.migrations.prefix(first + 1))
            let old = SQLiteStorage(
                file: StorageFile(folder: folder.path, schema: Schema(migrations: migrations)), delay: nil)
            old.put(Row("a", "one", stamp: 1), in: space)
            old.flush()
            let new = SQLiteStorage(file: StorageFile(folder: folder.path, schema: later), delay: nil)
            // The first still has it open: a form is changed by who has the file alone.
            if first < 2 {
                #expect(new.row("a", in: space) == nil)
                #expect(old.row("a", in: space) != nil)
            }
            withExtendedLifetime(old) {}
        }
        do {
            let old = store(.current)
            old.put(Row("a", "one", stamp: 1), in: space)
            old.flush()
        }
        #expect(store(later).row("a", in: space) == Row("a", "one", stamp: 1))
        let database = try Database(path: "\(folder.path)/\(StorageFile.name)", patience: 100)
        #expect(try database.integer("SELECT stamp FROM notes") == 7)
        #expect(try database.integer("PRAGMA user_version") == 3)
    }

    @Test func aStepThatFailsLeavesTheFileAsItWas() throws {
        do {
            let old = store(.current)
            old.put(Row("a", "one", stamp: 1), in: space)
            old.flush()
        }
        let broken = Schema(migrations: later.migrations + ["CREATE TABLE half (a); NOT SQL"])
        let database = try Database(path: "\(folder.path)/\(StorageFile.name)", patience: 100)
        #expect(throws: DatabaseError.self) { try broken.migrate(database) }
        #expect(try database.integer("PRAGMA user_version") == 1)
        #expect(try database.integer("SELECT count(*) FROM sqlite_master WHERE name IN ('notes', 'half')") == 0)
        #expect(store(.current).row("a", in: space) != nil)
    }

    @Test func aLaterVersionsFileIsRefusedUnharmed() throws {
        do {
            let new = store(later)
            new.put(Row("a", "one", stamp: 1), in: space)
            new.flush()
        }
        let before = [folder.bytes(), folder.bytes("\(StorageFile.name)-wal")]
        #expect(before.allSatisfy { $0 != nil })
        let old = store(.current)
        #expect(old.row("a", in: space) == nil)
        #expect(old.condition.problem?.code == .newerVersion)
        #expect(old.condition.problem?.description.hasSuffix("it is of a later version (3, not 1)") ?? false)
        // It goes on with memory.
        old.put(Row("b", "two", stamp: 1), in: space)
        old.flush()
        #expect(old.names(in: space) == ["b"])
        #expect(old.update(Array("b".utf8), in: space) { _ in nil } == nil && old.names(in: space).isEmpty)
        #expect([folder.bytes(), folder.bytes("\(StorageFile.name)-wal")] == before)
        #expect(store(later).names(in: space) == ["a"])
    }

    @Test func anotherProgramsDatabaseIsLeftAlone() throws {
        try folder.make()
        try folder.put(Data())
        do {
            let database = try Database(path: "\(folder.path)/\(StorageFile.name)", patience: 100)
            try database.execute("CREATE TABLE mine (a); INSERT INTO mine VALUES (5)")
        }
        let before = folder.bytes()
        let store = store(.current)
        store.put(Row("a"), in: space)
        store.flush()
        #expect(store.condition.problem?.code == .otherApplication && store.names(in: space) == ["a"])
        #expect(folder.bytes() == before)
    }
}
