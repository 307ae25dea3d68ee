package import DeP2PIdentity

/// Why a node could not be reached: one sentence why, one what to do, and every attempt.
package struct ConnectError: Error, Sendable, CustomStringConvertible {
    package enum Code: String, CaseIterable, Sendable {
        /// No address of the node is known.
        case noAddress
        /// No host name given could be resolved.
        case nameUnknown
        /// This machine's resolver did not tell.
        case resolverFailed
        /// Nothing answered at any address.
        case timeout
        /// The hosts answered that nothing listens there.
        case refused
        /// No route to any address.
        case unreachable
        /// Another node answered.
        case wrongPeer
        /// The handshake failed.
        case handshakeFailed
        /// The peer closed the connection.
        case closed
        /// UDP does not pass on this network, and nothing else led to the node.
        case udpBlocked
        /// A relay made no circuit to the node, and will not.
        case relayRefused
        /// A relay is at its limit.
        case relayBusy
        /// A relay knows the node no longer, or not yet.
        case peerAbsent
        /// A limit of this node.
        case limit
        /// The node is this one.
        case dialledSelf
        case cancelled
    }

    package let code: Code
    /// Who was dialled, where that is known.
    package let nodeID: NodeID?
    /// One sentence why, without a full stop.
    package let reason: String
    /// What to do about it.
    package let remedy: Remedy?
    package let attempts: [ConnectAttempt]
    /// Who was asked where the node is, where somebody was.
    package var sources: [SourceReport] = []

    package init(_ code: Code, nodeID: NodeID?, reason: String, remedy: Remedy?, attempts: [ConnectAttempt] = []) {
        self.code = code
        self.nodeID = nodeID
        self.reason = reason
        self.remedy = remedy
        self.attempts = attempts
    }

    package var description: String { reason }
}
