import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import DeP2PSimulation
import DeP2PStorage
import DeP2PTestSupport
import Dispatch
import Testing

@testable import DeP2P

@Suite struct NodeStorageTests {
    private let temporary: TemporaryFolder
    private var folder: String { "\(temporary.path)/state" }

    init() throws { temporary = try TemporaryFolder() }

    private func start(_ identity: IdentityKey?, _ change: (inout NodeConfiguration) -> Void = { _ in }) async throws
        -> Node
    {
        var configuration = NodeConfiguration(identity: identity)
        configuration.listen = [SocketAddress(.v4Loopback, port: 0)]
        configuration.stateDirectory = folder
        change(&configuration)
        return try await Node.start(configuration)
    }

    private func recordNumber(of node: Node, asked by: Node) async throws -> UInt64 {
        let session = try await by.session(to: DialTarget(addresses: node.addresses))
        let number = try #require(try await by.identify(session).record?.seq)
        await session.close(.normal)
        return number
    }

    /// Issue 9.8: as after the clock was set back, or a battery died.
    @Test func recordsOfALaterRunHaveHigherNumbers() async throws {
        let key = IdentityKey.generate()
        let asker = try await start(nil) { $0.stateDirectory = nil }
        let first = try await start(key)
        #expect(try await recordNumber(of: first, asked: asker) > 1_700_000_000_000)
        await first.stop()
        let table = Table<[UInt8], UInt64>("record-sequence", rows: 64, keyBytes: 64, valueBytes: 8)
        let ahead = WallClock.milliseconds() + 86_400_000
        let store = SQLiteStorage(folder: folder)
        #expect(store.entries(in: table).map(\.key) == [key.nodeID.bytes])
        store.update(key.nodeID.bytes, in: table) { _ in Entry(ahead, stamp: 1) }
        let second = try await start(key)
        #expect(try await recordNumber(of: second, asked: asker) > ahead)
        // Another one: with the asker it has a session that is just being closed.
        let other = try await start(nil) { $0.stateDirectory = nil }
        _ = try await recordNumber(of: other, asked: second)
        await second.stop()
        // Of identities that end with their run nothing is kept, nor whom they met.
        let third = try await start(nil) { $0.stateDirectory = nil }
        for node in [try await start(nil), try await start(.generate()) { $0.isEphemeral = true }] {
            _ = try await recordNumber(of: node, asked: asker)
            _ = try await recordNumber(of: third, asked: node)
            await node.stop()
        }
        #expect(store.entries(in: table).count == 1)
        #expect(store.entries(in: PeerStore.table).map(\.key) == [other.nodeID.bytes])
        for node in [asker, other, third] { await node.stop() }
    }

    /// A network share whose server is gone, a disk that dies: what has to be written there is not what a user waits for.
    @Test(.timeLimit(.minutes(1)))
    func aDiskThatStandsStillHoldsNoNodeUp() async throws {
        let disk = StandingDisk()
        let node = try await start(nil) { $0.storage = disk }
        await node.stop()
        disk.goOn()
    }

    @Test func aNodeThatCannotRememberSaysSoAndGoesOn() async throws {
        let asker = try await start(nil) { $0.stateDirectory = nil }
        let node = try await start(.generate()) { $0.stateDirectory = "/dev/null/nowhere" }
        _ = try await recordNumber(of: node, asked: asker)
        let notice = try #require(await firstNotice(node.events(of: .node)))
        // Who comes later hears it too.
        #expect(await firstNotice(node.events(of: .node)) == notice)
        #expect(notice.kind == .memoryOnly && notice.reason == "notAFile")
        #expect(notice.message.contains("/dev/null/nowhere/state.db"))
        for node in [node, asker] { await node.stop() }
    }

    private func firstNotice(_ events: NodeEvents) async -> StorageNotice? {
        for await event in events {
            if case .storage(let notice) = event { return notice }
        }
        return nil
    }

    @Test @NetworkActor func eachChangeIsToldOnce() {
        let notices = StorageNotices()
        var told: [StorageNotice.Kind] = []
        notices.onNotice = { told.append($0.kind) }
        var condition = StorageCondition()
        notices.changed(condition)
        condition.setAside = "/state.db.damaged"
        notices.changed(condition)
        condition.problem = StorageProblem(code: .full, path: "/state.db", detail: "1")
        notices.changed(condition)
        condition.problem = StorageProblem(code: .full, path: "/state.db", detail: "2")
        condition.lost = 5
        notices.changed(condition)
        condition.problem = nil
        notices.changed(condition)
        #expect(told == [.startedAnew, .memoryOnly, .kept])
        #expect(notices.earlier.map(\.kind) == told)
    }
}

/// A store whose disk answers no more.
private final class StandingDisk: Storage {
    private let memory = MemoryStorage()
    private let answer = DispatchSemaphore(value: 0)

    var condition: StorageCondition { memory.condition }
    func row(_ key: [UInt8], in space: Space) -> Row? { memory.row(key, in: space) }
    func rows(in space: Space, prefix: [UInt8], newest limit: Int) -> [Row] {
        memory.rows(in: space, prefix: prefix, newest: limit)
    }
    func write(_ changes: [Change]) -> Bool { memory.write(changes) }
    func update(_ key: [UInt8], in space: Space, _ transform: @escaping @Sendable (Row?) -> Row?) -> Row? {
        memory.update(key, in: space, transform)
    }
    func flush() { answer.wait() }
    func goOn() { answer.signal() }
}
