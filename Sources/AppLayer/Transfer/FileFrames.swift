internal import DeP2PIdentity

// The frames that each file has, and the offer, read and written by hand: a folder of a hundred thousand small files is
// four hundred thousand of them, and the generated code takes microseconds for each. The bytes are those of protobuf
// (transfer.proto: fields in order, zeros left out); what looks different in any way is left to the generated code.

extension TransferSenderFrame {
    private enum Field {
        static let offer: UInt8 = 1
        static let start: UInt8 = 2
        static let data: UInt8 = 3
        static let end: UInt8 = 4
    }

    /// Appends the frame and its length prefix; false when it is left to the generated code.
    func appendFileFrame(to bytes: inout [UInt8]) -> Bool {
        switch self {
        case .start(let index, let offset):
            guard let first = ProtobufNumber(index), let second = ProtobufNumber(offset) else { return false }
            ProtobufBytes.begin(Field.start, length: first.length + second.length, in: &bytes)
            first.append(1, to: &bytes)
            second.append(2, to: &bytes)
        case .data(let length):
            // One of the kinds of frame is there even when it is 0: not so written here.
            guard let number = ProtobufNumber(length), number.value > 0 else { return false }
            Varint.append(UInt64(number.length), to: &bytes)
            number.append(Field.data, to: &bytes)
        case .end(let index, let size, let root):
            guard let first = ProtobufNumber(index), let second = ProtobufNumber(size) else { return false }
            ProtobufBytes.begin(
                Field.end, length: first.length + second.length + ProtobufBytes.rootLength, in: &bytes)
            first.append(1, to: &bytes)
            second.append(2, to: &bytes)
            ProtobufBytes.append(3, root, to: &bytes)
        case .offer(let page):
            guard let message = page.fields() else { return false }
            ProtobufBytes.begin(Field.offer, length: message.count, in: &bytes)
            bytes += message
        default: return false
        }
        return true
    }

    /// - Returns: `nil` for what the generated code has to look at.
    init?(fileFrame bytes: [UInt8]) throws(TransferError) {
        var reader = ProtobufReader(bytes)
        if let length = reader.optionalNumber(Field.data) {
            guard reader.isAtEnd else { return nil }
            self = .data(try DataLength(wire: length).value)
            return
        }
        switch reader.enter() {
        case Field.offer:
            guard let page = OfferPage(fields: &reader) else { return nil }
            self = .offer(page)
        case Field.start:
            let (index, offset) = (reader.number(1), reader.number(2))
            guard reader.isAtEnd else { return nil }
            self = .start(index: try EntryIndex(wire: index).value, offset: try ByteCount(wire: offset).value)
        case Field.end:
            let (index, size) = (reader.number(1), reader.number(2))
            guard let root = reader.root(3), reader.isAtEnd else { return nil }
            self = .end(index: try EntryIndex(wire: index).value, size: try ByteCount(wire: size).value, root: root)
        default: return nil
        }
    }
}

extension TransferReceiverFrame {
    private static let receiptField: UInt8 = 3

    /// Appends the frame and its length prefix; false when it is left to the generated code.
    func appendFileFrame(to bytes: inout [UInt8]) -> Bool {
        guard case .receipt(let index, let root, let path) = self, let number = ProtobufNumber(index) else {
            return false
        }
        var length = number.length + ProtobufBytes.rootLength
        for component in path { length += ProtobufBytes.length(component.utf8.count) }
        guard length < TransferLimits.frame else { return false }
        ProtobufBytes.begin(Self.receiptField, length: length, in: &bytes)
        number.append(1, to: &bytes)
        ProtobufBytes.append(2, root, to: &bytes)
        for component in path {
            ProtobufBytes.head(3, length: component.utf8.count, in: &bytes)
            bytes += component.utf8
        }
        return true
    }

    /// - Returns: `nil` for what the generated code has to look at.
    init?(fileFrame bytes: [UInt8]) throws(TransferError) {
        var reader = ProtobufReader(bytes)
        guard reader.enter() == Self.receiptField else { return nil }
        let index = reader.number(1)
        guard let root = reader.root(2) else { return nil }
        var path: [String] = []
        while let component = reader.text(3) { path.append(component) }
        guard reader.isAtEnd else { return nil }
        self = .receipt(index: try EntryIndex(wire: index).value, root: root, path: path)
    }
}
