import DeP2PSimulation
import DeP2PStorage
import DeP2PTestSupport
import Foundation
import Synchronization

@testable import DeP2PStorage

/// A folder that goes with its test.
final class StoreFolder: Sendable {
    private let parent = try? TemporaryFolder(inMemory: true)

    /// Not made yet. Nothing here is about what a power cut leaves.
    var path: String { "\(parent?.path ?? "/dev/null")/store" }

    var file: StorageFile { StorageFile(folder: path, schema: .current) }

    func make() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

    func bytes(_ name: String = StorageFile.name) -> Data? { FileManager.default.contents(atPath: "\(path)/\(name)") }

    func put(_ bytes: Data, _ name: String = StorageFile.name) throws {
        try make()
        try bytes.write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    }

    /// Every file in it.
    var names: Set<String> { Set((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []) }
}

/// A wall clock that a test sets.
final class SetClock: Sendable {
    private let time: Mutex<UInt64>

    init(_ time: UInt64) { self.time = Mutex(time) }

    var now: UInt64 {
        get { time.withLock { $0 } }
        set { time.withLock { $0 = newValue } }
    }

    var read: @Sendable () -> UInt64 { { self.now } }
}

/// What every store has to do, whichever it is.
enum StoreKind: CaseIterable, Sendable {
    case memory
    case sqlite

    func make(_ folder: StoreFolder, _ clock: SetClock) -> any Storage {
        switch self {
        case .memory: MemoryStorage(clock: clock.read)
        case .sqlite: SQLiteStorage(file: folder.file, delay: nil, clock: clock.read)
        }
    }
}

extension Row {
    init(_ key: String, _ value: String = "", stamp: UInt64 = 0, expires: UInt64? = nil) {
        self.init(key: Array(key.utf8), value: Array(value.utf8), stamp: stamp, expires: expires)
    }

    var name: String { String(decoding: key, as: UTF8.self) }
}

extension Storage {
    func row(_ key: String, in space: Space) -> Row? { row(Array(key.utf8), in: space) }

    func names(in space: Space, prefix: String = "", newest limit: Int = .max) -> [String] {
        rows(in: space, prefix: Array(prefix.utf8), newest: limit).map(\.name)
    }

    @discardableResult
    func put(_ rows: Row..., in space: Space) -> Bool { write(rows.map { .put($0, in: space) }) }

    func remove(_ key: String, in space: Space) { write([.remove(Array(key.utf8), in: space)]) }
}

extension RandomAccessCollection {
    /// One of several.
    func pick(_ random: inout some RandomNumberGenerator) -> Element {
        self[index(startIndex, offsetBy: Int.random(in: 0..<count, using: &random))]
    }
}
