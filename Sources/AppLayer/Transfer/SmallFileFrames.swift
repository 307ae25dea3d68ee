internal import DeP2PIdentity
internal import DeP2PQUIC

/// FileStart at 0, at most one `data` with its bytes, and FileEnd of one file, read in one go and in place: one by one,
/// each frame is copied and costs as much as all of them do here.
///
/// It takes what ``TransferSenderFrame`` takes of these frames, or less, and gives the same.
struct SmallFileFrames: Equatable {
    let index: Int
    /// Where the file's bytes are.
    let data: Range<Int>
    let root: MerkleRoot
    /// Where the next frame begins.
    let end: Int

    private enum Field {
        static let start: UInt8 = 2
        static let data: UInt8 = 3
        static let end: UInt8 = 4
    }

    init?(in bytes: RawSpan, at position: Int) {
        var reader = position
        guard let startEnd = Self.enter(Field.start, bytes, &reader),
            let index = Self.number(1, bytes, &reader, before: startEnd), reader == startEnd,
            let data = Self.data(bytes, &reader),
            let end = Self.enter(Field.end, bytes, &reader),
            Self.number(1, bytes, &reader, before: end) == index,
            Self.number(2, bytes, &reader, before: end) == data.count,
            let root = Self.root(3, bytes, &reader, before: end), reader == end
        else { return nil }
        (self.index, self.data, self.root, self.end) = (index, data, root, end)
    }

    /// The file's bytes, behind their announcement; an empty range where the next frame is another.
    private static func data(_ bytes: RawSpan, _ position: inout Int) -> Range<Int>? {
        guard position + 1 < bytes.byteCount, byte(bytes, position + 1) == Field.data << 3 else {
            return position..<position
        }
        let end = position + 1 + Int(byte(bytes, position))
        position += 2
        guard let count = varint(bytes, &position), position == end, count > 0, count <= TransferLimits.unnamedFile,
            count <= bytes.byteCount - position
        else { return nil }
        position += count
        return position - count..<position
    }

    /// Goes into a frame that is one message.
    ///
    /// - Returns: where it ends; `nil` when the frame is another, a long one, or not all here.
    private static func enter(_ field: UInt8, _ bytes: RawSpan, _ position: inout Int) -> Int? {
        guard bytes.byteCount - position > 2, byte(bytes, position + 1) == field << 3 | 2 else { return nil }
        let length = Int(byte(bytes, position))
        let end = position + 1 + length
        position += 2
        guard length < 0x80, end <= bytes.byteCount, let count = varint(bytes, &position), position + count == end
        else { return nil }
        return end
    }

    /// The number in the next field, 0 when that is another; `nil` for one that is too long.
    private static func number(_ field: UInt8, _ bytes: RawSpan, _ position: inout Int, before end: Int) -> Int? {
        guard position < end, byte(bytes, position) == field << 3 else { return 0 }
        position += 1
        return varint(bytes, &position)
    }

    private static func root(_ field: UInt8, _ bytes: RawSpan, _ position: inout Int, before end: Int) -> MerkleRoot? {
        guard end - position == 2 + MerkleRoot.byteCount, byte(bytes, position) == field << 3 | 2,
            byte(bytes, position + 1) == MerkleRoot.byteCount
        else { return nil }
        position = end
        return MerkleRoot(bytes.extracting(end - MerkleRoot.byteCount..<end))
    }

    /// At most 21 bits: indices and the sizes of small files have no more.
    private static func varint(_ bytes: RawSpan, _ position: inout Int) -> Int? {
        var value = 0
        for shift in stride(from: 0, to: 21, by: 7) where position < bytes.byteCount {
            let next = byte(bytes, position)
            position += 1
            value |= Int(next & 0x7f) << shift
            if next < 0x80 { return value }
        }
        return nil
    }

    /// The span looks whether it is there.
    private static func byte(_ bytes: RawSpan, _ position: Int) -> UInt8 {
        bytes.unsafeLoad(fromByteOffset: position, as: UInt8.self)
    }
}
