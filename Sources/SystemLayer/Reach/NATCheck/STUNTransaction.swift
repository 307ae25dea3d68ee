package import DeP2PReactor

/// One Binding request until its response: the retransmissions of RFC 8489 section 6.2.1, on the caller's time.
///
/// States: waiting → finished. Calling order: `init`, send ``request``; then `handle(_:from:)` for each message that
/// may be the response and `handleTimer(now:)` at ``deadline``, until one returns something final.
package struct STUNTransaction: Sendable {
    /// How often and how long a request is sent.
    package struct Timing: Equatable, Sendable {
        /// Before the first retransmission; doubles with each (RTO).
        package let initialTimeout: Duration
        /// How many times the request is sent in all (Rc).
        package let transmissions: Int
        /// How many initial timeouts to wait after the last transmission (Rm).
        package let finalFactor: Int

        package init(initialTimeout: Duration, transmissions: Int, finalFactor: Int) {
            self.initialTimeout = initialTimeout
            self.transmissions = transmissions
            self.finalFactor = finalFactor
        }

        /// RFC 8489 section 6.2.1: gives up after 39.5 s.
        package static let standard = Timing(initialTimeout: .milliseconds(500), transmissions: 7, finalFactor: 16)
        /// For a user who waits: 0, 200, 600, 1400 ms, and up at 2.2 s.
        package static let interactive = Timing(initialTimeout: .milliseconds(200), transmissions: 4, finalFactor: 4)
    }

    package enum TimerAction: Equatable, Sendable {
        case wait
        /// Send ``request`` once more.
        case retransmit
        /// No response came.
        case timedOut
    }

    package enum MessageAction: Equatable, Sendable {
        /// Not the response to this request: another transaction, class or method, or too late.
        case ignore
        case succeeded(STUNBinding)
        /// The observer refused with this error code.
        case failed(Int)
    }

    private enum State: Equatable {
        case waiting(transmissions: Int, timeout: Duration, deadline: NetworkInstant)
        case finished
    }

    package let request: STUNMessage
    private let timing: Timing
    private let started: NetworkInstant
    private var state: State

    package init(_ request: STUNMessage, timing: Timing = .standard, now: NetworkInstant) {
        self.request = request
        self.timing = timing
        started = now
        let timeout = timing.transmissions > 1 ? timing.initialTimeout : timing.initialTimeout * timing.finalFactor
        state = .waiting(transmissions: 1, timeout: timing.initialTimeout, deadline: now.advanced(by: timeout))
    }

    /// When `handleTimer(now:)` wants to be called; `nil` once finished.
    package var deadline: NetworkInstant? {
        if case .waiting(_, _, let deadline) = state { deadline } else { nil }
    }

    package mutating func handleTimer(now: NetworkInstant) -> TimerAction {
        guard case .waiting(let transmissions, let timeout, let deadline) = state, deadline <= now else { return .wait }
        guard transmissions < timing.transmissions else {
            state = .finished
            return .timedOut
        }
        let isLast = transmissions + 1 == timing.transmissions
        let next = isLast ? timing.initialTimeout * timing.finalFactor : timeout * 2
        state = .waiting(transmissions: transmissions + 1, timeout: timeout * 2, deadline: now.advanced(by: next))
        return .retransmit
    }

    /// - Parameter source: where the message came from; RFC 5780's tests expect other sources than the one asked.
    package mutating func handle(_ message: STUNMessage, from source: SocketAddress, now: NetworkInstant)
        -> MessageAction
    {
        guard state != .finished, message.transaction == request.transaction, message.method == request.method else {
            return .ignore
        }
        switch message.kind {
        case .request, .indication: return .ignore
        case .failure:
            state = .finished
            return .failed(message.errorCode ?? 500)
        case .success:
            guard let binding = STUNBinding(message, from: source, elapsed: now.duration(since: started)) else {
                return .ignore
            }
            state = .finished
            return .succeeded(binding)
        }
    }
}

extension STUNMessage {
    /// The ERROR-CODE, of a failure that has one.
    package var errorCode: Int? {
        for case .errorCode(let code, _) in attributes { return code }
        return nil
    }
}
