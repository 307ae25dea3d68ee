internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PWire

/// The pipeline of one stream that the peer opened: negotiate within the deadline, check the gate, run the handler.
@NetworkActor
struct InboundStream {
    /// How long, and for how many bytes, a peer may go on after the answer's end before it is asked to stop.
    private static let restPatience = Duration.seconds(1)
    private static let restLimit = 64 * 1024
    /// How long the agreement on a protocol waits for the handler's first bytes.
    private static let agreementDelay = Duration.milliseconds(500)

    private let raw: any ByteStream
    private let served: ServedStream
    private let session: Session

    init(_ served: ServedStream, of session: Session) {
        (raw, self.served, self.session) = (served.stream, served, session)
    }

    @inline(__always)
    func serve() async {
        do {
            // Most often what negotiates has come whole, and there is nothing to wait for.
            let first = raw.readAvailable()
            var agreed = agreeAtOnce(first)
            if agreed == nil { agreed = try await negotiate(first) }
            guard let (stream, registration) = agreed else { return }
            // The agreement rides in front of the answer, but a handler that takes its time does not keep it back.
            let flush = session.clock.schedule(after: Self.agreementDelay) {
                // What the handler writes meets the same error.
                networkTask { try? await stream.flush() }
            }
            defer { session.clock.cancel(flush) }
            session.began(registration, on: served)
            if case .within(let limit) = registration.deadline {
                try await run(registration, on: stream, within: limit)
            } else {
                try await registration.handler(session, stream)
            }
            stream.finish()
            if raw.isAtEnd { raw.stopReading(StreamCode.done.rawValue) } else { await dropRest() }
        } catch {
            raw.reset(Self.code(for: error).rawValue)
        }
    }

    private func run(
        _ registration: Registration, on stream: NegotiatedStream, within limit: Duration
    ) async throws {
        try await session.clock.withDeadline(limit) { [session] in try await registration.handler(session, stream) }
    }

    /// Reads the peer's end before asking it to stop: there are libp2p implementations that, asked to stop writing,
    /// forget the answer that is on its way to them.
    private func dropRest() async {
        let patience = session.clock.schedule(after: Self.restPatience) { [raw] in
            raw.stopReading(StreamCode.done.rawValue)
        }
        defer { session.clock.cancel(patience) }
        var left = Self.restLimit
        // A stream that broke off has no rest.
        while left > 0, let chunk = try? await raw.read() { left -= chunk.count }
        raw.stopReading(StreamCode.done.rawValue)
    }

    /// For the protocol that was asked for last, whose proposal is known without a look at what is in it.
    private func agreeAtOnce(_ chunk: Chunk?) -> (NegotiatedStream, Registration)? {
        guard let chunk, let registration = session.registry.recent,
            session.isAdmitted || registration.gate == .open, chunk.begins(with: registration.flight)
        else { return nil }
        session.count(raw, as: registration.name)
        return (NegotiatedStream(agreeing: registration, over: raw, first: chunk), registration)
    }

    /// `nil` when the peer left without agreeing on anything.
    ///
    /// - Parameter first: what has come.
    private func negotiate(_ first: Chunk?) async throws -> (NegotiatedStream, Registration)? {
        var listener = MultistreamListener()
        first.map { listener.receive($0.array()) }
        var taken = first?.count ?? 0
        var deadline: TimerToken?
        defer { deadline.map(session.clock.cancel) }
        func startDeadline() {
            guard deadline == nil else { return }
            deadline = session.clock.schedule(after: session.limits.negotiationDeadline) { [raw] in
                raw.reset(StreamCode.timeout.rawValue)
            }
        }
        var hasRefused = false
        while true {
            switch listener.next() {
            case .needMore:
                startDeadline()
                let output = listener.takeOutput()
                if !output.isEmpty { try await raw.write(Chunk(output)) }
                guard let chunk = try await raw.read() else {
                    raw.finish()
                    return nil
                }
                listener.receive(chunk.array())
                taken += chunk.count
            case .failed where hasRefused:
                // What follows a refused proposal is the data that rode along with it: the refusal has to arrive.
                startDeadline()
                try await raw.write(Chunk(listener.takeOutput()))
                raw.finish()
                raw.stopReading(StreamCode.done.rawValue)
                return nil
            case .failed(let error): throw error
            case .proposal(let name):
                // What has come behind the proposal is a stranger's, maybe, and may wait for a while.
                raw.keeps(taken)
                defer { raw.keeps(0) }
                guard let registration = try await registration(for: name) else {
                    listener.refuse()
                    hasRefused = true
                    continue
                }
                session.count(raw, as: name)
                let data = listener.accept()
                return (NegotiatedStream(name, over: raw, output: listener.takeOutput(), leftover: data), registration)
            }
        }
    }

    private func registration(for name: String) async throws -> Registration? {
        // Nothing here has another name; and comparing text with marks in a wrong order takes the square of the time.
        guard Self.isASCII(name) else { return nil }
        if !session.isAdmitted, ProtocolRegistry.gate(of: name) == .members {
            guard await session.waitForProof() else { throw SessionError(.notMember) }
        }
        return session.registry.registration(for: name)
    }

    /// Not the network thread's: there each byte's look would be checked for being on it.
    private nonisolated static func isASCII(_ name: String) -> Bool {
        name.utf8.withContiguousStorageIfAvailable { bytes in bytes.reduce(0, |) < 0x80 }
            ?? name.utf8.allSatisfy { $0 < 0x80 }
    }

    private static func code(for error: any Error) -> StreamCode {
        switch error {
        case is FrameError, is MultistreamError: .violation
        case is CancellationError: .cancelled
        case is DeadlineExceeded: .timeout
        case let error as SessionError:
            switch error.code {
            case .notMember: .notMember
            case .busy: .busy
            case .violation: .violation
            case .timeout: .timeout
            case .closed, .unsupported, .reset: .cancelled
            }
        default: .failed
        }
    }
}
