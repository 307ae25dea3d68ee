internal import DeP2PIdentity

// The numbers of this protocol's frames. A Swift trap on a peer's integer ends the process, so nothing of a frame is
// counted with before it has passed one of these types.

/// The position of an entry in the offer, or a number of entries.
struct EntryIndex: Equatable {
    let value: Int

    init(wire number: UInt64) throws(TransferError) {
        guard let value = Int(exactly: number), value <= TransferLimits.entries else {
            throw .violation("an index of \(number) in a transfer of at most \(TransferLimits.entries) files")
        }
        self.value = value
    }
}

/// Bytes of a file, or a position in it: at most what a file can have, so that two of them can be added.
struct ByteCount: Equatable {
    let value: UInt64

    init(wire number: UInt64, else code: TransferError.Code = .protocolViolation) throws(TransferError) {
        guard number <= TransferLimits.fileSize else {
            throw TransferError(code, "\(number) bytes; a file has at most \(TransferLimits.fileSize)")
        }
        value = number
    }

    /// For what is only shown: the nearest.
    init(clamping number: UInt64) {
        value = min(number, TransferLimits.fileSize)
    }
}

/// Bytes of raw data behind a frame.
struct DataLength: Equatable {
    let value: Int

    init(wire number: UInt64) throws(TransferError) {
        guard (1...UInt64(TransferLimits.frame)).contains(number) else {
            throw .violation("\(number) bytes of data in one frame; the limit is \(TransferLimits.frame)")
        }
        value = Int(number)
    }
}

/// Zero bytes that a frame stands for: enough of them that hashing and storing them costs less than sending the frame,
/// and at most what a file can have.
struct ZeroCount: Equatable {
    let value: UInt64

    init(wire number: UInt64) throws(TransferError) {
        guard (TransferLimits.leastZeros...TransferLimits.fileSize).contains(number) else {
            throw .violation("\(number) zeros as a number; the least is \(TransferLimits.leastZeros)")
        }
        value = number
    }
}

/// log2 of the bytes of a claimed piece: from the smallest in use to what a file can have, so that shifting by it, and
/// multiplying the result by a few thousand pieces, is what it looks like.
struct PieceExponent: Equatable {
    let value: Int

    init(wire number: UInt32) throws(TransferError) {
        guard (UInt32(TransferLimits.leastPieceExponent)...TransferLimits.greatestPieceExponent).contains(number) else {
            throw .violation("pieces of 2^\(number) bytes")
        }
        value = Int(number)
    }
}
