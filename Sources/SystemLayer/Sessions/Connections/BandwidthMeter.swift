package import DeP2PIdentity
package import DeP2PQUIC
package import DeP2PReactor

/// What a node's sessions carry, by protocol and by peer, those that have ended included.
///
/// A connection counts by itself and a stream for its protocol's ``TrafficTally``, so what is kept here is touched when a
/// stream agrees on a protocol, when a session ends, and when somebody asks.
@NetworkActor
package final class BandwidthMeter {
    /// Protocols that are counted by name; those that come later are counted together, as ``others``.
    package nonisolated static let protocolLimit = 64
    /// Nodes whose ended sessions are remembered; beyond, what those carried that ended longest ago is counted as of nodes
    /// that are forgotten.
    package nonisolated static let pastPeerLimit = 256
    /// What streams are counted as that never agreed on a protocol.
    package nonisolated static let negotiation = "/multistream/1.0.0"
    package nonisolated static let others = "others"

    private struct Past {
        var traffic = ConnectionTraffic()
        /// Which of all sessions' ends its last was.
        var end: UInt64 = 0
    }

    private var tallies: [String: TrafficTally] = [:]
    private let otherTally = TrafficTally()
    private var past: [NodeID: Past] = [:]
    private var forgotten = ConnectionTraffic()
    private var ends: UInt64 = 0

    package init() {}

    var nameless: TrafficTally { tally(of: Self.negotiation) }

    /// Where the streams of that protocol are counted.
    func tally(of protocolID: String) -> TrafficTally {
        if let recent, recent.protocolID == protocolID { return recent.tally }
        let tally = anyTally(of: protocolID)
        recent = (protocolID, tally)
        return tally
    }

    /// Asked for last: streams of one protocol come one after the other, and comparing is less than hashing.
    private var recent: (protocolID: String, tally: TrafficTally)?

    private func anyTally(of protocolID: String) -> TrafficTally {
        if let tally = tallies[protocolID] { return tally }
        // One place is the nameless streams'.
        guard tallies.count < Self.protocolLimit || protocolID == Self.negotiation else { return otherTally }
        let tally = TrafficTally()
        tallies[protocolID] = tally
        return tally
    }

    /// A session has ended, and has carried that.
    func ended(_ nodeID: NodeID, _ traffic: ConnectionTraffic) {
        ends += 1
        past[nodeID, default: Past()].traffic.add(traffic)
        past[nodeID]?.end = ends
        guard past.count > Self.pastPeerLimit, let oldest = past.min(by: { $0.value.end < $1.value.end }) else {
            return
        }
        forgotten.add(oldest.value.traffic)
        past[oldest.key] = nil
    }

    /// - Parameters:
    ///   - sessions: those that are open, with their peers.
    ///   - total: what all connections have carried, those too that became no session.
    func counts(of sessions: [(NodeID, any SecureConnection)], total: ConnectionTraffic) -> BandwidthCounts {
        var counts = BandwidthCounts(total: total, peers: past.mapValues(\.traffic), forgotten: forgotten)
        for (nodeID, connection) in sessions {
            connection.settleStreams()
            counts.peers[nodeID, default: ConnectionTraffic()].add(connection.traffic)
        }
        for (name, tally) in tallies { counts.protocols[name] = Self.bytes(tally) }
        if otherTally.total != .zero { counts.protocols[Self.others] = Self.bytes(otherTally) }
        return counts
    }

    private static func bytes(_ tally: TrafficTally) -> [PathClass: ByteTotals] {
        Dictionary(uniqueKeysWithValues: PathClass.allCases.map { ($0, tally[$0]) }).filter { $0.value != .zero }
    }
}

/// What a node's sessions have carried at one moment.
package struct BandwidthCounts: Sendable {
    /// All of it: ``peers`` and ``forgotten``, and connections that became no session, whose handshake failed for instance.
    package var total: ConnectionTraffic
    /// Nodes that are connected, and those that were last.
    package var peers: [NodeID: ConnectionTraffic]
    /// Nodes that were connected before those.
    package var forgotten: ConnectionTraffic
    /// Payload alone: what else is in a datagram belongs to no stream.
    package var protocols: [String: [PathClass: ByteTotals]] = [:]
}
