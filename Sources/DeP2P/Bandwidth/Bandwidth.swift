public import DeP2PIdentity
public import DeP2PQUIC
internal import DeP2PSessions

/// What a node has carried since its start, and how fast it does now: in all, by kind of path, by protocol, by peer.
///
/// The counts are exact; what they count says ``Traffic``. Where the same bytes appear in several places they add up: the
/// kinds of path to ``total``, and so do ``peers``, ``forgottenPeers`` and connections that came to nothing.
///
/// What two nodes exchange both count alike, in all and by protocol, once their streams have ended. By kind of path they may
/// differ around a change of path, which each end sees at its own time.
public struct Bandwidth: Sendable {
    /// Bytes of one kind, and how many a second.
    public struct Flow: Hashable, Sendable {
        public var bytes: Traffic
        /// Bytes a second over ``Bandwidth/interval``; `nil` where that is.
        public var perSecond: Traffic?

        public init(_ bytes: Traffic = .zero, perSecond: Traffic? = nil) {
            (self.bytes, self.perSecond) = (bytes, perSecond)
        }
    }

    /// A kind of path and a family of addresses: of a relayed path, those of the way to the relay.
    public struct Lane: Hashable, Sendable {
        public let path: PathClass
        public let family: IPAddress.Family
    }

    public internal(set) var total: Flow
    public internal(set) var paths: [PathClass: Flow]
    /// What was on the wire, by family too.
    public internal(set) var lanes: [Lane: ByteTotals]
    /// By the name of the protocol: ``Traffic/payload`` alone, since datagrams are no stream's. Streams that never agreed on a
    /// protocol stand under `/multistream/1.0.0`. So many are told apart (``protocolLimit``); the bytes of those that came
    /// later stand under `others`.
    public internal(set) var protocols: [String: Flow]
    /// The same by kind of path.
    public internal(set) var protocolPaths: [String: [PathClass: ByteTotals]]
    /// By node: those that are connected, and of the others those that were so last (``pastPeerLimit``).
    public internal(set) var peers: [NodeID: Flow]
    /// All nodes that were connected before those.
    public internal(set) var forgottenPeers: Flow
    /// What the rates are taken over: the time since somebody looked before, when that was one second ago or a little more.
    /// `nil` when nobody has looked within the last ten seconds: look once more a second later.
    public internal(set) var interval: Duration?

    public static let protocolLimit = BandwidthMeter.protocolLimit
    public static let pastPeerLimit = BandwidthMeter.pastPeerLimit

    init(_ counts: BandwidthCounts) {
        total = Flow(counts.total.total)
        paths = Dictionary(uniqueKeysWithValues: PathClass.allCases.map { ($0, Flow(counts.total[$0])) })
        lanes = Dictionary(
            uniqueKeysWithValues: ConnectionTraffic.Lane.all.map {
                (Lane(path: $0.path, family: $0.family), counts.total.wire($0))
            })
        protocolPaths = counts.protocols
        protocols = counts.protocols.mapValues { Flow(Traffic(payload: $0.values.reduce(.zero, +))) }
        peers = counts.peers.mapValues { Flow($0.total) }
        forgottenPeers = Flow(counts.forgotten.total)
    }
}
