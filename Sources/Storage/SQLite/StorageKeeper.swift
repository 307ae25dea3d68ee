/// The database of a store and what is not in it yet; used by one thread at a time.
///
/// Whatever fails, the overlay keeps what is new, and saving is tried again after a while that grows.
struct StorageKeeper {
    /// The first wait after a failure, doubled each time up to the last.
    private static let retries: (first: Duration, last: Duration) = (.seconds(1), .seconds(60))
    /// The same while another process has the file.
    private static let busyRetries: (first: Duration, last: Duration) = (.milliseconds(20), .seconds(1))
    /// Failures in a row for that reason before it is worth telling.
    private static let busyLimit = 8
    /// Updates that wait to be made; beyond that the oldest are lost.
    static let updateLimit = 256

    /// An update that could not be made: it is made anew on what is there then, which another process may have changed.
    private struct Update {
        let space: Space
        let key: [UInt8]
        let transform: @Sendable (Row?) -> Row?
    }

    private let file: StorageFile
    private let clock: @Sendable () -> UInt64
    private var opened: StorageFile.Opened?
    /// The file failed in use.
    private var isSuspect = false
    private var overlay = Overlay()
    private var updates: [Update] = []
    /// What the waiting updates would make of what is known.
    private var provisional = Overlay()
    private var failures = 0
    private var nextTry = ContinuousClock.now
    private(set) var condition = StorageCondition()

    init(file: StorageFile, clock: @escaping @Sendable () -> UInt64) {
        self.file = file
        self.clock = clock
    }

    /// Takes over what was written, and brings it within its bounds.
    mutating func absorb(_ written: Overlay, lost: Int) {
        condition.lost += lost
        guard !written.isEmpty else { return }
        for change in written.changes.values.flatMap(\.values) {
            overlay.set(change)
            // What is written later wins over an update that waits.
            if provisional.change(of: change.key, in: change.space) != nil {
                provisional.forget(change)
                updates.removeAll { $0.space == change.space && $0.key == change.key }
            }
        }
        condition.lost += overlay.trim(at: clock(), remembersRemovals: !isForMemoryOnly)
    }

    private var isSaved: Bool { overlay.isEmpty && updates.isEmpty }

    /// How long until there is something to save; `nil` when there is nothing.
    func timeToSave(after delay: Duration) -> Duration? {
        guard !isSaved, !isForMemoryOnly else { return nil }
        return max(delay, nextTry - ContinuousClock.now)
    }

    private var isForMemoryOnly: Bool { condition.problem?.isFinal ?? false }

    // MARK: Reading

    mutating func row(_ key: [UInt8], in space: Space) -> Row? {
        if let change = provisional.change(of: key, in: space) ?? overlay.change(of: key, in: space) {
            return change.row?.seen(at: clock())
        }
        let stored = reading { store throws(DatabaseError) in try store.row(key, in: space) }
        return (stored ?? nil)?.seen(at: clock())
    }

    mutating func rows(in space: Space, prefix: [UInt8], newest limit: Int) -> [Row] {
        let now = clock()
        // As many more as changes can take away.
        let surer = min(limit, space.rows + overlay.count(in: space)) + provisional.count(in: space)
        let stored = reading { [count = overlay.count(in: space)] store throws(DatabaseError) in
            try store.rows(in: space, prefix: prefix, newest: surer + count, at: now)
        }
        let sure = overlay.merged(with: stored ?? [], in: space, prefix: prefix, newest: surer, at: now)
        let all = provisional.merged(with: sure, in: space, prefix: prefix, newest: limit, at: now)
        return all.compactMap { $0.seen(at: now) }
    }

    private mutating func reading<Value>(_ body: (RowStore) throws(DatabaseError) -> Value) -> Value? {
        // A file that turns out damaged is put aside, and the next one has nothing: two tries tell.
        for _ in 0..<2 {
            guard let database = database(creates: false) else { return nil }
            do throws(DatabaseError) { return try body(RowStore(database: database)) } catch { failed(error) }
            guard isSuspect else { return nil }
        }
        return nil
    }

    // MARK: Writing

    /// - Parameter isForced: whether to try before the time of the next try.
    mutating func save(isForced: Bool) {
        guard !isSaved, !isForMemoryOnly, isForced || ContinuousClock.now >= nextTry else { return }
        _ = writing { store throws(DatabaseError) in true }
    }

    mutating func update(
        _ key: [UInt8], in space: Space, _ transform: @escaping @Sendable (Row?) -> Row?
    ) -> Row? {
        let known = row(key, in: space)
        // What changes nothing makes no file and takes no lock.
        guard let change = Self.changed(known, by: transform, key, space) else { return known }
        let update = Update(space: space, key: key, transform: transform)
        let written = writing(patience: file.updatePatience) { [now = clock()] store throws(DatabaseError) in
            try Self.make(update, in: store, at: now)
            return try store.row(key, in: space)
        }
        if let written { return written?.seen(at: clock()) }
        if isForMemoryOnly {
            overlay.set(change)
            condition.lost += overlay.trim(at: clock(), remembersRemovals: false)
        } else {
            updates.append(update)
            provisional.set(change)
            condition.lost += max(0, updates.count - Self.updateLimit)
            updates.removeFirst(max(0, updates.count - Self.updateLimit))
            _ = provisional.trim(at: clock(), remembersRemovals: true)
        }
        return row(key, in: space)
    }

    private static func make(_ update: Update, in store: RowStore, at now: UInt64) throws(DatabaseError) {
        let old = try store.row(update.key, in: update.space)?.seen(at: now)
        guard let change = changed(old, by: update.transform, update.key, update.space) else { return }
        try store.apply([update.space: [update.key: change]], at: now)
    }

    /// What `transform` changes of a row; `nil` for nothing, or for what the bounds do not allow.
    private static func changed(
        _ old: Row?, by transform: (Row?) -> Row?, _ key: [UInt8], _ space: Space
    ) -> Change? {
        let new = transform(old).map { Row(key: key, value: $0.value, stamp: $0.stamp, expires: $0.expires) }
        let change = Change(space: space, key: key, row: new)
        return new == old || !change.fits ? nil : change
    }

    /// Writes all that waits, and what `body` does then, as one transaction.
    ///
    /// - Parameter patience: milliseconds that another process is waited for.
    private mutating func writing<Value>(
        patience: Int32? = nil, _ body: (RowStore) throws(DatabaseError) -> Value
    ) -> Value? {
        let now = clock()
        for _ in 0..<2 {
            forgetExchangedFile()
            guard let database = database(creates: true) else { return nil }
            let store = RowStore(database: database)
            database.setPatience(milliseconds: patience ?? file.patience)
            defer { database.setPatience(milliseconds: file.patience) }
            do throws(DatabaseError) {
                let value = try database.transaction { [overlay, updates] () throws(DatabaseError) in
                    try store.apply(overlay.changes, at: now)
                    for update in updates { try Self.make(update, in: store, at: now) }
                    return try body(store)
                }
                overlay.removeAll()
                updates = []
                provisional.removeAll()
                succeeded()
                return value
            } catch {
                failed(error)
            }
            guard isSuspect else { return nil }
        }
        return nil
    }

    // MARK: The file

    private mutating func database(creates: Bool) -> Database? {
        if let opened { return opened.database }
        guard !isForMemoryOnly, creates || ContinuousClock.now >= nextTry else { return nil }
        do throws(StorageProblem) {
            guard let opened = try file.open(creates: creates, isSuspect: isSuspect) else { return nil }
            self.opened = opened
            isSuspect = false
            if let setAside = opened.setAside { condition.setAside = setAside }
            succeeded()
            return opened.database
        } catch {
            failed(error)
            return nil
        }
    }

    /// Somebody has taken the file away, or put another in its place: what is written now is to last.
    private mutating func forgetExchangedFile() {
        guard let opened else { return }
        // A file that is gone, or can't be looked at, is not the one that was opened.
        let present = try? file.identity()
        if present != opened.identity { self.opened = nil }
    }

    private mutating func succeeded() {
        failures = 0
        condition.problem = nil
    }

    private mutating func failed(_ error: DatabaseError) {
        let problem = error.problem(file.path)
        failed(problem)
        guard problem.code == .damaged else { return }
        opened = nil
        isSuspect = true
        // A new file takes its place at once; if that fails too, there is a wait.
        nextTry = ContinuousClock.now
    }

    private mutating func failed(_ problem: StorageProblem) {
        failures += 1
        let isBusy = problem.code == .busy
        if !isBusy || failures >= Self.busyLimit { condition.problem = problem }
        let (first, last) = isBusy ? Self.busyRetries : Self.retries
        nextTry = ContinuousClock.now + min(last, first * (1 << min(failures - 1, 12)))
    }
}
