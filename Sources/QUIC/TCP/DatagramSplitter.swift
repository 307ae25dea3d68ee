internal import DeP2PReactor

/// Cuts a byte stream into its datagrams: pure but for the memory that it is given.
struct DatagramSplitter {
    private typealias Framing = DatagramFraming

    /// A frame that has arrived in part, its header included.
    private var partial: [UInt8] = []

    /// Bytes of memory that are kept from one piece of the stream to the next.
    var memory: Int { partial.capacity }

    /// Takes what has arrived and hands on the datagrams that are whole: relay frames of one length that follow each
    /// other as one train of segments (the last perhaps shorter), everything else singly.
    ///
    /// - Parameters:
    ///   - bytes: overwritten where trains are pushed together.
    ///   - deliver: gets the train and its segment; false ends the splitting.
    /// - Returns: false when the stream is no sequence of frames: it is to be given up.
    mutating func receive(
        _ bytes: UnsafeMutableRawBufferPointer, deliver: (UnsafeMutableRawBufferPointer, Int) -> Bool
    ) -> Bool {
        var rest = bytes
        if !partial.isEmpty {
            guard let taken = complete(with: rest) else { return false }
            rest = UnsafeMutableRawBufferPointer(rebasing: rest[taken...])
            if let length = Self.length(of: partial), partial.count == Framing.headerSize + length {
                var frame = partial
                // Its memory goes with it: a relay has thousands of these, and most of them are idle.
                partial = []
                let goesOn = frame.withUnsafeMutableBytes {
                    deliver(UnsafeMutableRawBufferPointer(rebasing: $0[Framing.headerSize...]), length)
                }
                guard goesOn else { return true }
            }
        }
        return split(rest, deliver)
    }

    /// Moves what the frame under way still lacks, its header first.
    ///
    /// - Returns: how much was taken; `nil` when the length is not one.
    private mutating func complete(with bytes: UnsafeMutableRawBufferPointer) -> Int? {
        var taken = 0
        if partial.count < Framing.headerSize {
            taken = min(Framing.headerSize - partial.count, bytes.count)
            partial += bytes[..<taken]
        }
        guard partial.count >= Framing.headerSize else { return taken }
        guard let length = Self.length(of: partial) else { return nil }
        let missing = min(Framing.headerSize + length - partial.count, bytes.count - taken)
        partial += bytes[taken..<taken + missing]
        return taken + missing
    }

    private mutating func split(
        _ bytes: UnsafeMutableRawBufferPointer, _ deliver: (UnsafeMutableRawBufferPointer, Int) -> Bool
    ) -> Bool {
        var offset = 0
        while bytes.count - offset >= Framing.headerSize {
            guard let length = Self.length(at: offset, of: bytes) else { return false }
            let start = offset + Framing.headerSize
            guard bytes.count - start >= length else { break }
            var (end, filled) = (start + length, start + length)
            if RelayFrame.isType(bytes[start]) {
                (end, filled) = Self.gather(bytes, first: start, length: length)
            }
            guard deliver(UnsafeMutableRawBufferPointer(rebasing: bytes[start..<filled]), length) else { return true }
            offset = end
        }
        partial += bytes[offset...]
        return true
    }

    /// Pushes the relay frames of `length` bytes that follow the one at `first` up to it; a shorter one ends the train.
    ///
    /// - Returns: where the stream goes on, and where the train ends.
    private static func gather(
        _ bytes: UnsafeMutableRawBufferPointer, first: Int, length: Int
    ) -> (end: Int, filled: Int) {
        var (end, filled) = (first + length, first + length)
        while bytes.count - end > Framing.headerSize, let next = Self.length(at: end, of: bytes), next <= length {
            let start = end + Framing.headerSize
            guard bytes.count - start >= next, RelayFrame.isType(bytes[start]) else { break }
            UnsafeMutableRawBufferPointer(rebasing: bytes[filled..<filled + next])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + next]))
            filled += next
            end = start + next
            if next < length { break }
        }
        return (end, filled)
    }

    /// The length that a header gives; `nil` when it is none that occurs.
    private static func length(at offset: Int, of bytes: UnsafeMutableRawBufferPointer) -> Int? {
        valid(Int(bytes[offset]) << 8 | Int(bytes[offset + 1]))
    }

    private static func length(of frame: [UInt8]) -> Int? {
        frame.count < Framing.headerSize ? nil : valid(Int(frame[0]) << 8 | Int(frame[1]))
    }

    private static func valid(_ length: Int) -> Int? { (1...Framing.largestDatagram).contains(length) ? length : nil }
}
