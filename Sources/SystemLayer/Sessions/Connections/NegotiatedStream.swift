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
    private var leftover: Chunk?
    /// What the listener answers when it agrees; `nil` once it did, and on the listening side.
    private var expectedEcho: [UInt8]?
    private var dialer: MultistreamDialer?
    /// How long a reader waits for the listener's answer.
    private let patience: (clock: any NetworkClock, limit: Duration)?

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
        self.leftover = leftover.isEmpty ? nil : Chunk(leftover)
    }

    /// The first flights of the protocols used last: a request a stream makes the same one over and over.
    private static var flights: [String: [UInt8]] = [:]
    private static let flightLimit = 64

    private static func flight(for protocolID: String) -> [UInt8] {
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
        if let chunk = leftover {
            leftover = nil
            return chunk
        }
        do {
            try await flush()
        } catch let error as StreamError {
            // A peer that wants to hear nothing may have said what it has to say.
            guard case .stopped = error.code else { throw error }
        }
        if expectedEcho != nil, let data = try await agree() { return data }
        return try await raw.read()
    }

    package func readAvailable() -> Chunk? {
        if let chunk = leftover {
            leftover = nil
            return chunk
        }
        // A read that has to say or to hear something first may wait.
        return output.isEmpty && expectedEcho == nil ? raw.readAvailable() : nil
    }

    package var isAtEnd: Bool { leftover == nil && expectedEcho == nil && raw.isAtEnd }

    /// Waits for the listener to agree; returns the data that came with that, if any.
    private func agree() async throws -> Chunk? {
        var isLate = false
        let timer = patience.map { patience in
            patience.clock.schedule(after: patience.limit) { [raw] in
                isLate = true
                raw.reset(StreamCode.timeout.rawValue)
            }
        }
        defer { if let timer { patience?.clock.cancel(timer) } }
        do {
            while expectedEcho != nil {
                guard let chunk = try await raw.read() else {
                    throw SessionError(.violation, detail: "the stream ended during protocol negotiation")
                }
                if let data = try settle(chunk) { return data }
            }
            return nil
        } catch {
            guard isLate else { throw error }
            throw SessionError(.timeout, detail: "the peer did not say whether it speaks \(protocolID)")
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
        joined.append(chunk.array())
        try await raw.write(joined)
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

    package func reset(_ code: UInt64) { raw.reset(code) }

    package func stopReading(_ code: UInt64) { raw.stopReading(code) }

    package func readsAtLeisure() { raw.readsAtLeisure() }
    package func bearsSilence() { raw.bearsSilence() }

    package func count(for tally: TrafficTally) { raw.count(for: tally) }

    /// Takes the listener's answer; returns the data behind it, if any.
    private func settle(_ chunk: Chunk) throws -> Chunk? {
        guard let echo = expectedEcho else { return chunk }
        if dialer == nil, chunk.count >= echo.count, chunk.array(0..<echo.count) == echo {
            expectedEcho = nil
            return chunk.count == echo.count ? nil : Chunk(chunk.array(echo.count..<chunk.count))
        }
        var negotiation = dialer ?? MultistreamDialer([protocolID])
        defer { dialer = negotiation }
        switch negotiation.receive(chunk.array()) {
        case .needMore: return nil
        case .selected(_, let data):
            expectedEcho = nil
            return data.isEmpty ? nil : Chunk(data)
        case .propose: throw SessionError(.violation, detail: "the peer answered a proposal that was not made")
        case .failed(let error):
            raw.reset(StreamCode.cancelled.rawValue)
            throw SessionError(error)
        }
    }
}
