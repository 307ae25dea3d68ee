internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// What members tell each other of where others are: of whom a PRUNE names its sender passes on the signed record, and its
/// receiver takes the addresses in it that it may dial on a member's word.
@NetworkActor
final class PeerExchange {
    /// Whom peers have named lately: pure. What a peer names in vain takes nothing from the others.
    struct Budget {
        private var all = MinuteWindow()
        /// Of those whose word counted within the minute.
        private var each: [NodeID: MinuteWindow] = [:]

        /// Whether one more is looked at on that peer's word.
        mutating func look(_ peer: NodeID, now: NetworkInstant) -> Bool {
            for key in Array(each.keys) where each[key]?.isEmpty(now: now) ?? false { each[key] = nil }
            return each[peer, default: MinuteWindow()].take(limit: PubSubLimits.exchangesPerPeer, now: now)
        }

        /// Whether one more is connected with.
        mutating func meet(now: NetworkInstant) -> Bool { all.take(limit: PubSubLimits.exchangesPerMinute, now: now) }
    }

    private let connections: Connections
    private var budget = Budget()
    /// Sessions whose peers were asked who they are.
    private var asked: Set<UInt64> = []

    init(connections: Connections) { self.connections = connections }

    /// Has those who dialled this node say who they are, as it asks whom it dials itself: it can name nobody else.
    func acquaint(with sessions: some Sequence<Session>) {
        for session in sessions where !session.isInitiator && session.isOpen && asked.insert(session.id).inserted {
            session.onEnd { [weak self] session, _ in self?.asked.remove(session.id) }
            networkTask { [weak session] in
                guard let session,
                    let information = await traced(awaiting: "who a member is", { try await Identify.ask(session) })
                else { return }
                session.learned(information)
            }
        }
    }

    /// The envelope that `session`'s peer may be given of a node; empty where there is none, or where it holds something that is
    /// not for that peer: a record can't be shortened.
    func record(of nodeID: [UInt8], for session: Session) -> [UInt8] {
        guard let nodeID = traced("a listener's NodeID is read", { try NodeID(bytes: nodeID) }),
            nodeID != session.remoteNodeID
        else { return [] }
        let envelope = connections.peers.signedRecord(of: nodeID)
        guard !envelope.isEmpty, let record = traced("a kept record is read", { try PeerRecord.reopened(envelope) })
        else {
            return []
        }
        let rule = connections.addressRule()
        let voucher = rule.voucher(of: session)
        return record.addresses.allSatisfy { rule.tells($0, to: voucher) } ? envelope : []
    }

    /// Where to find those whom `session`'s peer names, as far as more are looked at now: of each the addresses.
    func addresses(of named: [ExchangedPeer], from session: Session) -> [[Address]] {
        let rule = connections.addressRule()
        let voucher = rule.voucher(of: session)
        let connected = Set(connections.sessions.map(\.remoteNodeID.bytes))
        return named.filter { !connected.contains($0.nodeID) }.map { peer in
            guard budget.look(session.remoteNodeID, now: connections.clock.now) else { return [] }
            let found = Self.addresses(of: peer, by: rule, from: voucher, ownID: connections.localNodeID)
            return found.isEmpty || budget.meet(now: connections.clock.now) ? found : []
        }.filter { !$0.isEmpty }
    }

    /// Where to find who was named: nowhere, unless he has signed it himself.
    nonisolated static func addresses(
        of peer: ExchangedPeer, by rule: AddressRule, from voucher: AddressRule.Voucher, ownID: NodeID
    ) -> [Address] {
        guard let record = traced("a named member's record is read", { try PeerRecord.open(peer.record) }),
            record.nodeID.bytes == peer.nodeID, record.nodeID != ownID
        else { return [] }
        return record.addresses.filter { rule.admits($0, from: voucher) }.prefix(PubSubLimits.exchangedAddresses)
            .map { $0.with(nodeID: record.nodeID) }
    }
}
