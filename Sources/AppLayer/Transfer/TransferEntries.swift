internal import DeP2PIdentity

/// The entries of an offer, in their order: names side by side in one run of bytes, the rest in one array.
///
/// A hundred thousand entries as values of their own, each with an array of strings, take 60 MB; here they take what
/// their names take and 40 bytes each. An entry is made when it is asked for.
public struct TransferEntries: RandomAccessCollection, Hashable, Sendable {
    private struct Record: Hashable, Sendable {
        /// Where the entry's components begin: each a length as varint and its bytes.
        let start: Int
        let size: UInt64
        let modified: Int64
        let dataSize: UInt64
        let flags: UInt8

        func shifted(by distance: Int) -> Self {
            Self(start: start + distance, size: size, modified: modified, dataSize: dataSize, flags: flags)
        }
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
    /// Components of the longest path.
    private(set) var depth = 0

    package init() {}

    package init(_ entries: some Sequence<TransferEntry>) {
        for entry in entries { append(entry) }
    }

    public var startIndex: Int { 0 }
    public var endIndex: Int { records.count }

    /// Bytes of memory that the entries take.
    var cost: Int { names.count + records.count * Self.overhead }

    public subscript(position: Int) -> TransferEntry {
        TransferEntry(
            kind: kind(at: position), path: path(at: position), size: knownSize(at: position),
            isExecutable: isExecutable(at: position), modified: modified(at: position),
            dataSize: dataSize(at: position))
    }

    func isExecutable(at position: Int) -> Bool { records[position].flags & Flag.executable != 0 }

    func modified(at position: Int) -> Int64? {
        records[position].flags & Flag.hasModified != 0 ? records[position].modified : nil
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
        var components = Components(of: path)
        return components.next() ?? path
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

    // MARK: Appending

    mutating func append(_ entry: TransferEntry) {
        let start = names.count
        for component in entry.path { appendComponent(component) }
        close(
            from: start, components: entry.path.count, kind: entry.kind, size: entry.size,
            isExecutable: entry.isExecutable, modified: entry.modified, dataSize: entry.dataSize)
    }

    mutating func append(contentsOf entries: some Sequence<TransferEntry>) {
        for entry in entries { append(entry) }
    }

    mutating func append(contentsOf other: Self) {
        let shift = names.count
        names += other.names
        for record in other.records { records.append(record.shifted(by: shift)) }
        depth = Swift.max(depth, other.depth)
    }

    /// Appends the entry at `position` of `other`.
    mutating func append(at position: Int, of other: Self) {
        let record = other.records[position]
        records.append(record.shifted(by: names.count - record.start))
        names += other.pathBytes(at: position)
        depth = Swift.max(depth, other.componentCount(at: position))
    }

    /// Appends an entry as it stands in a message: its components are ranges of `bytes`, which are UTF-8.
    mutating func append(
        kind: TransferEntry.Kind, path: [Range<Int>], of bytes: [UInt8], size: UInt64?, isExecutable: Bool,
        modified: Int64?, dataSize: UInt64?
    ) {
        let start = names.count
        for range in path {
            appendLength(range.count)
            names += bytes[range]
        }
        close(
            from: start, components: path.count, kind: kind, size: size, isExecutable: isExecutable,
            modified: modified, dataSize: dataSize)
    }

    /// A path as ``pathBytes(at:)`` has it.
    static func bytes(of path: [String]) -> [UInt8] {
        var entries = Self()
        for component in path { entries.appendComponent(component) }
        return entries.names
    }

    /// The first `count` entries.
    func first(_ count: Int) -> Self {
        var entries = Self()
        for position in 0..<count { entries.append(at: position, of: self) }
        return entries
    }

    private mutating func appendComponent(_ component: String) {
        var component = component
        component.withUTF8 { bytes in
            appendLength(bytes.count)
            names += bytes
        }
    }

    private mutating func appendLength(_ length: Int) {
        if length < 0x80 { names.append(UInt8(length)) } else { Varint.append(UInt64(length), to: &names) }
    }

    private mutating func close(
        from start: Int, components: Int, kind: TransferEntry.Kind, size: UInt64?, isExecutable: Bool,
        modified: Int64?, dataSize: UInt64?
    ) {
        // There are three kinds, and all of them are in the list.
        var flags = UInt8(Flag.kinds.firstIndex(of: kind) ?? 0)
        if isExecutable { flags |= Flag.executable }
        if modified != nil { flags |= Flag.hasModified }
        if dataSize != nil { flags |= Flag.hasDataSize }
        records.append(
            Record(
                start: start, size: kind == .stream ? 0 : size ?? 0, modified: modified ?? 0,
                dataSize: dataSize ?? 0, flags: flags))
        depth = Swift.max(depth, components)
    }

    // MARK: Paths

    /// The components of a path, as they lie in ``names``: each a length as varint and its bytes.
    ///
    /// Read here and not by ``Varint``, which takes any collection and is no part of this module: for a hundred thousand
    /// files paths are read a million times. What is read was written by ``appendLength(_:)``.
    struct Components: Sequence, IteratorProtocol {
        private var rest: ArraySlice<UInt8>

        init(of path: ArraySlice<UInt8>) { rest = path }

        mutating func next() -> ArraySlice<UInt8>? {
            guard !rest.isEmpty else { return nil }
            var (position, length, shift) = (rest.startIndex, 0, 0)
            while position < rest.endIndex {
                let byte = rest[position]
                position += 1
                length |= Int(byte & 0x7f) << shift
                shift += 7
                if byte < 0x80 { break }
            }
            let component = rest[position..<position + length]
            rest = rest[component.endIndex...]
            return component
        }
    }

    func components(at position: Int) -> Components { Components(of: pathBytes(at: position)) }

    func componentCount(at position: Int) -> Int { components(at: position).reduce(0) { count, _ in count + 1 } }

    /// Whether an entry has this path, byte by byte; without making the entry.
    func isPath(_ path: [String], at position: Int) -> Bool {
        guard records.indices.contains(position) else { return false }
        var components = components(at: position)
        for component in path {
            guard let own = components.next(), own.count == component.utf8.count else { return false }
            let isSame =
                component.utf8.withContiguousStorageIfAvailable { own.elementsEqual($0) }
                ?? own.elementsEqual(component.utf8)
            guard isSame else { return false }
        }
        return components.next() == nil
    }

    private func path(at position: Int) -> [String] {
        var path: [String] = []
        path.reserveCapacity(componentCount(at: position))
        for component in components(at: position) { path.append(String(decoding: component, as: UTF8.self)) }
        return path
    }
}
