public import DeP2PApp
public import DeP2PIdentity
public import DeP2PQUIC
public import DeP2PReach
public import DeP2PSessions

/// Something that happened to a node, or that it did: what a command, an introspection page and an application read alike,
/// with ``Node/events(of:capacity:)``.
public enum NodeEvent: Sendable {
    // This node

    /// This machine's addresses or routes have changed, and the node has seen to it.
    case networkChanged
    /// What nodes that dialled back have found, or the addresses that they reached, changed.
    case reachability(ReachabilityState)
    /// A gateway has opened a port, opened another one or closed it (`nil`).
    case portMapping(IPAddress.Family, PortMapping?)
    /// The node begins to relay for the members of its realm, or ends it (``NodeConfiguration/relaysForRealm``).
    case realmRelay(isServing: Bool)
    /// What the node remembers can no longer be kept, or can again.
    case storage(StorageNotice)

    // Others

    /// A node that this one is connected with has come, gone or become doubtful, or is reached another way. All sessions with
    /// it count as one. Members of the realm are marked; strangers come only so fast, and late where they come faster.
    case peer(PeerPresence)
    case session(SessionSubject, SessionChange)
    /// What the application, or this node's user, wanted to be connected with was not reached: `nil` where no NodeID was
    /// given. The reason is a sentence.
    case connectFailed(NodeID?, reason: String)
    /// What became of reservations with relays that this node uses, and of circuits to it.
    case relay(RelayEvent)
    /// What this node does as a relay for others.
    case relaying(RelayingEvent)
    case transfer(TransferSubject, TransferChange)
    /// A handler of the application's did not take a message; its sender learns nothing but that. `reason` is the error's
    /// own words.
    case messageFailed(from: NodeID, protocolName: String, reason: String)

    /// This observer was too slow for so many events, which would stand here.
    case dropped(Int)

    /// One connection to another node.
    public struct SessionSubject: Hashable, Sendable {
        /// As in `Connections.session(id:)`.
        public let id: UInt64
        public let nodeID: NodeID
    }

    public enum SessionChange: Sendable {
        case opened(ConnectionPath)
        /// Both sides have proven the realm key.
        case admitted
        case moved(to: ConnectionPath)
        case ended(SessionEnd)
    }

    /// One transfer.
    public struct TransferSubject: Hashable, Sendable {
        public enum Direction: Hashable, Sendable { case incoming, outgoing }

        public let direction: Direction
        /// Tells it from every other transfer of this node in that direction.
        public let id: UInt64
        public let peer: NodeID
    }

    public enum TransferChange: Sendable {
        case event(TransferEvent)
        /// The last of a transfer's events; also of one that was refused.
        case ended(Result<TransferSummary, DeP2PError>)
    }

    /// What an event is about.
    public enum Subject: Hashable, Sendable {
        case node
        case peer(NodeID)
        case session(SessionSubject)
        /// A relay that this node uses; `nil` when its address names no node.
        case relay(NodeID?)
        /// A circuit that this node carries for others.
        case circuit(UInt64)
        case transfer(TransferSubject)
    }

    public var subject: Subject {
        switch self {
        case .networkChanged, .reachability, .portMapping, .realmRelay, .storage, .dropped: .node
        case .peer(let presence): .peer(presence.nodeID)
        case .session(let session, _): .session(session)
        case .connectFailed(let nodeID, _): nodeID.map(Subject.peer) ?? .node
        case .relay(let event): .relay(event.relay)
        case .relaying(let event): event.subject
        case .transfer(let transfer, _): .transfer(transfer)
        case .messageFailed(let from, _, _): .peer(from)
        }
    }

    /// Which events an observer wants.
    public struct Kinds: OptionSet, Sendable {
        public let rawValue: Int

        public init(rawValue: Int) {
            self.rawValue = rawValue
        }

        /// What concerns the node itself.
        public static let node = Self(rawValue: 1)
        public static let sessions = Self(rawValue: 2)
        public static let relays = Self(rawValue: 4)
        public static let relaying = Self(rawValue: 8)
        /// One for each file at the least.
        public static let transfers = Self(rawValue: 16)
        public static let messages = Self(rawValue: 32)
        /// Who is online.
        public static let peers = Self(rawValue: 64)
        public static let all: Self = [.node, .sessions, .relays, .relaying, .transfers, .messages, .peers]
    }

    var kind: Kinds {
        switch self {
        case .networkChanged, .reachability, .portMapping, .realmRelay, .storage, .dropped: .node
        case .peer: .peers
        case .session, .connectFailed: .sessions
        case .relay: .relays
        case .relaying: .relaying
        case .transfer: .transfers
        case .messageFailed: .messages
        }
    }
}

extension RelayEvent {
    fileprivate var relay: NodeID? {
        switch self {
        case .reserved(let standing): standing.relay
        case .lost(let address), .refused(let address, _, _): address.nodeID
        case .circuitEnded(let relay, _): relay
        }
    }
}

extension RelayingEvent {
    fileprivate var subject: NodeEvent.Subject {
        switch self {
        case .reserved(let node, _), .reservationEnded(let node), .refused(let node, _): .peer(node)
        case .opened(let circuit, _, _), .closed(let circuit, _, _, _, _): .circuit(circuit)
        }
    }
}
