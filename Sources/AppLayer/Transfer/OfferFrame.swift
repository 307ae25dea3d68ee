internal import DeP2PIdentity

// Offers by hand, as the frames of files are (FileFrames.swift): a hundred thousand entries hold up both sides before the
// first file.

extension OfferPage {
    private enum Field {
        static let entries: UInt8 = 1
        static let count: UInt8 = 2
        static let totalSize: UInt8 = 3
        static let more: UInt8 = 4
        static let refusals: UInt8 = 5
    }

    /// The message; `nil` for what the generated code has to write, or to refuse.
    func fields() -> [UInt8]? {
        guard let count = ProtobufNumber(count), let total = ProtobufNumber(totalSize),
            let more = ProtobufNumber(more ? 1 : 0), let refusals = ProtobufNumber(takesRefusals ? 1 : 0)
        else { return nil }
        var message: [UInt8] = []
        for entry in entries {
            guard let fields = EntryFields(entry) else { return nil }
            ProtobufBytes.head(Field.entries, length: fields.length, in: &message)
            fields.append(to: &message)
        }
        count.append(Field.count, to: &message)
        total.append(Field.totalSize, to: &message)
        more.append(Field.more, to: &message)
        refusals.append(Field.refusals, to: &message)
        return ProtobufBytes.length(message.count) <= TransferLimits.frame ? message : nil
    }

    /// - Returns: `nil` for what the generated code has to look at.
    init?(fields reader: inout ProtobufReader) {
        var entries: [TransferEntry] = []
        while let entry = reader.message(Field.entries, { EntryFields.read(&$0) }) { entries.append(entry) }
        let (count, total) = (reader.number(Field.count), reader.number(Field.totalSize))
        let (more, refusals) = (reader.number(Field.more), reader.number(Field.refusals))
        guard reader.isAtEnd, count <= UInt64(TransferLimits.entries), total <= TransferLimits.fileSize, more <= 1,
            refusals <= 1
        else { return nil }
        self.init(
            entries: entries, count: Int(count), totalSize: total, more: more == 1, takesRefusals: refusals == 1)
    }
}

/// An entry as fields of its message.
private struct EntryFields {
    private enum Field {
        static let kind: UInt8 = 1
        static let path: UInt8 = 2
        static let size: UInt8 = 3
        static let executable: UInt8 = 4
        static let modified: UInt8 = 5
        static let dataSize: UInt8 = 6
    }

    private let entry: TransferEntry
    private let kind: ProtobufNumber
    /// Bytes of all fields.
    let length: Int

    /// By their numbers.
    private static let kinds: [TransferEntry.Kind] = [.file, .directory, .stream]

    init?(_ entry: TransferEntry) {
        guard let number = Self.kinds.firstIndex(of: entry.kind), let kind = ProtobufNumber(number) else { return nil }
        (self.entry, self.kind) = (entry, kind)
        var length = kind.length
        for component in entry.path { length += ProtobufBytes.length(component.utf8.count) }
        // Numbers that may be there or not are written even when they are 0.
        for number in [Self.size(of: entry), entry.modified.map(Self.zigzag), entry.dataSize] {
            guard let number else { continue }
            guard number < 1 << 63 else { return nil }
            length += 1 + ProtobufBytes.varintLength(number)
        }
        self.length = length + (entry.isExecutable ? 2 : 0)
    }

    private static func size(of entry: TransferEntry) -> UInt64? { entry.kind == .file ? entry.size : nil }

    private static func zigzag(_ number: Int64) -> UInt64 { UInt64(bitPattern: number << 1 ^ number >> 63) }

    func append(to bytes: inout [UInt8]) {
        kind.append(Field.kind, to: &bytes)
        for component in entry.path {
            ProtobufBytes.head(Field.path, length: component.utf8.count, in: &bytes)
            bytes += component.utf8
        }
        if let size = Self.size(of: entry) { Self.append(Field.size, size, to: &bytes) }
        if entry.isExecutable { Self.append(Field.executable, 1, to: &bytes) }
        if let modified = entry.modified { Self.append(Field.modified, Self.zigzag(modified), to: &bytes) }
        if let dataSize = entry.dataSize { Self.append(Field.dataSize, dataSize, to: &bytes) }
    }

    private static func append(_ field: UInt8, _ number: UInt64, to bytes: inout [UInt8]) {
        bytes.append(field << 3)
        Varint.append(number, to: &bytes)
    }

    /// - Returns: `nil` for what the generated code has to look at.
    static func read(_ reader: inout ProtobufReader) -> TransferEntry? {
        let kind = reader.number(Field.kind)
        guard kind < UInt64(kinds.count) else { return nil }
        var path: [String] = []
        while let component = reader.text(Field.path) { path.append(component) }
        let size = reader.optionalNumber(Field.size)
        let executable = reader.number(Field.executable)
        let modified = reader.optionalNumber(Field.modified)
        let data = reader.optionalNumber(Field.dataSize)
        guard (size != nil) == (kind == 0), size ?? 0 <= TransferLimits.fileSize, executable <= 1,
            data ?? 0 <= size ?? 0, data == nil || kind == 0
        else { return nil }
        return TransferEntry(
            kind: kinds[Int(kind)], path: path, size: kinds[Int(kind)] == .directory ? 0 : size,
            isExecutable: executable == 1, modified: modified.map { Int64($0 >> 1) ^ -Int64($0 & 1) }, dataSize: data)
    }
}
