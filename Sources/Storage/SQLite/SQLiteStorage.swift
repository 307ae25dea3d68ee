internal import DeP2PIdentity
internal import Dispatch
internal import Synchronization

/// A store in a file, by SQLite; see ``Storage`` for what it promises and ``StorageFile`` for what lies where.
///
/// Two locks. `pending` takes what is written and is held for moments only: the network thread takes no other. `keeper`
/// has the database, and is held while the disk works, by whoever reads or by the queue that saves ``delay`` after the
/// first write that is not saved. Lock order: keeper, then pending.
///
/// The file is made when there is something to save, and found when there is something to read.
package final class SQLiteStorage: Storage {
    /// How long writes are gathered: kill -9 loses what came in that time and in the moment of saving it.
    package static let delay = Duration.milliseconds(400)

    private struct Pending {
        var overlay = Overlay()
        var isScheduled = false
        var lost = 0
        var condition = StorageCondition()
    }

    private let pending = Mutex(Pending())
    private let keeper: Mutex<StorageKeeper>
    private let queue = DispatchQueue(label: "dep2p.storage")
    private let delay: Duration?
    private let report: @Sendable (StorageCondition) -> Void

    /// - Parameters:
    ///   - folder: made, with mode 0700, when there is something to save.
    ///   - report: told of each change of ``condition``, on any thread; must not call the store.
    package convenience init(
        folder: String, clock: @escaping @Sendable () -> UInt64 = WallClock.milliseconds,
        report: @escaping @Sendable (StorageCondition) -> Void = { _ in }
    ) {
        self.init(file: StorageFile(folder: folder, schema: .current), clock: clock, report: report)
    }

    /// - Parameter delay: `nil` saves in ``flush()`` and ``update(_:in:_:)`` only.
    init(
        file: StorageFile, delay: Duration? = SQLiteStorage.delay,
        clock: @escaping @Sendable () -> UInt64 = WallClock.milliseconds,
        report: @escaping @Sendable (StorageCondition) -> Void = { _ in }
    ) {
        self.delay = delay
        self.report = report
        keeper = Mutex(StorageKeeper(file: file, clock: clock))
    }

    package var condition: StorageCondition { pending.withLock { $0.condition } }

    package func row(_ key: [UInt8], in space: Space) -> Row? {
        keep { $0.row(key, in: space) }
    }

    package func rows(in space: Space, prefix: [UInt8], newest limit: Int) -> [Row] {
        keep { $0.rows(in: space, prefix: prefix, newest: max(limit, 0)) }
    }

    @discardableResult
    package func write(_ changes: [Change]) -> Bool {
        guard changes.allSatisfy(\.fits) else { return false }
        let cost = changes.reduce(0) { $0 + $1.cost }
        return pending.withLock { pending in
            guard pending.overlay.cost + cost <= Overlay.byteLimit else {
                pending.lost += changes.count
                return false
            }
            for change in changes { pending.overlay.set(change) }
            if let delay { schedule(after: delay, &pending) }
            return true
        }
    }

    @discardableResult
    package func update(_ key: [UInt8], in space: Space, _ transform: @escaping @Sendable (Row?) -> Row?) -> Row? {
        keep { $0.update(key, in: space, transform) }
    }

    package func flush() {
        keep { $0.save(isForced: true) }
    }

    // MARK: Saving

    /// Lets the keeper do something, all that was written before included.
    private func keep<Result: Sendable>(_ work: (inout StorageKeeper) -> Result) -> Result {
        keeper.withLock { keeper in
            pending.withLock { pending in
                keeper.absorb(pending.overlay, lost: pending.lost)
                pending.overlay.removeAll()
                pending.lost = 0
            }
            let result = work(&keeper)
            let condition = keeper.condition
            let hasChanged = pending.withLock { pending in
                defer { pending.condition = condition }
                if let delay, let wait = keeper.timeToSave(after: delay) { schedule(after: wait, &pending) }
                return pending.condition != condition
            }
            if hasChanged { report(condition) }
            return result
        }
    }

    private func schedule(after delay: Duration, _ pending: inout Pending) {
        guard !pending.isScheduled else { return }
        pending.isScheduled = true
        let milliseconds = Int(delay.components.seconds * 1_000 + delay.components.attoseconds / 1_000_000_000_000_000)
        queue.asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { [weak self] in
            guard let self else { return }
            self.pending.withLock { $0.isScheduled = false }
            keep { $0.save(isForced: false) }
        }
    }
}
