internal import DeP2PReactor

/// Datagrams on their way into a byte stream that is slower than they are: pure.
///
/// What does not fit is dropped, as a narrow path drops it: QUIC finds its rate. What fits is what the stream has shown
/// to take within ``patience``, so that nothing waits long on a slow one.
struct DatagramQueue {
    /// Bytes that wait at most, on the fastest stream.
    static let limit = 256 * 1024
    /// Bytes that may wait on the slowest.
    static let smallest = 32 * 1024
    static let patience = Duration.milliseconds(200)
    /// How far back the rate is looked at.
    private static let window = Duration.seconds(1)
    /// Spent bytes in front beyond which the rest moves up.
    private static let slack = 64 * 1024
    /// Bytes that room is made for at once: a record, and the datagram that has it sent.
    private static let burst = 24 * 1024
    /// Memory beyond which none is kept for the next queue.
    private static let largestSpare = 512 * 1024

    private var bytes: [UInt8] = []
    private var head = 0
    /// Since when there has been something in the queue, and what has left it since then.
    private var busySince = NetworkInstant(nanoseconds: 0)
    private var drained = 0

    var count: Int { bytes.count - head }
    var isEmpty: Bool { count == 0 }
    /// Bytes of memory that are kept.
    var memory: Int { bytes.capacity }

    /// - Parameters:
    ///   - datagram: its first bytes are those of `header`.
    ///   - besides: bytes that have left the queue and wait all the same.
    ///   - isScarce: whether the queues of all streams hold as much as they may together: then this one has what the slowest
    ///     has.
    /// - Returns: false when it was dropped.
    mutating func append(
        _ datagram: UnsafeRawBufferPointer, after header: UnsafeRawBufferPointer? = nil, now: NetworkInstant,
        besides: Int = 0, isScarce: Bool = false
    ) -> Bool {
        if isEmpty, besides == 0 { (busySince, drained) = (now, 0) }
        let size = datagram.count + (header?.count ?? 0)
        guard (1...DatagramFraming.largestDatagram).contains(size),
            count + besides + size + DatagramFraming.headerSize <= (isScarce ? Self.smallest : allowance(now))
        else { return false }
        if bytes.capacity == 0 { bytes.reserveCapacity(Self.burst) }
        bytes.append(UInt8(size >> 8))
        bytes.append(UInt8(size & 255))
        if let header { bytes += header }
        bytes += datagram
        return true
    }

    /// Begins in memory that another queue has left: what is used by turns is not made anew for each datagram.
    mutating func begin(in spare: inout [UInt8]) {
        guard bytes.capacity == 0 else { return }
        swap(&bytes, &spare)
    }

    private mutating func allowance(_ now: NetworkInstant) -> Int {
        let elapsed = now.duration(since: busySince)
        guard elapsed > Self.patience else { return Self.limit }
        let taken = Int((Double(drained) * (Self.patience / elapsed)).rounded())
        if elapsed > Self.window {
            // What was long ago counts half.
            busySince = busySince.advanced(by: elapsed / 2)
            drained /= 2
        }
        return min(max(taken, Self.smallest), Self.limit)
    }

    /// Offers up to `most` of the bytes that come next; what `write` returns as taken is gone.
    ///
    /// - Parameter spare: has the queue's memory once it is empty. A leg that was busy once keeps nothing: a relay has
    ///   thousands of these, and most of them are idle.
    mutating func drain(_ most: Int, leaving spare: inout [UInt8], _ write: (UnsafeRawBufferPointer) -> Int) {
        let end = min(head + most, bytes.count)
        let taken = bytes.withUnsafeBytes { write(UnsafeRawBufferPointer(rebasing: $0[head..<end])) }
        head += max(0, min(taken, end - head))
        drained += max(0, taken)
        if head == bytes.count {
            leave(to: &spare)
        } else if head >= max(Self.slack, count) {
            bytes.removeFirst(head)
            head = 0
        }
    }

    /// Has what waits in memory of its size, when it will wait for a while.
    mutating func settle(leaving spare: inout [UInt8]) {
        guard bytes.capacity > 2 * count + Self.burst else { return }
        let rest = bytes.withUnsafeBytes { Array($0[head...]) }
        leave(to: &spare)
        bytes = rest
    }

    private mutating func leave(to spare: inout [UInt8]) {
        bytes.removeAll(keepingCapacity: true)
        head = 0
        if bytes.capacity > spare.capacity, bytes.capacity <= Self.largestSpare { swap(&bytes, &spare) }
        bytes = []
    }
}
