public import DeP2PHTTP
public import DeP2PIdentity
public import DeP2PReach
package import DeP2PReactor
package import DeP2PStorage

/// What a node that is a relay allows, and to whom.
///
/// Those whom it serves give its address as one of their ``NodeConfiguration/relays``. It carries what is encrypted end to
/// end, and has to be reachable itself.
public struct RelayConfiguration: Hashable, Sendable {
    /// ``Node/changeRelayLimits(to:)`` changes them later.
    public var limits: RelayLimits
    /// Serves only members of the realm that the node joins; others who ask are refused.
    public var membersOnly: Bool

    public init(limits: RelayLimits = RelayLimits(), membersOnly: Bool = true) {
        self.limits = limits
        self.membersOnly = membersOnly
    }
}

/// When a node shows its NodeID on the networks that its machine is in.
public enum NodeIDShowing: String, Hashable, Sendable {
    case always
    /// Whenever it is in no realm: then nothing else would find it there.
    case outsideRealms
    case never
}

/// How a node is to be started.
public struct NodeConfiguration: Sendable {
    /// The node's identity; `nil` makes one for this run.
    public var identity: IdentityKey?
    /// Whether the identity is of this run only, as it is without one: what it learns of others and of itself is not
    /// kept; what earlier runs have kept is read.
    public var isEphemeral = false
    /// Where to listen: at most one address a family; port 0 is a free one. Empty: every address of both families, one
    /// free port.
    package var listen: [SocketAddress] = []
    /// Where nodes are known to be: multiaddrs that end in `/p2p/ID`.
    public var knownPeers: [Address] = []
    /// Relays to be reachable through, in order of preference: multiaddrs that end in `/p2p/ID`.
    public var relays: [Address] = []
    /// Whether others are dialled, and this node is reachable, through relays.
    public var usesRelays = true
    /// Whether the node keeps reservations with ``relays``, to be reached through them.
    public var reserves = true
    /// Whether nodes are dialled at their own addresses.
    public var usesDirect = true
    /// Whether gateways are asked to open the node's port; `nil` does so where the preset does and the node is there to
    /// be reached (``reserves``).
    public var mapsPorts: Bool?
    /// Whether others are looked for on this machine's networks by Multicast DNS, and this node is found there while it is
    /// there to be reached (``reserves``). Not unless this says so: it opens the port 5353, which programs share.
    public var usesMDNS = false
    /// When the node's NodeID is shown on this machine's networks, to whoever listens. Members of its realm that know the
    /// NodeID find it there in any case.
    public var showsNodeID = NodeIDShowing.outsideRealms
    /// Nodes of the DHT by which others are found: multiaddrs that end in `/p2p/ID`. Each of ``relays`` is one too.
    public var bootstrap: [Address] = []
    /// Whether others are looked for in the DHT, and this node is found there while it is there to be reached
    /// (``reserves``). Without ``bootstrap``, ``relays`` and what an earlier run remembers it asks nobody.
    public var usesDHT = false
    /// Whether the node serves the DHT in any case; otherwise once it has been publicly reachable for a while.
    public var servesDHT = false
    /// Whether the records by which members of the realm find each other also stand, sealed, in the BitTorrent DHT
    /// ("Mainline"): so they do with no server of anybody's. Not unless this says so: it speaks with strangers all over
    /// the Internet.
    public var usesMainline = false
    /// Nodes of the BitTorrent DHT by which others are found there, each as `HOST:PORT`. Those that answered in an earlier
    /// run are asked before them.
    public var mainlineNodes = NodeConfiguration.publicMainlineNodes
    /// Those that everybody uses.
    public static let publicMainlineNodes = [
        "router.bittorrent.com:6881", "dht.transmissionbt.com:6881", "router.utorrent.com:6881",
    ]
    /// Makes the node a relay for others.
    public var relay: RelayConfiguration?
    /// Whether the node relays for the members of its realm, and for nobody else, while others reach it at a public address;
    /// `nil` does so where the preset does. Members use it by themselves. Not while it is not there to be reached
    /// (``reserves``); a ``relay`` is one in any case.
    public var relaysForRealm: Bool?
    /// What it grants to each of them.
    public var realmRelayLimits = RelayLimits.ofRealm
    /// Where to listen for those on networks that block UDP: QUIC inside TLS over TCP, as relays offer it.
    package var tcpListen: [SocketAddress] = []
    /// The folder for what is worth remembering between runs; `nil` remembers nothing.
    public var stateDirectory: String?
    /// Where that is kept instead, in simulations.
    package var storage: (any Storage)?
    /// Makes further parts of the node, which start after its own.
    package var parts: [@NetworkActor @Sendable (Node) -> any NodePart] = []
    public var preset = Preset.desktop
    /// From whom the node takes anything; ``Node/access`` changes it later.
    public var access = AccessPolicy.members
    /// Where programs of this machine see what the node does: ``Node/introspect(on:)``. `nil` is nowhere.
    public var introspection: LocalAddress?
    /// What the node calls itself to others.
    public var agent = "dep2p/0.1.0"

    public init(identity: IdentityKey? = nil) {
        self.identity = identity
    }

    /// Every address of both families, at `port`.
    package static func anyAddress(port: UInt16) -> [SocketAddress] {
        [SocketAddress(.v4Any, port: port), SocketAddress(.v6Any, port: port)]
    }

    /// Adds a listen address.
    ///
    /// - Throws: ``DeP2PError`` `cannotListen` when it is not `/ip4|ip6/IP/udp/PORT/quic-v1`.
    public mutating func listen(on address: Address) throws(DeP2PError) {
        guard case .quic(let port)? = address.transport, case .ip(let ip)? = address.host, !address.isRelayed else {
            throw DeP2PError(
                .cannotListen, "cannot listen on \(address)",
                remedy: .advice("give an IP address and port, or /ip4/…/udp/…/quic-v1"))
        }
        let scope = try Self.scope(of: address)
        listen.append(SocketAddress(ip, port: port, scope: scope))
    }

    /// Adds an address to listen on over TCP, for nodes on networks that block UDP; relays offer it.
    ///
    /// - Throws: ``DeP2PError`` `cannotListen` when it is not `/ip4|ip6/IP/tcp/PORT/tls`.
    public mutating func listen(overTCP address: Address) throws(DeP2PError) {
        guard case .tcpTLS(let port)? = address.transport, case .ip(let ip)? = address.host, !address.isRelayed else {
            throw DeP2PError(
                .cannotListen, "cannot listen on \(address)",
                remedy: .advice("give an IP address and port, or /ip4/…/tcp/…/tls"))
        }
        let scope = try Self.scope(of: address)
        tcpListen.append(SocketAddress(ip, port: port, scope: scope))
    }

    private static func scope(of address: Address) throws(DeP2PError) -> UInt32 {
        guard let zone = address.zone else { return 0 }
        guard let index = NetworkInterface.index(of: zone) else {
            throw DeP2PError(
                .cannotListen, "cannot listen on \(address): this machine has no interface \(zone)",
                remedy: .advice("ip link shows the interfaces"))
        }
        return index
    }
}
