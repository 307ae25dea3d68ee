package import DeP2PQUIC
package import DeP2PReactor

/// Has `arrival` happen when what is sent now arrives.
package typealias Travel = @NetworkActor (_ arrival: @escaping @NetworkActor () -> Void) -> Void

/// One end of a stream in memory: what one end writes the other reads, at once or after the way there.
@NetworkActor
package final class LightStream: ByteStream {
    /// Bytes queued towards the other end before `write` waits.
    package static let highWaterMark = 256 * 1024

    private weak var other: LightStream?
    /// `nil` where everything arrives at once.
    private let travel: Travel?
    private var inbound: [Chunk] = []
    private var inboundBytes = 0
    private var inboundEnded = false
    /// Written, and not read at the other end as far as is known here.
    private var unread = 0
    private var failure: StreamError?
    private var sendFailure: StreamError?
    private var reader: Waiter<Void>?
    private var writer: Waiter<Void>?
    package private(set) var acknowledgedBytes: UInt64 = 0
    /// What its reader has said last that it keeps.
    package private(set) var kept = 0
    package var otherEnd: LightStream? { other }
    package let peerHeardAt: NetworkInstant? = nil

    /// Called once, when nothing more comes or goes.
    var onOver: (@NetworkActor () -> Void)?

    private init(_ travel: Travel?) { self.travel = travel }

    /// Both ends; what they send is there at once.
    package static func pair() -> (LightStream, LightStream) { pair((nil, nil)) }

    /// - Parameter travel: from the first end to the second, and back.
    static func pair(_ travel: (Travel?, Travel?)) -> (LightStream, LightStream) {
        let (left, right) = (LightStream(travel.0), LightStream(travel.1))
        left.other = right
        right.other = left
        return (left, right)
    }

    package func keeps(_ bytes: Int) { kept = bytes }

    /// Whether nothing more comes or goes.
    var isOver: Bool { sendFailure != nil && (failure != nil || (inbound.isEmpty && inboundEnded)) }

    private func lookWhetherOver() {
        guard let onOver, isOver else { return }
        self.onOver = nil
        onOver()
    }

    /// What this end does to the other.
    private func tell(_ action: @escaping @NetworkActor (LightStream) -> Void) {
        guard let travel else {
            if let other { action(other) }
            return
        }
        // The other end is kept meanwhile: this one may be gone by then.
        travel { [other] in if let other { action(other) } }
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
        lookWhetherOver()
        tell { $0.wasRead(chunk.count) }
        return chunk
    }

    package func readWaiter() throws -> Waiter<Void>? {
        if let failure { throw failure }
        let waiter = Waiter<Void>()
        reader = waiter
        return waiter
    }

    private func wasRead(_ count: Int) {
        acknowledgedBytes += UInt64(count)
        unread -= count
        writer?.resume(returning: ())
    }

    package var isAtEnd: Bool { failure == nil && inbound.isEmpty && inboundEnded }

    package func write(_ chunk: Chunk) async throws {
        if let sendFailure { throw sendFailure }
        guard other != nil else { throw StreamError(.connectionClosed) }
        unread += chunk.count
        tell { $0.take(chunk) }
        while unread > Self.highWaterMark {
            if let sendFailure { throw sendFailure }
            let waiter = Waiter<Void>()
            writer = waiter
            try await waiter.value()
        }
    }

    package func writeAtOnce(_ chunk: Chunk) throws -> Bool {
        if let sendFailure { throw sendFailure }
        guard other != nil else { throw StreamError(.connectionClosed) }
        guard unread + chunk.count <= Self.highWaterMark else { return false }
        unread += chunk.count
        tell { $0.take(chunk) }
        return true
    }

    private func take(_ chunk: Chunk) {
        inbound.append(chunk)
        inboundBytes += chunk.count
        reader?.resume(returning: ())
    }

    package func finish() {
        guard sendFailure == nil else { return }
        sendFailure = StreamError(.alreadyClosed)
        tell { other in
            other.inboundEnded = true
            other.reader?.resume(returning: ())
            other.lookWhetherOver()
        }
        lookWhetherOver()
    }

    package func reset(_ code: UInt64) {
        tell { $0.fail(StreamError(.reset(code))) }
        fail(StreamError(.alreadyClosed))
    }

    package func stopReading(_ code: UInt64) {
        let hadEnded = inboundEnded
        tell { other in
            if !hadEnded, other.sendFailure == nil { other.sendFailure = StreamError(.stopped(code)) }
            other.writer?.resume(returning: ())
            other.lookWhetherOver()
        }
        // As a QUIC stream: what has not been read is dropped.
        inbound = []
        inboundBytes = 0
        failure = failure ?? StreamError(.alreadyClosed)
        reader?.resume(returning: ())
        lookWhetherOver()
    }

    private func fail(_ error: StreamError) {
        failure = failure ?? error
        sendFailure = sendFailure ?? error
        reader?.resume(returning: ())
        writer?.resume(returning: ())
        lookWhetherOver()
    }
}
