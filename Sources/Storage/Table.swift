/// Something that is stored as bytes.
package protocol StoredBytes: Sendable {
    var stored: [UInt8] { get }
    /// `nil` for bytes that it cannot read: of another form, or damaged.
    init?(stored bytes: [UInt8])
}

extension [UInt8]: StoredBytes {
    package var stored: [UInt8] { self }
    package init?(stored bytes: [UInt8]) { self = bytes }
}

extension UInt64: StoredBytes {
    /// Network order.
    package var stored: [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: self >> (56 - 8 * UInt64($0))) } }

    package init?(stored bytes: [UInt8]) {
        guard bytes.count == 8 else { return nil }
        self = bytes.reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// A space whose keys and values have types: what a tenant declares, once, as a constant.
package struct Table<Key: StoredBytes, Value: StoredBytes>: Sendable {
    package let space: Space

    package init(_ name: String, rows: Int, keyBytes: Int, valueBytes: Int) {
        space = Space(name, rows: rows, keyBytes: keyBytes, valueBytes: valueBytes)
    }
}

/// A value with its times; see ``Row``.
package struct Entry<Value: Sendable>: Sendable {
    package var value: Value
    package var stamp: UInt64
    package var expires: UInt64?

    package init(_ value: Value, stamp: UInt64, expires: UInt64? = nil) {
        self.value = value
        self.stamp = stamp
        self.expires = expires
    }
}

extension Entry: Equatable where Value: Equatable {}

extension Storage {
    package func entry<Key, Value>(_ key: Key, in table: Table<Key, Value>) -> Entry<Value>? {
        row(key.stored, in: table.space).flatMap(Self.entry)
    }

    /// The most recent entries whose keys begin with `prefix`, the most recent first.
    package func entries<Key, Value>(
        in table: Table<Key, Value>, prefix: [UInt8] = [], newest limit: Int = .max
    ) -> [(key: Key, entry: Entry<Value>)] {
        rows(in: table.space, prefix: prefix, newest: limit).compactMap { row in
            guard let key = Key(stored: row.key), let entry: Entry<Value> = Self.entry(row) else { return nil }
            return (key, entry)
        }
    }

    /// - Returns: false when the bounds do not allow it, or there is no room; see ``write(_:)``.
    @discardableResult
    package func set<Key, Value>(_ entry: Entry<Value>, for key: Key, in table: Table<Key, Value>) -> Bool {
        write([.put(Self.row(key.stored, entry), in: table.space)])
    }

    package func remove<Key, Value>(_ key: Key, in table: Table<Key, Value>) {
        write([.remove(key.stored, in: table.space)])
    }

    /// As the update of a row: nothing comes in between.
    @discardableResult
    package func update<Key, Value>(
        _ key: Key, in table: Table<Key, Value>, _ transform: @escaping @Sendable (Entry<Value>?) -> Entry<Value>?
    ) -> Entry<Value>? {
        let stored = key.stored
        return update(stored, in: table.space) { old in
            transform(old.flatMap(Self.entry)).map { Self.row(stored, $0) }
        }.flatMap(Self.entry)
    }

    private static func entry<Value: StoredBytes>(_ row: Row) -> Entry<Value>? {
        Value(stored: row.value).map { Entry($0, stamp: row.stamp, expires: row.expires) }
    }

    private static func row<Value: StoredBytes>(_ key: [UInt8], _ entry: Entry<Value>) -> Row {
        Row(key: key, value: entry.value.stored, stamp: entry.stamp, expires: entry.expires)
    }
}
