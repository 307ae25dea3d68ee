internal import DeP2PIdentity

/// The entries of an offer, in their order: names side by side in one run of bytes, the rest in one array.
///
/// A hundred thousand entries as values of their own, each with an array of strings, take 60 MB; here they take what
/// their names take and 40 bytes each. An entry is made when it is asked for.
package struct TransferEntries: RandomAccessCollection, Hashable, Sendable {
    private struct Record: Hashable, Sendable {
        /// Where the entry's components begin: each a length as varint and its bytes.
        let start: Int
        let size: UInt64
        let modified: Int64
        let dataSize: UInt64
        let flags: UInt8
    }

    private enum Flag {
        static let kinds: [TransferEntry.Kind] = [.file, .directory, .stream]
        static let kindMask: UInt8 = 3
        static let executable: UInt8 = 4
        static let hasModified: UInt8 = 8
        static let hasDataSize: UInt8 = 16
    }

    /// What an entry costs beside the bytes of its name.
    static let overhead = MemoryLayout<Record>.stride

    private var names: [UInt8] = []
    private var records: [Record] = []

    package init() {}

    package init(_ entries: some Sequence<TransferEntry>) {
        for entry in entries { append(entry) }
    }

    package var startIndex: Int { 0 }
    package var endIndex: Int { records.count }

    /// Bytes of memory that the entries take.
    var cost: Int { names.count + records.count * Self.overhead }

    package subscript(position: Int) -> TransferEntry {
        let record = records[position]
        let kind = kind(at: position)
        return TransferEntry(
            kind: kind, path: path(at: position), size: kind == .stream ? nil : record.size,
            isExecutable: record.flags & Flag.executable != 0,
            modified: record.flags & Flag.hasModified != 0 ? record.modified : nil,
            dataSize: record.flags & Flag.hasDataSize != 0 ? record.dataSize : nil)
    }

    /// The kind of an entry, without making the entry.
    func kind(at position: Int) -> TransferEntry.Kind {
        Flag.kinds[Int(records[position].flags & Flag.kindMask)]
    }

    /// Whether any of the files has holes, as far as is known.
    var haveHoles: Bool { records.contains { $0.flags & Flag.hasDataSize != 0 } }

    /// The bytes of a file that are no holes, where it was offered with some; without making the entry.
    func dataSize(at position: Int) -> UInt64? {
        records[position].flags & Flag.hasDataSize != 0 ? records[position].dataSize : nil
    }

    /// The bytes of an entry, 0 for a stream; without making the entry.
    func size(at position: Int) -> UInt64 { records[position].size }

    /// UTF-8 bytes of all paths, with what separates their components.
    var nameBytes: Int { names.count }

    /// How many different first components there are, counted up to `limit`: on the network thread, so without making
    /// the entries.
    package func topCount(atMost limit: Int) -> Int {
        var found: Set<ArraySlice<UInt8>> = []
        var last: ArraySlice<UInt8> = []
        for position in indices where found.count < limit {
            let top = topBytes(at: position)
            guard top != last else { continue }
            last = top
            found.insert(top)
        }
        return found.count
    }

    /// The bytes of an entry's path, the same for the same path and no other.
    func pathBytes(at position: Int) -> ArraySlice<UInt8> {
        names[records[position].start..<(position + 1 < records.count ? records[position + 1].start : names.count)]
    }

    /// As ``size(at:)``, `nil` for a stream.
    func knownSize(at position: Int) -> UInt64? { kind(at: position) == .stream ? nil : records[position].size }

    /// The bytes of the first component of an entry's path, the same for the same component and no other.
    func topBytes(at position: Int) -> ArraySlice<UInt8> {
        let path = pathBytes(at: position)
        guard case .value(let length, let prefix) = Varint.decode(path) else { return path }
        return path.dropFirst(prefix).prefix(Int(length))
    }

    /// The first components of all paths, each once, in the order in which they come first.
    func tops() -> [ArraySlice<UInt8>] {
        var tops: [ArraySlice<UInt8>] = []
        var seen: Set<ArraySlice<UInt8>> = []
        for position in indices {
            let top = topBytes(at: position)
            // Most often that of the entry before.
            if tops.last != top, seen.insert(top).inserted { tops.append(top) }
        }
        return tops
    }

    mutating func append(_ entry: TransferEntry) {
        // There are three kinds, and all of them are in the list.
        var flags = UInt8(Flag.kinds.firstIndex(of: entry.kind) ?? 0)
        if entry.isExecutable { flags |= Flag.executable }
        if entry.modified != nil { flags |= Flag.hasModified }
        if entry.dataSize != nil { flags |= Flag.hasDataSize }
        records.append(
            Record(
                start: names.count, size: entry.kind == .stream ? 0 : entry.size ?? 0, modified: entry.modified ?? 0,
                dataSize: entry.dataSize ?? 0, flags: flags))
        for component in entry.path {
            Varint.append(UInt64(component.utf8.count), to: &names)
            names += component.utf8
        }
    }

    mutating func append(contentsOf entries: some Sequence<TransferEntry>) {
        for entry in entries { append(entry) }
    }

    /// Whether an entry has this path, byte by byte; without making the entry.
    func isPath(_ path: [String], at position: Int) -> Bool {
        guard records.indices.contains(position) else { return false }
        var rest = pathBytes(at: position)
        for component in path {
            let utf8 = component.utf8
            guard case .value(let length, let prefix) = Varint.decode(rest), Int(length) == utf8.count else {
                return false
            }
            let own = rest.dropFirst(prefix).prefix(utf8.count)
            guard utf8.withContiguousStorageIfAvailable({ own.elementsEqual($0) }) ?? own.elementsEqual(utf8) else {
                return false
            }
            rest = rest[own.endIndex...]
        }
        return rest.isEmpty
    }

    private func path(at position: Int) -> [String] {
        var rest = pathBytes(at: position)
        var path: [String] = []
        // ``append(_:)`` wrote them: every length is there, and no more than what follows it.
        while case .value(let length, let prefix) = Varint.decode(rest) {
            let component = rest.dropFirst(prefix).prefix(Int(length))
            path.append(String(decoding: component, as: UTF8.self))
            rest = rest[component.endIndex...]
        }
        return path
    }
}
