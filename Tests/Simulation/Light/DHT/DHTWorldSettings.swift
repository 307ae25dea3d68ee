/// What a ``DHTWorld`` is like.
package struct DHTWorldSettings: Sendable {
    package enum Start: String, Sendable, CaseIterable {
        /// Every bucket of every node is as full as the network allows.
        case perfect
        /// Each node knows the next one, and nobody else.
        case ring
    }

    package var nodes = 10_000
    package var seed: UInt64 = 1
    package var start = Start.perfect
    /// Nodes behind NATs: they ask and do not serve.
    package var clientShare = 0.2
    /// Of all datagrams.
    package var loss = 0.05
    /// The part of the nodes that is replaced by new ones in ten minutes.
    package var churn = 0.1
    /// Servers of one operator from the beginning on, and what they do.
    package var sybilShare = 0.0
    package var sybils = DHTWorldNode.Conduct.honest

    package init() {}
}

/// What requests weigh on the wire, in bytes: QUIC's and UDP's headers included. A contact as libp2p's kad-dht writes it: 38
/// bytes of NodeID, two addresses, tags.
enum DHTWeight {
    static let handshake = 4_400
    static let request = 120
    static let answer = 90
    static let contact = 72
    static let item = 420
    /// A first packet of a dial that nobody answers, sent again until the dial is given up.
    static let unansweredDial = 1_250
}
