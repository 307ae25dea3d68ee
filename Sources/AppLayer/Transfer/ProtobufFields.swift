internal import DeP2PIdentity

// The little of protobuf that frames written by hand need.

/// A number as a field of proto3, which leaves out 0.
struct ProtobufNumber {
    let value: UInt64
    /// Bytes of the field with its tag.
    let length: Int

    /// `nil` for one that ``Varint`` does not write.
    init?(_ number: some BinaryInteger) {
        guard let value = UInt64(exactly: number), value < 1 << 63 else { return nil }
        self.value = value
        length = value == 0 ? 0 : 1 + ProtobufBytes.varintLength(value)
    }

    func append(_ field: UInt8, to bytes: inout [UInt8]) {
        guard value != 0 else { return }
        bytes.append(field << 3)
        ProtobufBytes.append(varint: value, to: &bytes)
    }
}

/// Fields that have a length.
enum ProtobufBytes {
    static let rootLength = length(SHA256.Digest.byteCount)

    static func varintLength(_ value: UInt64) -> Int { max(1, (UInt64.bitWidth - value.leadingZeroBitCount + 6) / 7) }

    /// Most have one byte, and ``Varint`` is another module's.
    static func append(varint value: UInt64, to bytes: inout [UInt8]) {
        if value < 0x80 { bytes.append(UInt8(value)) } else { Varint.append(value, to: &bytes) }
    }

    /// Bytes of a field with its tag and its length.
    static func length(_ count: Int) -> Int { 1 + varintLength(UInt64(count)) + count }

    /// The beginning of a frame that is one message: its length prefix, and the message's tag and length.
    static func begin(_ field: UInt8, length count: Int, in bytes: inout [UInt8]) {
        append(varint: UInt64(length(count)), to: &bytes)
        head(field, length: count, in: &bytes)
    }

    static func head(_ field: UInt8, length: Int, in bytes: inout [UInt8]) {
        bytes.append(field << 3 | 2)
        append(varint: UInt64(length), to: &bytes)
    }

    static func append(_ field: UInt8, _ root: MerkleRoot, to bytes: inout [UInt8]) {
        head(field, length: SHA256.Digest.byteCount, in: &bytes)
        bytes += root.bytes
    }
}
