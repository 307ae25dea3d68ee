internal import CDeP2PSystem

/// What of a file lies on the disk, and what is a hole that reads as zeros (lseek(2), SEEK_DATA and SEEK_HOLE).
///
/// The file system is asked as reading goes on. One that has no word for holes has files of nothing but data.
struct FileExtents {
    enum Run: Equatable {
        /// So many bytes that have to be read.
        case data(UInt64)
        /// So many zeros, ``TransferLimits/leastZeros`` at least.
        case zeros(UInt64)
    }

    /// How far one question looks ahead: past holes that are too short to be worth a word.
    private static let lookAhead: UInt64 = 1 << 20
    /// Runs looked at to know a file's data: of a file in more pieces, the rest counts as data.
    static let mostRuns = 1 << 16

    private let descriptor: Descriptor
    private var known: (range: Range<UInt64>, isHole: Bool) = (0..<0, false)

    init(of descriptor: Descriptor) {
        self.descriptor = descriptor
    }

    /// What lies at `position`, and how far; below `end`.
    ///
    /// - Precondition: `position` is below `end`.
    mutating func run(at position: UInt64, below end: UInt64) -> Run {
        if !known.range.contains(position) { look(at: position, below: end) }
        let count = min(known.range.upperBound, end) - position
        return known.isHole && count >= TransferLimits.leastZeros ? .zeros(count) : .data(count)
    }

    /// Bytes of data among the first `size`.
    mutating func dataSize(of size: UInt64, mostRuns: Int = Self.mostRuns) -> UInt64 {
        var (position, data, runs) = (0 as UInt64, 0 as UInt64, 0)
        while position < size {
            guard runs < mostRuns else { return data + (size - position) }
            runs += 1
            switch run(at: position, below: size) {
            case .data(let count): (position, data) = (position + count, data + count)
            case .zeros(let count): position += count
            }
        }
        return data
    }

    private mutating func look(at position: UInt64, below end: UInt64) {
        guard let first = find(position) else {
            known = (position..<end, false)
            return
        }
        if first.data > position, min(first.data, end) - position >= TransferLimits.leastZeros {
            known = (position..<first.data, true)
            return
        }
        var stop = first.end
        while stop > position, stop < end, stop - position < Self.lookAhead {
            guard let next = find(stop), next.end > stop, next.data - stop < TransferLimits.leastZeros else { break }
            stop = next.end
        }
        // Where a file ends before its time, reading says so.
        known = (position..<(stop > position ? stop : end), false)
    }

    private func find(_ position: UInt64) -> (data: UInt64, end: UInt64)? {
        var (data, end) = (0 as UInt64, 0 as UInt64)
        guard dep2p_find_data(descriptor.number, position, &data, &end) == 0 else { return nil }
        return (data, end)
    }
}

extension FileStatus {
    /// Whether it takes less than its size: then it has holes, or is compressed. A file that was given its room without
    /// being written to has none, and takes its room where it arrives, as with cp(1).
    var mayHaveHoles: Bool { size >= TransferLimits.leastSparse && allocated < size }
}
