internal import DeP2PReactor
import Glibc

/// A reference-counted run of bytes at a fixed address.
///
/// QUIC keeps unacknowledged data by reference, so its address must not change while it waits; files are read into
/// and written from the same memory. Fill a chunk before sharing it; it is read-only afterwards.
package final class Chunk: @unchecked Sendable {
    // Proof for @unchecked: `count` and the bytes change only through the filling methods below, which a creator
    // calls before it hands the chunk on; everything later only reads.

    /// The most bytes this chunk can hold.
    package let capacity: Int
    /// The bytes filled so far.
    ///
    /// Unchecked: a number that is read and written at once and lent to nobody, of which each check would take longer than
    /// the access; and all that is done with a chunk asks for it.
    @exclusivity(unchecked) package private(set) var count: Int
    let base: UnsafeMutableRawPointer

    /// Chunks of this capacity come from a pool, so that a transfer's steady state allocates nothing.
    package static let pooledCapacity = 256 * 1024

    package init(capacity: Int) {
        self.capacity = max(capacity, 1)
        count = 0
        base = ChunkMemory.take(self.capacity)
    }

    package convenience init(_ bytes: [UInt8]) {
        self.init(capacity: bytes.count)
        append(bytes)
    }

    /// What follows the first `count` bytes of `chunk`, in memory of its own.
    package convenience init(_ chunk: Chunk, after count: Int) {
        precondition(count >= 0 && count <= chunk.count)
        self.init(capacity: chunk.count - count)
        append(UnsafeRawBufferPointer(start: chunk.base + count, count: chunk.count - count))
    }

    package convenience init(_ bytes: ArraySlice<UInt8>) {
        self.init(capacity: bytes.count)
        bytes.withUnsafeBytes { append($0) }
    }

    deinit {
        ChunkMemory.give(base, capacity)
    }

    package var available: Int { capacity - count }

    /// Appends bytes; the caller has checked that ``available`` suffices.
    ///
    /// Not for any collection: other modules would call the general form, which looks its types up at run time.
    package func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    package func append(_ bytes: RawSpan) {
        bytes.withUnsafeBytes { append($0) }
    }

    package func append(_ chunk: Chunk) {
        append(UnsafeRawBufferPointer(start: chunk.base, count: chunk.count))
    }

    /// Whether the first bytes are these.
    package func begins(with bytes: [UInt8]) -> Bool {
        guard bytes.count <= count else { return false }
        return bytes.withUnsafeBytes { bytes in bytes.baseAddress.map { memcmp(base, $0, bytes.count) == 0 } ?? true }
    }

    func append(_ bytes: UnsafeRawBufferPointer) {
        precondition(
            bytes.count <= available, "a chunk of \(capacity) bytes cannot take \(bytes.count) more than \(count)")
        guard let source = bytes.baseAddress else { return }
        (base + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }

    /// Safe read access to the bytes for the duration of `body`.
    package func withBytes<Result>(_ body: (RawSpan) throws -> Result) rethrows -> Result {
        try body(RawSpan(_unsafeStart: base, byteCount: count))
    }

    /// A copy of `range` (all of it by default).
    package func array(_ range: Range<Int>? = nil) -> [UInt8] {
        let range = range ?? 0..<count
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        // Not by `unsafeUninitializedCapacity`, which looks its types up at run time, each time.
        return [UInt8](UnsafeRawBufferPointer(start: base + range.lowerBound, count: range.count))
    }

    /// Byte `index` of those filled.
    package subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count)
        return base.load(fromByteOffset: index, as: UInt8.self)
    }

    /// Appends up to `limit` bytes of the file `descriptor`, from `offset`, or from its current position when `nil`
    /// (pipes).
    ///
    /// - Returns: the bytes read, 0 at the end of the file; or the `errno` of the failure.
    package func read(from descriptor: Int32, at offset: UInt64?, limit: Int = .max) -> Result<Int, FileError> {
        while true {
            let length = min(limit, available)
            let result =
                offset.map { pread(descriptor, base + count, length, off_t(clamping: $0)) }
                ?? Glibc.read(descriptor, base + count, length)
            if result >= 0 {
                count += result
                return .success(result)
            }
            if errno != EINTR { return .failure(FileError(errno: errno)) }
        }
    }

    /// Writes as much of bytes `range` as `descriptor` takes at once, at its current position.
    ///
    /// - Returns: the bytes written, or the `errno` of the failure.
    package func writeOnce(to descriptor: Int32, range: Range<Int>) -> Result<Int, FileError> {
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        while true {
            let result = Glibc.write(descriptor, base + range.lowerBound, range.count)
            if result >= 0 { return .success(result) }
            if errno != EINTR { return .failure(FileError(errno: errno)) }
        }
    }

    /// Writes bytes `range` to the file `descriptor` at `offset`, or at its current position when `nil` (pipes).
    package func write(to descriptor: Int32, at offset: UInt64?, range: Range<Int>? = nil) -> Result<Void, FileError> {
        var range = range ?? 0..<count
        precondition(range.lowerBound >= 0 && range.upperBound <= count)
        var position = offset
        while !range.isEmpty {
            let start = base + range.lowerBound
            let result =
                position.map { pwrite(descriptor, start, range.count, off_t(clamping: $0)) }
                ?? Glibc.write(descriptor, start, range.count)
            if result < 0 {
                if errno == EINTR { continue }
                return .failure(FileError(errno: errno))
            }
            range = range.lowerBound + result..<range.upperBound
            position = position.map { $0 + UInt64(result) }
        }
        return .success(())
    }
}

/// A failed system call on a file.
package struct FileError: Error, Equatable, Sendable, CustomStringConvertible {
    package let errno: Int32

    package init(errno: Int32) { self.errno = errno }

    package var description: String { String(cString: strerror(errno)) }
}
