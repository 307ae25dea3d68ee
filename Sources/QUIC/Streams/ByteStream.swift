package import DeP2PReactor

/// A reliable, ordered, bidirectional stream of bytes: what every protocol above QUIC is written against.
///
/// Calling order: any number of `write` then one `finish` or `reset`; any number of `read` until it returns `nil` or
/// throws, or one `stopReading`. Reading and writing are independent. At most one task reads and one writes at a time.
@NetworkActor
package protocol ByteStream: AnyObject, Sendable {
    /// The next bytes, as many as have arrived; `nil` after the peer's last byte.
    ///
    /// - Throws: ``StreamError`` when the peer reset the stream or the connection ended.
    func read() async throws -> Chunk?

    /// What ``read()`` would give without waiting: most messages have come whole, and need no wait at all. `nil` when
    /// nothing is there, at the end, and after a failure.
    func readAvailable() -> Chunk?

    /// What a reader waits for of whom ``readAvailable()`` had nothing: resolved when it is worth looking again. So that a
    /// protocol of small messages waits in one place, instead of through each layer's own wait. `nil` where the stream
    /// has no such thing: ``read()`` does it all.
    ///
    /// - Throws: ``StreamError``, as ``read()``.
    func readWaiter() throws -> Waiter<Void>?

    /// Whether the peer's last byte has been read.
    var isAtEnd: Bool { get }

    /// Queues `chunk`, and waits while more than the stream's high-water mark is queued.
    ///
    /// The stream keeps a reference until the peer has acknowledged the bytes.
    /// - Throws: ``StreamError`` when the peer stopped reading or the connection ended.
    func write(_ chunk: Chunk) async throws

    /// As ``write(_:)``, where that needs no wait.
    ///
    /// - Returns: false where it may have to wait: nothing was queued then.
    func writeAtOnce(_ chunk: Chunk) throws -> Bool

    /// Ends the sending side after what is queued.
    func finish()

    /// Abandons both directions: the peer sees `code`.
    func reset(_ code: UInt64)

    /// Asks the peer to stop sending; what arrives is dropped.
    func stopReading(_ code: UInt64)

    /// Says that whoever reads the stream may take any time, as an application does: what waits unread holds back the
    /// connection's other streams no longer, as far as the transport has room for that.
    func readsAtLeisure()

    /// Says that much will come which is read as it comes, as a file is: the sender may go on while what the network lost is
    /// sent again, as far as the connection's allowance has room for that.
    func readsInBulk()

    /// Says how many bytes of memory its reader has for what it has read and can do nothing with yet: they count as if they
    /// were unread.
    func keeps(_ bytes: Int)

    /// Says that the stream is work under way, such as a transfer: while it is open, silence ends its connection only after
    /// the time that both sides have told each other, and not when its peer counts as gone.
    func bearsSilence()

    /// The same, from when the peer has agreed to speak the stream's protocol: until then nothing is under way. For who reads,
    /// since it is a reader who hears that.
    func bearsSilenceOnceAgreed()

    /// Says whose bytes the stream's are counted as, once its protocol is known.
    func count(for tally: TrafficTally)

    /// Bytes written that the peer's transport has acknowledged. Delivery to the application needs a receipt.
    var acknowledgedBytes: UInt64 { get }

    /// When anything last came from the peer, on whatever stream; what has come may not be read yet. `nil` when the
    /// transport does not tell.
    var peerHeardAt: NetworkInstant? { get }
}

extension ByteStream {
    package func readWaiter() throws -> Waiter<Void>? { nil }
    package func writeAtOnce(_ chunk: Chunk) throws -> Bool { false }
    package func readsAtLeisure() {}
    package func readsInBulk() {}
    package func keeps(_ bytes: Int) {}
    package func bearsSilence() {}
    package func bearsSilenceOnceAgreed() { bearsSilence() }
    package func count(for tally: TrafficTally) {}
}

/// Why a stream ended before its end.
package struct StreamError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: Equatable, Sendable {
        /// The peer reset its sending side.
        case reset(UInt64)
        /// The peer no longer reads.
        case stopped(UInt64)
        /// The connection ended.
        case connectionClosed
        /// This side finished or reset the stream already.
        case alreadyClosed
    }

    package let code: Code
    package let detail: String

    package init(_ code: Code, detail: String = "") {
        self.code = code
        self.detail = detail
    }

    package static func == (left: Self, right: Self) -> Bool { left.code == right.code }

    package var description: String {
        let text =
            switch code {
            case .reset(let value): "the peer reset the stream (code \(value))"
            case .stopped(let value): "the peer stopped reading (code \(value))"
            case .connectionClosed: "the connection ended"
            case .alreadyClosed: "the stream is already closed on this side"
            }
        return detail.isEmpty ? text : "\(text): \(detail)"
    }
}
