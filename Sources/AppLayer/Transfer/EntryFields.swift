internal import DeP2PIdentity

/// An entry as fields of its message.
struct EntryFields {
    private enum Field {
        static let kind: UInt8 = 1
        static let path: UInt8 = 2
        static let size: UInt8 = 3
        static let executable: UInt8 = 4
        static let modified: UInt8 = 5
        static let dataSize: UInt8 = 6
    }

    private let entries: TransferEntries
    private let position: Int
    private let kind: ProtobufNumber
    private let size: UInt64?
    private let modified: UInt64?
    private let dataSize: UInt64?
    /// Bytes of all fields.
    let length: Int

    /// By their numbers.
    private static let kinds: [TransferEntry.Kind] = [.file, .directory, .stream]

    init?(of entries: TransferEntries, at position: Int) {
        let entryKind = entries.kind(at: position)
        guard let number = Self.kinds.firstIndex(of: entryKind), let kind = ProtobufNumber(number) else { return nil }
        (self.entries, self.position, self.kind) = (entries, position, kind)
        size = entryKind == .file ? entries.size(at: position) : nil
        modified = entries.modified(at: position).map(Self.zigzag)
        dataSize = entries.dataSize(at: position)
        var length = kind.length
        for component in entries.components(at: position) { length += ProtobufBytes.length(component.count) }
        // Numbers that may be there or not are written even when they are 0.
        guard let numbers = Self.length(size, modified, dataSize) else { return nil }
        self.length = length + numbers + (entries.isExecutable(at: position) ? 2 : 0)
    }

    /// Bytes of the numbers that are there; `nil` when one is too large.
    private static func length(_ numbers: UInt64?...) -> Int? {
        var length = 0
        for case let number? in numbers {
            guard number < 1 << 63 else { return nil }
            length += 1 + ProtobufBytes.varintLength(number)
        }
        return length
    }

    private static func zigzag(_ number: Int64) -> UInt64 { UInt64(bitPattern: number << 1 ^ number >> 63) }

    func append(to bytes: inout [UInt8]) {
        kind.append(Field.kind, to: &bytes)
        for component in entries.components(at: position) {
            ProtobufBytes.head(Field.path, length: component.count, in: &bytes)
            bytes += component
        }
        if let size { Self.append(Field.size, size, to: &bytes) }
        if entries.isExecutable(at: position) { Self.append(Field.executable, 1, to: &bytes) }
        if let modified { Self.append(Field.modified, modified, to: &bytes) }
        if let dataSize { Self.append(Field.dataSize, dataSize, to: &bytes) }
    }

    private static func append(_ field: UInt8, _ number: UInt64, to bytes: inout [UInt8]) {
        bytes.append(field << 3)
        ProtobufBytes.append(varint: number, to: &bytes)
    }

    /// Reads an entry and appends it.
    ///
    /// - Parameter path: room for the places of its components, kept from one entry to the next.
    /// - Returns: `nil` for what the generated code has to look at.
    static func read(
        _ reader: inout ProtobufReader, path: inout [Range<Int>], into entries: inout TransferEntries
    ) -> Void? {
        let kind = reader.number(Field.kind)
        guard kind < UInt64(kinds.count) else { return nil }
        path.removeAll(keepingCapacity: true)
        while let component = reader.textRange(Field.path) { path.append(component) }
        let size = reader.optionalNumber(Field.size)
        let executable = reader.number(Field.executable)
        let modified = reader.optionalNumber(Field.modified)
        let data = reader.optionalNumber(Field.dataSize)
        guard (size != nil) == (kind == 0), size ?? 0 <= TransferLimits.fileSize, executable <= 1,
            data ?? 0 <= size ?? 0, data == nil || kind == 0, reader.isAtEnd
        else { return nil }
        entries.append(
            kind: kinds[Int(kind)], path: path, of: reader.bytes, size: size, isExecutable: executable == 1,
            modified: modified.map { Int64($0 >> 1) ^ -Int64($0 & 1) }, dataSize: data)
        return ()
    }
}
