public import DeP2PIdentity

/// One thing tried on the way to a node, as it is shown to the user.
public struct ConnectAttempt: Hashable, Sendable, CustomStringConvertible {
    public enum Stage: String, Sendable {
        /// Turning a name into addresses.
        case resolve
        /// A QUIC handshake with an address of the node itself.
        case direct
        /// A path through a relay.
        case relay
    }

    public enum Outcome: String, Sendable {
        case connected
        /// Nothing answered in time.
        case timeout
        /// The host said that nothing listens there.
        case refused
        /// This machine has no route there.
        case unreachable
        /// Another node than the one expected answered.
        case wrongPeer
        /// Something answered, but the handshake failed.
        case handshakeFailed
        /// The relay made no circuit to the node: the detail says why.
        case relayRefused
        /// The relay is at a limit of its own: there may be room soon.
        case relayBusy
        /// The relay does not know the node, or had no answer from it: it may be on its way to another network.
        case peerAbsent
        /// The peer closed the connection at once: its limit, or it does not want this node.
        case closed
        /// The name has no address.
        case nameUnknown
        /// The system's resolver did not say whether it has one.
        case resolverFailed
        /// The address is not one that can be dialled.
        case unsupported
        /// Another attempt succeeded first, or the whole connect was over.
        case superseded
    }

    /// What was tried. Most attempts are told to nobody, so that the text of an address waits until somebody asks.
    package enum Place: Hashable, Sendable, CustomStringConvertible {
        case address(Address)
        /// A name with what it resolved to, or a way of several parts.
        case text(String)

        package var description: String {
            switch self {
            case .address(let address): address.description
            case .text(let text): text
            }
        }
    }

    public let stage: Stage
    package let place: Place
    /// The address as text, as it was given or resolved.
    public var address: String { place.description }
    /// From the start of the whole connect until this attempt was over.
    public let elapsed: Duration
    public let outcome: Outcome
    public let detail: String
    /// What would help, where that is known.
    public let remedy: Remedy?

    package init(
        stage: Stage, place: Place, elapsed: Duration, outcome: Outcome, detail: String = "", remedy: Remedy? = nil
    ) {
        self.stage = stage
        self.place = place
        self.elapsed = elapsed
        self.outcome = outcome
        self.detail = detail
        self.remedy = remedy
    }

    public var description: String {
        "\(stage.rawValue) \(address): \(outcome.rawValue)\(detail.isEmpty ? "" : " (\(detail))")"
    }
}
