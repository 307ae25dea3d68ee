package import DeP2PReactor

/// One bidirectional QUIC stream. See ``ByteStream`` for the calling order.
/// Its flags, numbers and references are unchecked: they are read and written at once and lent to nobody, and a stream that
/// lives for one message spends more time on the checks than on what they guard.
@NetworkActor
package final class QUICStream: ByteStream {
    /// Unsent bytes beyond which ``write(_:)`` waits.
    static let unsentHighWater: UInt64 = 1 * 1024 * 1024
    /// Bytes kept for retransmission beyond which ``write(_:)`` waits.
    static let retainedHighWater: UInt64 = 24 * 1024 * 1024

    package let id: Int64
    let connection: Connection

    /// Changed through ``keep(_:)`` where that changes how much memory it holds.
    private(set) var sending = SendBuffer()
    /// Changed through ``receive(_:)``, likewise.
    private var receiving = ReceiveBuffer()
    private var readFailure: StreamError?
    private var writeFailure: StreamError?
    @exclusivity(unchecked) private var readStopped = false
    @exclusivity(unchecked) private var isReadAtLeisure = false
    private var isReadInBulk = false
    /// Memory of its reader: ``keeps(_:)``.
    @exclusivity(unchecked) private var kept = 0
    /// Whether silence is borne for its sake: ``Connection/isPatient``.
    private(set) var isPatient = false
    /// Of the unread bytes, those that the connection has granted anew already: ``Connection/lend(_:)``.
    @exclusivity(unchecked) private var lent = 0
    @exclusivity(unchecked) private var reader: Waiter<Void>?
    @exclusivity(unchecked) private var writer: Waiter<Void>?
    /// In the connection's queue of streams with something to send.
    @exclusivity(unchecked) var isQueued = false
    /// In the connection's queue of streams that their window holds back.
    @exclusivity(unchecked) var isHeldBack = false
    /// In the connection's queue of streams whose writer waits for memory.
    @exclusivity(unchecked) var waitsForMemory = false
    /// ngtcp2 has forgotten the stream: both directions are done.
    @exclusivity(unchecked) private(set) var isClosedByTransport = false
    @exclusivity(unchecked) private var creditReturned = false
    /// Bytes that have come in order, read or not.
    @exclusivity(unchecked) private var arrived: UInt64 = 0
    /// Of what was sent and has arrived, what has been added to ``tally`` and the connection's.
    @exclusivity(unchecked) private var settled = ByteTotals.zero
    /// Of its protocol, once that is known.
    @exclusivity(unchecked) private(set) var tally: TrafficTally?
    private var resetCode: UInt64?

    init(id: Int64, connection: Connection) {
        self.id = id
        self.connection = connection
    }

    package var acknowledgedBytes: UInt64 { sending.acknowledged }

    package var peerHeardAt: NetworkInstant? { connection.receivedAt }

    /// Whether the peer opened the stream.
    package var isInbound: Bool { (id & 1 == 0) == (connection.role == .server) }

    /// RFC 9000 section 2.1.
    var isOfOneDirection: Bool { id & 2 != 0 }

    // MARK: ByteStream

    package func bearsSilence() { isPatient = true }

    package func read() async throws -> Chunk? {
        while true {
            if let chunk = readAvailable() { return chunk }
            if let readFailure { throw readFailure }
            if receiving.isFinished { return nil }
            try await makeReader().value()
        }
    }

    private func makeReader() throws -> Waiter<Void> {
        // A peer's timing may bring a second reader about: an error for that one, not the end of the process.
        guard reader?.isResolved ?? true else {
            throw StreamError(.alreadyClosed, detail: "another task reads this stream")
        }
        let waiter = Waiter<Void>()
        reader = waiter
        return waiter
    }

    package func readWaiter() throws -> Waiter<Void>? {
        if let readFailure { throw readFailure }
        return try makeReader()
    }

    package func readAvailable() -> Chunk? {
        guard let chunk = receive({ $0.take() }) else { return nil }
        consumed(chunk.count)
        returnCreditIfDone()
        return chunk
    }

    package var isAtEnd: Bool { receiving.isFinished && receiving.count == 0 && readFailure == nil }

    package func write(_ chunk: Chunk) async throws {
        if let writeFailure { throw writeFailure }
        keep { $0.append(chunk) }
        connection.enqueue(self)
        while hasTooMuch || isOverMemory {
            guard writer == nil else { throw StreamError(.alreadyClosed, detail: "another task writes this stream") }
            let waiter = Waiter<Void>()
            writer = waiter
            if isOverMemory { connection.waitForMemory(self) }
            defer { writer = nil }
            try await waiter.value()
            if let writeFailure { throw writeFailure }
        }
    }

    package func writeAtOnce(_ chunk: Chunk) throws -> Bool {
        if let writeFailure { throw writeFailure }
        let count = UInt64(chunk.count)
        guard sending.unsent + count <= Self.unsentHighWater, sending.retained + count <= Self.retainedHighWater,
            connection.hasSendMemory(for: SendBuffer.memory(of: chunk))
        else { return false }
        keep { $0.append(chunk) }
        connection.enqueue(self)
        return true
    }

    package func finish() {
        guard writeFailure == nil else { return }
        writeFailure = StreamError(.alreadyClosed)
        sending.finish()
        connection.enqueue(self)
    }

    package func reset(_ code: UInt64) {
        isPatient = false
        // After its end was sent, a stream's data goes on to the peer; either way ngtcp2 still points at it.
        if !sending.finishSent {
            connection.resetSending(self, code: code)
            keep { $0.abandon() }
        }
        fail(writing: StreamError(.alreadyClosed))
        stopReading(code)
    }

    package func stopReading(_ code: UInt64) {
        guard !readStopped else { return }
        readStopped = true
        keeps(0)
        if !receiving.isFinished, readFailure == nil { connection.stopReceiving(self, code: code) }
        dropUnread()
        fail(reading: StreamError(.alreadyClosed))
        returnCreditIfDone()
    }

    package func count(for tally: TrafficTally) { self.tally = tally }

    /// What it has carried since this was last asked.
    func takeUnsettled() -> ByteTotals {
        let total = ByteTotals(sent: sending.sent, received: arrived)
        defer { settled = total }
        return total - settled
    }

    package func readsAtLeisure() {
        guard !isReadAtLeisure else { return }
        isReadAtLeisure = true
        lent += connection.lend(receiving.count)
    }

    package func keeps(_ bytes: Int) {
        let bytes = readStopped ? 0 : bytes
        connection.keptMemory += bytes - kept
        kept = bytes
    }

    package func readsInBulk() {
        guard !isReadInBulk, !readStopped else { return }
        isReadInBulk = true
        connection.openWindow(of: self)
    }

    private func consumed(_ count: Int) {
        let returned = min(lent, count)
        lent -= returned
        connection.consumed(count, lent: returned, by: self)
    }

    // MARK: From the connection

    func received(_ bytes: UnsafeRawBufferPointer, isLast: Bool) {
        arrived &+= UInt64(bytes.count)
        if readStopped {
            connection.consumed(bytes.count, by: self)
        } else {
            receive { $0.append(bytes, room: connection.receiveRoom) }
            if isReadAtLeisure { lent += connection.lend(bytes.count) }
        }
        if isLast { receiving.isFinished = true }
        reader?.resume(returning: ())
    }

    /// The next bytes to send as ngtcp2 wants them.
    func advance(_ count: Int, finished: Bool) {
        sending.advance(count, finished: finished)
        wakeWriter()
    }

    func acknowledged(upTo end: UInt64) {
        keep { $0.acknowledge(upTo: end) }
        wakeWriter()
    }

    func peerReset(_ code: UInt64) {
        resetCode = code
        dropUnread()
        fail(reading: StreamError(.reset(code)))
    }

    /// The peer stopped reading. ngtcp2 has no callback for that: it shows when the next bytes are offered, and the
    /// peer's code only once the stream is closed, unless it reset its own side with the same.
    func peerStopped() {
        keep { $0.abandon() }
        fail(writing: StreamError(.stopped(resetCode ?? 0)))
    }

    func closedByTransport(_ code: UInt64) {
        isClosedByTransport = true
        if !sending.finishSent { fail(writing: StreamError(.stopped(resetCode ?? code))) }
        keep { sending in
            if sending.isFinished, !sending.isAbandoned { sending.acknowledge(upTo: .max) }
            sending.release()
        }
        returnCreditIfDone()
    }

    func connectionClosed(_ reason: CloseReason) {
        let error = StreamError(.connectionClosed, detail: reason.description)
        isClosedByTransport = true
        creditReturned = true
        if writeFailure == nil || writer != nil { fail(writing: error) }
        if !receiving.isFinished { fail(reading: error) }
    }

    /// The connection is freed in ngtcp2: nobody reads what was sent any more.
    func transportReleased() { keep { $0.release() } }

    // MARK: Helpers

    private func fail(reading error: StreamError) {
        readFailure = readFailure ?? error
        reader?.resume(returning: ())
    }

    private func fail(writing error: StreamError) {
        writeFailure = writeFailure ?? error
        writer?.resume(returning: ())
    }

    /// Lets a waiting ``write(_:)`` go on, if it may.
    func wakeWriter() {
        guard let writer, sending.unsent <= Self.unsentHighWater / 2, sending.retained <= Self.retainedHighWater
        else { return }
        if isOverMemory { connection.waitForMemory(self) } else { writer.resume(returning: ()) }
    }

    private var hasTooMuch: Bool {
        sending.unsent > Self.unsentHighWater || sending.retained > Self.retainedHighWater
    }

    /// Whether all streams together hold too much; each may have a little nevertheless, lest a stream whose peer does
    /// not read hinder the others.
    private var isOverMemory: Bool {
        connection.isOverSendMemory && sending.memory > connection.allowance.streamSendMemory
    }

    private func keep(_ change: (inout SendBuffer) -> Void) {
        let (memory, abandoned) = (sending.memory, sending.isAbandoned ? sending.memory : 0)
        change(&sending)
        connection.sendMemoryChanged(
            by: sending.memory - memory, abandoned: (sending.isAbandoned ? sending.memory : 0) - abandoned)
    }

    private func receive<Result>(_ change: (inout ReceiveBuffer) -> Result) -> Result {
        let memory = receiving.memory
        defer { connection.receiveMemory += receiving.memory - memory }
        return change(&receiving)
    }

    private func dropUnread() {
        let dropped = receive { $0.discard() }
        if dropped > 0 { consumed(dropped) }
    }

    /// A peer may open another stream only once the application is done with this one: what it has not read counts.
    private func returnCreditIfDone() {
        guard isClosedByTransport, isInbound, !creditReturned, receiving.count == 0 else { return }
        creditReturned = true
        connection.returnStreamCredit()
    }
}
