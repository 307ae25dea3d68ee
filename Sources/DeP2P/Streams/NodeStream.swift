internal import DeP2PApp
public import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// Bytes to and from another member: in order, complete or with an error, both ways independently.
///
/// ```swift
/// let stream = try await node.openStream("echo", to: target)
/// try await stream.write("hello")
/// await stream.finish()
/// for try await bytes in stream { … }
/// ```
///
/// States of each direction: open → ended, by ``finish()`` here or there; or → broken, by ``reset(_:)``, by the end of the
/// connection, or by an owner that lets go: a stream whose last reference goes before it has ended in both directions is
/// reset, so that the other side never takes a part for the whole.
///
/// There is no deadline: a read waits as long as the connection lasts. Whoever reads slowly is sent no more than the
/// stream's window, 1 MiB at first and up to 16 MiB where it was read fast; a writer waits for that. Messages, files and
/// other streams between the two nodes wait for a slow reader only when more than 8 MiB lie unread in all. One task reads
/// and one writes at a time; they may be two.
@NetworkActor
public final class NodeStream {
    /// What ``write(_:)-([UInt8])`` hands over at once, bytes: the memory that a stream takes beside the caller's.
    static let pieceSize = Chunk.pooledCapacity

    /// The other side, as the connection has proven.
    public nonisolated let peer: NodeID
    /// What the stream is called.
    public nonisolated let name: String
    private let session: Session
    private let stream: any ByteStream
    /// Resumed when both directions have ended; the handler of one that another node opened waits for it.
    let ended = Waiter<Void>()
    private var isSending = true
    private var isReceiving = true
    private var isReading = false
    private var isWriting = false

    init(_ stream: AppStream) {
        (peer, name, session, self.stream) = (stream.peer, stream.name, stream.session, stream.stream)
        self.stream.readsAtLeisure()
        self.stream.bearsSilence()
    }

    deinit {
        let (stream, ended, isSending, isReceiving) = (stream, ended, isSending, isReceiving)
        guard isSending || isReceiving else { return }
        networkTask {
            if isSending {
                stream.reset(StreamCode.cancelled.rawValue)
            } else {
                stream.stopReading(StreamCode.done.rawValue)
            }
            ended.resume(returning: ())
        }
    }

    // MARK: Reading

    /// The next bytes, as many as have arrived, at least one; waits for them.
    ///
    /// - Returns: `nil` at the end, which the other side has set with ``finish()``, and from then on.
    /// - Throws: ``DeP2PError``: `streamReset` when the other side gave the stream up, with a ``StreamReset`` as the
    ///   underlying error; `unsupported` when it takes no streams of this name, `busy` when it has too many, or when
    ///   another task reads; `notMember`, `peerOffline` and others when the connection has ended; `cancelled` in a task
    ///   that is cancelled, after which the stream can be read on, and after ``reset(_:)``.
    public func read() async throws(DeP2PError) -> [UInt8]? {
        guard !isReading else { throw DeP2PError(.busy, "another task reads this stream") }
        isReading = true
        defer { isReading = false }
        do {
            while let chunk = try await stream.read() {
                if chunk.count > 0 { return chunk.array() }
            }
            endReceiving()
            return nil
        } catch {
            if !(error is CancellationError) { endReceiving() }
            throw DeP2PError(error, of: session)
        }
    }

    /// Everything up to the end.
    ///
    /// - Parameter limit: the most bytes taken; the other side decides how many it sends.
    /// - Throws: ``DeP2PError``, as ``read()``; `tooLarge` beyond `limit`, with the stream reset.
    public func readAll(limit: Int) async throws(DeP2PError) -> [UInt8] {
        var all: [UInt8] = []
        while let bytes = try await read() {
            guard bytes.count <= limit - all.count else {
                reset()
                throw DeP2PError(.tooLarge, "more than \(limit) bytes came")
            }
            all += bytes
        }
        return all
    }

    // MARK: Writing

    /// Sends `bytes`; waits while too much is under way already. That they have left says nothing of their arrival: who
    /// wants to know has the other side answer.
    ///
    /// - Throws: ``DeP2PError``: `streamReset` when the other side reads no more; `cancelled` after ``finish()`` and
    ///   ``reset(_:)``, and in a task that is cancelled, where it is open how many of the bytes were sent; others as
    ///   ``read()``.
    public func write(_ bytes: [UInt8]) async throws(DeP2PError) {
        guard !isWriting else { throw DeP2PError(.busy, "another task writes to this stream") }
        isWriting = true
        defer { isWriting = false }
        do {
            var position = 0
            repeat {
                try Task.checkCancellation()
                let piece = Chunk(bytes, from: position, limit: Self.pieceSize)
                position += piece.count
                try await stream.write(piece)
            } while position < bytes.count
        } catch {
            if !(error is CancellationError) { endSending() }
            throw DeP2PError(error, of: session)
        }
    }

    /// Sends a text as UTF-8; as ``write(_:)-([UInt8])``.
    public func write(_ text: String) async throws(DeP2PError) { try await write(Array(text.utf8)) }

    /// Ends this side's direction: the other side reads to the end of what was written, and then the end.
    public func finish() {
        guard isSending else { return }
        stream.finish()
        endSending()
    }

    // MARK: Giving up

    /// Gives up both directions at once; what is under way is dropped. Nothing, where both have ended.
    ///
    /// - Parameter code: what the other side is told, in the application's own meaning: ``StreamReset/code``.
    public func reset(_ code: UInt32 = 0) { reset(with: StreamCode(application: code)) }

    func reset(with code: StreamCode) {
        guard isSending || isReceiving else { return }
        stream.reset(code.rawValue)
        endReceiving()
        endSending()
    }

    private func endSending() {
        isSending = false
        if !isReceiving { ended.resume(returning: ()) }
    }

    private func endReceiving() {
        isReceiving = false
        if !isSending { ended.resume(returning: ()) }
    }
}

/// `for try await bytes in stream`: what ``NodeStream/read()`` gives, until the end.
extension NodeStream: AsyncSequence {
    public typealias Element = [UInt8]
    public typealias Failure = DeP2PError

    public nonisolated func makeAsyncIterator() -> Iterator { Iterator(stream: self) }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let stream: NodeStream

        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(DeP2PError) -> [UInt8]? { try await stream.read() }
    }
}

extension Chunk {
    /// Of `bytes` those from `start`, up to `limit` of them.
    fileprivate convenience init(_ bytes: [UInt8], from start: Int, limit: Int) {
        let count = min(limit, bytes.count - start)
        self.init(capacity: count)
        append(bytes.span.bytes.extracting(start..<start + count))
    }
}
