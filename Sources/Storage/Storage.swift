/// What a node remembers between runs: rows in named spaces.
///
/// **Why rows and not SQL above this line.** Every tenant (peers, sequence numbers, networks without UDP, later DHT and
/// realm records) is a pure machine that holds what it works on in memory; it asks the disk for one thing by its key, or
/// for the most recent things at a start, and never joins or computes there. With SQL in the tenants each would need a
/// double of its own, and a double that is no SQL engine is not exact. So a space has one fixed shape: a key, a value in
/// the tenant's own bytes, a stamp that says how recent it is, and perhaps an end. Bounds, expiry, eviction, damage,
/// migrations and several processes are solved once, below; a tenant is a ``Table`` (name, bounds, and how its key and
/// value read), and ``MemoryStorage`` runs the very same tests. The file's schema is versioned (``Schema``); what a
/// tenant's bytes mean is versioned by the tenant: bytes it cannot read are `nil` to it, so a later form either reads the
/// earlier one too or takes another name.
///
/// **Which threads.** ``write(_:)`` and ``condition`` return at once and are for the network thread. Everything else may
/// wait for the disk and is for `offload`. A write is seen by every later read, and is on disk within a second.
///
/// **What can go wrong** never throws: a store that cannot be read has nothing, one that cannot be written keeps what is
/// new in memory, bounded, and tries again; ``condition`` says so.
///
/// Times are milliseconds since 1970. A clock that was set back hides nothing and loses nothing: rows stamped in the
/// future are read as of now, and are the first to go when a space is full.
package protocol Storage: AnyObject, Sendable {
    /// How the store is; see ``StorageCondition``.
    var condition: StorageCondition { get }

    /// The row of `key`, unless it has ended.
    func row(_ key: [UInt8], in space: Space) -> Row?

    /// Rows whose keys begin with `prefix`, the most recent first, then by key; at most `limit`.
    func rows(in space: Space, prefix: [UInt8], newest limit: Int) -> [Row]

    /// Takes note of all of `changes`, in their order. Where a space grows past its bound its least recent rows go.
    ///
    /// - Returns: false, and nothing is noted, when a key or value is longer than its space allows, or when so much waits
    ///   for the disk that there is no room.
    @discardableResult
    func write(_ changes: [Change]) -> Bool

    /// Exchanges one row, with no other process or thread in between.
    ///
    /// - Parameter transform: gets the row as it is, and gives it as it is to be; `nil` removes it. Its key is not
    ///   looked at. It may run more than once, and again later when the file cannot be written now.
    /// - Returns: the row as it is now.
    @discardableResult
    func update(_ key: [UInt8], in space: Space, _ transform: @escaping @Sendable (Row?) -> Row?) -> Row?

    /// Waits until what was written is on disk, or cannot be.
    func flush()
}

/// A named set of rows and its bounds.
package struct Space: Hashable, Sendable {
    /// The longest value that any space may allow, in bytes.
    package static let longestValue = 64 * 1024

    package let name: String
    /// Rows kept.
    package let rows: Int
    /// Bytes of a key.
    package let keyBytes: Int
    /// Bytes of a value.
    package let valueBytes: Int

    package init(_ name: String, rows: Int, keyBytes: Int, valueBytes: Int) {
        precondition(rows > 0 && (1...1024).contains(keyBytes) && (0...Self.longestValue).contains(valueBytes))
        self.name = name
        self.rows = rows
        self.keyBytes = keyBytes
        self.valueBytes = valueBytes
    }
}

/// One thing remembered.
package struct Row: Hashable, Sendable {
    /// The latest time that is kept: what SQLite's integers hold.
    package static let latest = UInt64(Int64.max)

    package let key: [UInt8]
    package let value: [UInt8]
    /// How recent it is, as its tenant sees it.
    package let stamp: UInt64
    /// From when on it is as good as gone; `nil` never.
    package let expires: UInt64?

    package init(key: [UInt8], value: [UInt8], stamp: UInt64, expires: UInt64? = nil) {
        self.key = key
        self.value = value
        self.stamp = min(stamp, Self.latest)
        self.expires = expires.map { min($0, Self.latest) }
    }
}

/// A row as it is to be; without one, what stands under the key goes.
package struct Change: Hashable, Sendable {
    package let space: Space
    package let key: [UInt8]
    package let row: Row?

    package static func put(_ row: Row, in space: Space) -> Change { Change(space: space, key: row.key, row: row) }

    package static func remove(_ key: [UInt8], in space: Space) -> Change { Change(space: space, key: key, row: nil) }

    /// Whether the space's bounds allow it.
    var fits: Bool { key.count <= space.keyBytes && (row?.value.count ?? 0) <= space.valueBytes }

    /// What it takes in memory, about.
    var cost: Int { key.count * 2 + (row?.value.count ?? 0) + 128 }
}
