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
        for position in entries.indices {
            guard let fields = EntryFields(of: entries, at: position) else { return nil }
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
        var entries = TransferEntries()
        var path: [Range<Int>] = []
        while reader.message(Field.entries, { EntryFields.read(&$0, path: &path, into: &entries) }) != nil {}
        let (count, total) = (reader.number(Field.count), reader.number(Field.totalSize))
        let (more, refusals) = (reader.number(Field.more), reader.number(Field.refusals))
        guard reader.isAtEnd, count <= UInt64(TransferLimits.entries), total <= TransferLimits.fileSize, more <= 1,
            refusals <= 1
        else { return nil }
        self.init(
            entries: entries, count: Int(count), totalSize: total, more: more == 1, takesRefusals: refusals == 1)
    }
}
