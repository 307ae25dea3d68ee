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

    private var bytes: [UInt8] = []
    private var head = 0
    /// Since when there has been something in the queue, and what has left it since then.
    private var busySince = NetworkInstant(nanoseconds: 0)
    private var drained = 0

    var count: Int { bytes.count - head }
    var isEmpty: Bool { count == 0 }
    /// Bytes of memory that are kept.
    var memory: Int { bytes.capacity }

    /// - Parameter isScarce: whether the queues of all streams hold as much as they may together: then this one has what
    ///   the slowest has.
    /// - Returns: false when it was dropped.
    mutating func append(_ datagram: UnsafeRawBufferPointer, now: NetworkInstant, isScarce: Bool = false) -> Bool {
        if isEmpty { (busySince, drained) = (now, 0) }
        let size = datagram.count
        guard (1...DatagramFraming.largestDatagram).contains(size),
            count + size + DatagramFraming.headerSize <= (isScarce ? Self.smallest : allowance(now))
        else { return false }
        if bytes.capacity == 0 { bytes.reserveCapacity(Self.burst) }
        bytes.append(UInt8(size >> 8))
        bytes.append(UInt8(size & 255))
        bytes += datagram
        return true
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
    mutating func drain(_ most: Int, _ write: (UnsafeRawBufferPointer) -> Int) {
        let end = min(head + most, bytes.count)
        let taken = bytes.withUnsafeBytes { write(UnsafeRawBufferPointer(rebasing: $0[head..<end])) }
        head += max(0, min(taken, end - head))
        drained += max(0, taken)
        if head == bytes.count {
            // A leg that was busy once keeps nothing: a relay has thousands of these, and most of them are idle.
            bytes = []
            head = 0
        } else if head >= Self.slack {
            bytes.removeFirst(head)
            head = 0
        }
    }
}
