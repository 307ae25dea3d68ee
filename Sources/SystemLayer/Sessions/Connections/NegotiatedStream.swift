internal import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor
internal import DeP2PWire

/// A stream that speaks one protocol, over one whose ends have still to say so.
///
/// The negotiation costs no round trip: a dialer's proposal rides in front of its first data and the listener's echo
/// in front of the first answer; reading flushes what is still due. The echo is checked before any byte is delivered,
/// so data of another protocol is never taken for this one's.
@NetworkActor
package final class NegotiatedStream: ByteStream {
    /// The negotiation joins the first data in one buffer up to this size, in bytes.
    private static let joinLimit = 16 * 1024

    package let protocolID: String
    private let raw: any ByteStream
    private var output: [UInt8]
    /// What came behind the negotiation, and where in it.
    package private(set) var leftover: (chunk: Chunk, start: Int)?
    /// What the listener answers when it agrees; `nil` once it did, and on the listening side.
    private var expectedEcho: [UInt8]?
    private var dialer: MultistreamDialer?
    /// How long a reader waits for the listener's answer.
    private let patience: (clock: any NetworkClock, limit: Duration)?
    private var agreementTimer: TimerToken?
    private var isLate = false
    private var isToBearSilence = false

    /// The dialing side, proposing `protocolID` with its first flight.
    ///
    /// - Parameter patience: how long the listener may take to agree, from the first read on.
    init(proposing protocolID: String, over raw: any ByteStream, patience: (any NetworkClock, Duration)) {
        self.patience = patience
        self.protocolID = protocolID
        self.raw = raw
        output = Self.flight(for: protocolID)
        expectedEcho = output
    }

    /// Either side of a finished negotiation: `output` has still to be sent, `leftover` has already arrived.
    init(_ protocolID: String, over raw: any ByteStream, output: [UInt8], leftover: [UInt8]) {
        patience = nil
        self.protocolID = protocolID
        self.raw = raw
        self.output = output
        self.leftover = leftover.isEmpty ? nil : (Chunk(leftover), 0)
    }

    /// The listening side of a protocol whose proposal came as it always does.
    ///
    /// - Parameter first: what has come, which begins with that.
    init(agreeing registration: Registration, over raw: any ByteStream, first: Chunk) {
        patience = nil
        protocolID = registration.name
        self.raw = raw
        output = registration.flight
        leftover = first.count > output.count ? (first, output.count) : nil
    }

    /// The first flights of the protocols used last: a request a stream makes the same one over and over.
    private static var flights: [String: [UInt8]] = [:]
    private static let flightLimit = 64

    private static func flight(for protocolID: String) -> [UInt8] {
        if let recent, recent.protocolID == protocolID { return recent.flight }
        let flight = anyFlight(for: protocolID)
        recent = (protocolID, flight)
        return flight
    }

    private static var recent: (protocolID: String, flight: [UInt8])?

    private static func anyFlight(for protocolID: String) -> [UInt8] {
        if let flight = flights[protocolID] { return flight }
        if flights.count >= flightLimit { flights.removeAll() }
        let flight = MultistreamDialer([protocolID]).firstFlight
        flights[protocolID] = flight
        return flight
    }

    package var acknowledgedBytes: UInt64 { raw.acknowledgedBytes }

    package var peerHeardAt: NetworkInstant? { raw.peerHeardAt }

    /// - Throws: also ``SessionError`` `unsupported` when the listener does not speak the protocol, and `timeout` when
    ///   it does not say.
    package func read() async throws -> Chunk? {
        if let chunk = takeLeftover() { return chunk }
        do {
            try await flush()
        } catch let error as StreamError {
            // A peer that wants to hear nothing may have said what it has to say.
            guard case .stopped = error.code else { throw error }
        }
        if expectedEcho != nil, try await agree(), let data = takeLeftover() { return data }
        return try await raw.read()
    }

    /// ``leftover`` has been taken.
    package func dropLeftover() { leftover = nil }

    private func takeLeftover() -> Chunk? {
        guard let (chunk, start) = leftover else { return nil }
        leftover = nil
        return start == 0 ? chunk : Chunk(chunk, after: start)
    }

    package func readAvailable() -> Chunk? {
        if let chunk = takeLeftover() { return chunk }
        // A read that has to say or to hear something first may wait.
        return output.isEmpty && expectedEcho == nil ? raw.readAvailable() : nil
    }

    /// What a look at the stream comes to.
    package enum Progress {
        /// Those of the chunk from there on.
        case bytes(Chunk, from: Int)
        case end
        /// Look again when that is resolved.
        case wait(Waiter<Void>)
        /// Only ``read()`` can tell.
        case unknown
    }

    /// As ``read()``, without the wait: for who waits by itself, at once for all that is between. Whoever began with that
    /// goes on until the end or an error, or resets the stream.
    ///
    /// - Throws: as ``read()``.
    package func progress() throws -> Progress {
        if let (chunk, start) = leftover {
            leftover = nil
            return .bytes(chunk, from: start)
        }
        guard output.isEmpty else { return .unknown }
        do {
            while let chunk = raw.readAvailable() {
                guard expectedEcho != nil else { return .bytes(chunk, from: 0) }
                try settle(chunk)
                if expectedEcho == nil { stopWaiting() }
                if let (chunk, start) = leftover {
                    leftover = nil
                    return .bytes(chunk, from: start)
                }
            }
            if raw.isAtEnd {
                guard expectedEcho != nil else { return .end }
                throw SessionError(.violation, detail: "the stream ended during protocol negotiation")
            }
            guard let waiter = try raw.readWaiter() else { return .unknown }
            if expectedEcho != nil { startWaiting() }
            return .wait(waiter)
        } catch {
            stopWaiting()
            throw isLate ? lateness : error
        }
    }

    private func startWaiting() {
        guard agreementTimer == nil, let patience else { return }
        agreementTimer = patience.clock.schedule(after: patience.limit) { [self] in
            isLate = true
            raw.reset(StreamCode.timeout.rawValue)
        }
    }

    private func stopWaiting() {
        guard let timer = agreementTimer else { return }
        agreementTimer = nil
        patience?.clock.cancel(timer)
    }

    private var lateness: SessionError {
        SessionError(.timeout, detail: "the peer did not say whether it speaks \(protocolID)")
    }

    package var isAtEnd: Bool { leftover == nil && expectedEcho == nil && raw.isAtEnd }

    /// Waits for the listener to agree; returns whether data came with that.
    private func agree() async throws -> Bool {
        startWaiting()
        defer { stopWaiting() }
        do {
            while expectedEcho != nil {
                guard let chunk = try await raw.read() else {
                    throw SessionError(.violation, detail: "the stream ended during protocol negotiation")
                }
                try settle(chunk)
            }
            return leftover != nil
        } catch {
            throw isLate ? lateness : error
        }
    }

    package func write(_ chunk: Chunk) async throws {
        guard !output.isEmpty else { return try await raw.write(chunk) }
        guard chunk.count <= Self.joinLimit else {
            try await flush()
            return try await raw.write(chunk)
        }
        let joined = Chunk(capacity: output.count + chunk.count)
        joined.append(output)
        output = []
        joined.append(chunk)
        try await raw.write(joined)
    }

    package func writeAtOnce(_ chunk: Chunk) throws -> Bool {
        guard output.isEmpty else { return false }
        return try raw.writeAtOnce(chunk)
    }

    /// What the negotiation still owes, for who puts it in front of so many first bytes of its own, in one piece; nothing
    /// where they are too many for that.
    package func takeOwed(inFrontOf count: Int) -> [UInt8] {
        guard count <= Self.joinLimit else { return [] }
        defer { output = [] }
        return output
    }

    /// Sends what the negotiation still owes, for a side that has nothing to say yet.
    package func flush() async throws {
        guard !output.isEmpty else { return }
        let chunk = Chunk(output)
        output = []
        try await raw.write(chunk)
    }

    package func finish() {
        guard !output.isEmpty else { return raw.finish() }
        let chunk = Chunk(output)
        output = []
        networkTask { [raw] in
            // A stream that ended meanwhile needs no finish either.
            try? await raw.write(chunk)
            raw.finish()
        }
    }

    package func reset(_ code: UInt64) {
        stopWaiting()
        raw.reset(code)
    }

    package func stopReading(_ code: UInt64) {
        stopWaiting()
        raw.stopReading(code)
    }

    package func readsAtLeisure() { raw.readsAtLeisure() }
    package func readsInBulk() { raw.readsInBulk() }
    package func keeps(_ bytes: Int) { raw.keeps(bytes) }
    package func bearsSilence() { raw.bearsSilence() }

    package func bearsSilenceOnceAgreed() {
        isToBearSilence = expectedEcho != nil
        if !isToBearSilence { raw.bearsSilence() }
    }

    private func agreed() {
        expectedEcho = nil
        if isToBearSilence { raw.bearsSilence() }
    }

    package func count(for tally: TrafficTally) { raw.count(for: tally) }

    /// Takes the listener's answer, and leaves the data behind it.
    private func settle(_ chunk: Chunk) throws {
        guard let echo = expectedEcho else { return }
        if dialer == nil, chunk.begins(with: echo) {
            agreed()
            if chunk.count > echo.count { leftover = (chunk, echo.count) }
            return
        }
        var negotiation = dialer ?? MultistreamDialer([protocolID])
        defer { dialer = negotiation }
        switch negotiation.receive(chunk.array()) {
        case .needMore: break
        case .selected(_, let data):
            agreed()
            if !data.isEmpty { leftover = (Chunk(data), 0) }
        case .propose: throw SessionError(.violation, detail: "the peer answered a proposal that was not made")
        case .failed(let error):
            raw.reset(StreamCode.cancelled.rawValue)
            throw SessionError(error)
        }
    }
}
