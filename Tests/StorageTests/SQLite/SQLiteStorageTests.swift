import Foundation
import Synchronization
import Testing

@testable import DeP2PStorage

@Suite struct SQLiteStorageTests {
    private let folder = TemporaryFolder()
    private let space = Space("things", rows: 64, keyBytes: 8, valueBytes: 4096)

    private func open(delay: Duration? = nil) -> SQLiteStorage { SQLiteStorage(file: folder.file, delay: delay) }

    /// One that soon gives up waiting for others.
    private func openImpatient(delay: Duration? = nil) -> SQLiteStorage {
        var file = folder.file
        (file.patience, file.updatePatience) = (5, 5)
        return SQLiteStorage(file: file, delay: delay)
    }

    private func fill() {
        let store = open()
        store.put(Row("a", "one", stamp: 1), in: space)
        store.flush()
    }

    @Test func nothingIsMadeBeforeThereIsSomethingToKeep() {
        let store = open()
        #expect(store.names(in: space).isEmpty && store.row("a", in: space) == nil)
        #expect(store.update([1], in: space) { $0 } == nil)
        store.flush()
        #expect(folder.names.isEmpty && store.condition == StorageCondition())
    }

    @Test func filesAreTheirOwnersAlone() throws {
        fill()
        func mode(_ path: String) throws -> Int {
            try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
        }
        #expect(try mode(folder.path) == 0o700)
        #expect(folder.names.isSuperset(of: ["state.db", "state.db-wal", "state.db.lock"]))
        for name in folder.names { #expect(try mode("\(folder.path)/\(name)") == 0o600, "\(name)") }
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: "\(folder.path)/state.db")
        #expect(open().row("a", in: space) != nil)
        #expect(try mode("\(folder.path)/state.db") == 0o600)
    }

    @Test func theMemoryOfEarlierVersionsIsClearedAway() throws {
        try folder.put(Data("dep2p udp-blocked 1\n".utf8), "udp-blocked")
        fill()
        #expect(!folder.names.contains("udp-blocked"))
    }

    @Test func writesAreSavedByThemselves() async throws {
        let store = open(delay: .milliseconds(5))
        store.put(Row("a", "one", stamp: 1), in: space)
        while open().row("a", in: space) == nil { try await Task.sleep(for: .milliseconds(2)) }
        // And again, after the first time.
        store.remove("a", in: space)
        while open().row("a", in: space) != nil { try await Task.sleep(for: .milliseconds(2)) }
    }

    @Test func twoOpenStoresSeeEachOther() {
        let (one, two) = (open(), open())
        for round in 0..<50 {
            one.put(Row("a", "\(round)", stamp: 1), in: space)
            one.flush()
            #expect(two.row("a", in: space)?.value == Array("\(round)".utf8))
            two.update(Array("b".utf8), in: space) { old in Row("b", "\(round)", stamp: 1) }
            #expect(one.row("b", in: space)?.value == Array("\(round)".utf8))
        }
        #expect(one.condition == StorageCondition() && two.condition == StorageCondition())
    }

    @Test func updatesOfManyAtOnceAreAllCounted() async {
        let stores = (0..<4).map { _ in open() }
        let space = space
        await withTaskGroup { group in
            for store in stores {
                group.addTask {
                    for _ in 0..<50 {
                        store.update([7], in: space) { old in
                            Row(key: [7], value: ((old.flatMap { UInt64(stored: $0.value) } ?? 0) + 1).stored, stamp: 1)
                        }
                    }
                }
            }
        }
        for store in stores { store.flush() }
        #expect(open().row([7], in: space).flatMap { UInt64(stored: $0.value) } == 200)
    }

    /// Who holds the file for long is waited for by nobody but the one that saves, and then goes on.
    @Test func aProcessThatHoldsTheFileIsWaitedFor() async throws {
        fill()
        let store = openImpatient(delay: .milliseconds(5))
        #expect(store.row("a", in: space) != nil)
        do {
            let other = try Database(path: folder.file.path, patience: 100)
            try other.execute("BEGIN IMMEDIATE")
            store.put(Row("b", "two", stamp: 2), in: space)
            store.flush()
            #expect(store.names(in: space) == ["b", "a"])
            #expect(store.update(Array("c".utf8), in: space) { _ in Row("c", stamp: 3) } == Row("c", stamp: 3))
            while store.condition.problem == nil { try await Task.sleep(for: .milliseconds(5)) }
            #expect(store.condition.problem?.code == .busy)
            try other.execute("ROLLBACK")
        }
        while store.condition.problem != nil { try await Task.sleep(for: .milliseconds(5)) }
        #expect(open().names(in: space) == ["c", "b", "a"])
    }

    /// An update that could not be made is made on what another process has left, not over it.
    @Test func anUpdateThatWaitedIsMadeAnew() throws {
        let (store, other) = (openImpatient(), open())
        @Sendable func add(_ old: Row?) -> Row? {
            Row("n", (old.map { String(decoding: $0.value, as: UTF8.self) } ?? "") + "x")
        }
        let key = Array("n".utf8)
        store.put(Row("n", "a"), in: space)
        store.flush()
        do {
            let holder = try Database(path: folder.file.path, patience: 100)
            try holder.execute("BEGIN IMMEDIATE")
            #expect(store.update(key, in: space, add) == Row("n", "ax"))
            #expect(store.update(key, in: space, add) == Row("n", "axx"))
            #expect(store.names(in: space) == ["n"] && store.row("n", in: space) == Row("n", "axx"))
            #expect(store.update([9], in: space, add) != nil)
            // What is written afterwards wins.
            store.write([.remove([9], in: space)])
            #expect(store.names(in: space) == ["n"])
            try holder.execute("ROLLBACK")
        }
        other.put(Row("n", "other "), in: space)
        other.flush()
        store.flush()
        #expect(other.row("n", in: space) == Row("n", "other xx") && other.names(in: space) == ["n"])
        #expect(store.row("n", in: space) == Row("n", "other xx"))
    }

    @Test func aFullFileIsSurvivedAndWrittenOnceThereIsRoom() throws {
        var file = folder.file
        file.pages = 12
        let wide = Space("wide", rows: 64, keyBytes: 8, valueBytes: 4096)
        let conditions = Mutex<[StorageCondition]>([])
        let store = SQLiteStorage(
            file: file, delay: nil, report: { condition in conditions.withLock { $0.append(condition) } })
        let value = String(repeating: "v", count: 4_000)
        store.put(Row("a", value, stamp: 1), in: wide)
        store.flush()
        #expect(store.condition == StorageCondition())
        for index in 0..<20 { store.put(Row("k\(index)", value, stamp: UInt64(index + 2)), in: wide) }
        store.flush()
        #expect(store.condition.problem?.code == .full)
        #expect(store.names(in: wide).count == 21 && store.row("k19", in: wide) != nil)
        #expect(store.update(Array("k3".utf8), in: wide) { _ in nil } == nil && store.names(in: wide).count == 20)
        #expect(open().names(in: wide) == ["a"])
        // Room again: what waited is written.
        for index in 1..<20 { store.remove("k\(index)", in: wide) }
        store.flush()
        #expect(store.condition == StorageCondition())
        #expect(open().names(in: wide) == ["k0", "a"])
        #expect(conditions.withLock { $0.map(\.problem?.code) } == [.full, nil])
    }

    @Test func whatWaitsIsBounded() {
        let store = SQLiteStorage(file: StorageFile(folder: "/dev/null/nowhere", schema: .current), delay: nil)
        let wide = Space("wide", rows: 10_000, keyBytes: 8, valueBytes: Space.longestValue)
        let value = String(repeating: "v", count: 60_000)
        var taken = 0
        while store.put(Row("k\(taken)", value, stamp: UInt64(taken)), in: wide) { taken += 1 }
        #expect(taken > 60 && taken < 80)
        store.flush()
        #expect(store.condition.lost == 1 && store.condition.problem?.code == .notAFile)
        for index in 0..<200 {
            store.put(Row("l\(index)", value, stamp: UInt64(index + 1_000)), in: wide)
            #expect(store.row("l\(index)", in: wide) != nil)
        }
        #expect(store.condition.lost > 100 && store.names(in: wide).count < 80)
    }

    @Test func aFileThatIsTakenAwayIsMadeAnew() throws {
        fill()
        let store = open()
        #expect(store.row("a", in: space) != nil)
        try FileManager.default.removeItem(atPath: folder.path)
        store.put(Row("b", "two", stamp: 2), in: space)
        store.flush()
        #expect(store.condition == StorageCondition())
        #expect(open().names(in: space) == ["b"])
    }

    @Test func placesThatCannotBeWrittenAreSurvived() throws {
        try folder.make()
        try FileManager.default.createDirectory(atPath: folder.file.path, withIntermediateDirectories: true)
        let pipes = TemporaryFolder()
        try pipes.make()
        #expect(mkfifo(pipes.file.path, 0o600) == 0)
        let links = TemporaryFolder()
        try links.make()
        #expect(symlink("/dev/null", links.file.path) == 0)
        for (path, code) in [
            (folder.path, StorageProblem.Code.notAFile), (pipes.path, .notAFile), (links.path, .notAFile),
            ("/dev/null", .notAFile), ("/proc/nowhere", .system),
        ] {
            let store = SQLiteStorage(file: StorageFile(folder: path, schema: .current), delay: nil)
            #expect(store.names(in: space).isEmpty)
            store.put(Row("a", "one", stamp: 1), in: space)
            store.flush()
            #expect(store.condition.problem?.code == code, "\(path): \(store.condition)")
            #expect(store.row("a", in: space) == Row("a", "one", stamp: 1))
            #expect(store.update(Array("a".utf8), in: space) { _ in Row("a", "two", stamp: 2) }?.stamp == 2)
        }
    }
}
