public import DeP2PIdentity
internal import DeP2PSessions

/// Why a relay did not do what was asked of it.
public struct RelayError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable {
        /// The target has no reservation with the relay.
        case noReservation
        /// A limit of the relay, named in ``RelayError/limit``.
        case limitReached
        /// The relay serves members of its realm only.
        case notAllowed
        /// The target did not want the circuit, or did not answer.
        case refusedByTarget
        /// One side did not understand the other.
        case malformed
        /// The relay is stopping.
        case stopping
        /// The node asked is no relay.
        case notARelay
    }

    /// A limit by its name, as in ``RelayLimits/Name``; a relay of another version may have others.
    package struct Limit: Hashable, Sendable {
        package let name: String
        package let maximum: UInt64

        package init(name: String, maximum: UInt64) {
            self.name = name
            self.maximum = maximum
        }
    }

    public let code: Code
    package let limit: Limit?

    package init(_ code: Code, limit: Limit? = nil) {
        self.code = code
        self.limit = limit
    }

    static func limit(_ name: String, _ maximum: Int) -> RelayError {
        RelayError(.limitReached, limit: Limit(name: name, maximum: UInt64(clamping: maximum)))
    }

    /// What whoever met a limit of the relay can do.
    public var remedy: Remedy? { limit.map { .raiseRelayLimit($0.name) } }

    /// Whether it is for want of places, which become free.
    var isOfPlaces: Bool {
        guard let limit, limit.maximum > 0 else { return false }
        return [RelayLimits.Name.circuits, RelayLimits.Name.circuitsPerNode].contains(limit.name)
    }

    public var description: String {
        switch code {
        case .noReservation: "the node has no reservation with this relay"
        case .limitReached:
            "the relay is at its limit" + (limit.map { " \($0.name) of \($0.maximum)" } ?? "")
        case .notAllowed: "the relay serves members of its realm only"
        case .refusedByTarget: "the node did not take the relayed connection"
        case .malformed: "the relay was not understood"
        case .stopping: "the relay is stopping"
        case .notARelay: "that node is no relay"
        }
    }
}

/// Why a circuit ended, as a relay tells both sides.
public enum CircuitEnd: Hashable, Sendable, CustomStringConvertible {
    /// A side ended it, or is gone.
    case closed
    /// A limit of the relay, by its name.
    case limit(String, used: UInt64, maximum: UInt64)
    /// The relay is stopping.
    case stopping
    /// Nothing came over it, and the target did not want it.
    case unused

    public var remedy: Remedy? { if case .limit(let name, _, _) = self { .raiseRelayLimit(name) } else { nil } }

    /// Whether the relay may make another in its place: one that was restarted does.
    var mayBeTakenBack: Bool {
        switch self {
        case .closed, .stopping: true
        case .limit, .unused: false
        }
    }

    public var description: String {
        switch self {
        case .closed: "closed"
        case .unused: "nothing came over it"
        case .limit(let name, let used, let maximum):
            "the relay's limit \(name) of \(maximum) is reached (\(used) used)"
        case .stopping: "the relay is stopping"
        }
    }
}

extension RelayError {
    /// A circuit that ended before there was a connection over it.
    init(ending end: CircuitEnd) {
        switch end {
        case .closed, .unused: self.init(.refusedByTarget)
        case .stopping: self.init(.stopping)
        case .limit(let name, _, let maximum): self.init(.limitReached, limit: Limit(name: name, maximum: maximum))
        }
    }
}

extension TransportFailure {
    /// What a relay's refusal says of the way through it.
    init(_ error: RelayError) { self.init(Self.outcome(of: error), detail: error.description, remedy: error.remedy) }

    private static func outcome(of error: RelayError) -> ConnectAttempt.Outcome {
        switch error.code {
        case .noReservation, .refusedByTarget, .stopping: .peerAbsent
        case .limitReached: .relayBusy
        case .notAllowed, .malformed, .notARelay: .relayRefused
        }
    }
}
