package import DeP2PQUIC
package import DeP2PReactor

/// Two ends of an in-memory ``ByteStream``: what one writes the other reads. For tests of protocols without a network.
@NetworkActor
package final class PipeStream: ByteStream {
    /// Bytes queued towards the other end before `write` waits.
    package static let highWaterMark = 256 * 1024

    private weak var other: PipeStream?
    private var inbound: [Chunk] = []
    private var inboundBytes = 0
    private var inboundEnded = false
    private var failure: StreamError?
    private var sendFailure: StreamError?
    private var reader: Waiter<Void>?
    private var writer: Waiter<Void>?
    package private(set) var acknowledgedBytes: UInt64 = 0
    package let peerHeardAt: NetworkInstant? = nil

    private init() {}

    package static func pair() -> (PipeStream, PipeStream) {
        let (left, right) = (PipeStream(), PipeStream())
        left.other = right
        right.other = left
        return (left, right)
    }

    package func read() async throws -> Chunk? {
        while true {
            if let failure { throw failure }
            if let chunk = readAvailable() { return chunk }
            if inboundEnded { return nil }
            let waiter = Waiter<Void>()
            reader = waiter
            try await waiter.value()
        }
    }

    package func readAvailable() -> Chunk? {
        guard failure == nil, !inbound.isEmpty else { return nil }
        let chunk = inbound.removeFirst()
        inboundBytes -= chunk.count
        other?.acknowledgedBytes += UInt64(chunk.count)
        other?.writer?.resume(returning: ())
        return chunk
    }

    package var isAtEnd: Bool { failure == nil && inbound.isEmpty && inboundEnded }

    package func write(_ chunk: Chunk) async throws {
        if let sendFailure { throw sendFailure }
        guard let other else { throw StreamError(.connectionClosed) }
        other.inbound.append(chunk)
        other.inboundBytes += chunk.count
        other.reader?.resume(returning: ())
        while other.inboundBytes > Self.highWaterMark {
            if let sendFailure { throw sendFailure }
            let waiter = Waiter<Void>()
            writer = waiter
            try await waiter.value()
        }
    }

    package func finish() {
        guard sendFailure == nil else { return }
        sendFailure = StreamError(.alreadyClosed)
        other?.inboundEnded = true
        other?.reader?.resume(returning: ())
    }

    package func reset(_ code: UInt64) {
        other?.fail(StreamError(.reset(code)))
        fail(StreamError(.alreadyClosed))
    }

    package func stopReading(_ code: UInt64) {
        if let other, !inboundEnded, other.sendFailure == nil { other.sendFailure = StreamError(.stopped(code)) }
        other?.writer?.resume(returning: ())
        // As a QUIC stream: what has not been read is dropped.
        inbound = []
        inboundBytes = 0
        failure = failure ?? StreamError(.alreadyClosed)
        reader?.resume(returning: ())
    }

    private func fail(_ error: StreamError) {
        failure = failure ?? error
        sendFailure = sendFailure ?? error
        reader?.resume(returning: ())
        writer?.resume(returning: ())
    }
}
