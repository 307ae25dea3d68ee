package import DeP2PIdentity
package import DeP2PReactor
package import DeP2PSessions

/// The node's membership: in one realm at a time, or in none.
///
/// States: outside → ``join(_:)`` → joined → ``leave()`` → outside, as often as wanted. While joined, every connection
/// that this node dials is put to admission at once, and those of others are answered.
@NetworkActor
package final class Realm {
    private let connections: Connections
    private var members = Members()
    private var observers: [@NetworkActor (MemberChange) -> Void] = []
    private var admission: Admission?
    /// For the realm's own protocols alone.
    private(set) var key: RealmKey?
    /// The realm that the node is in.
    package private(set) var id: RealmID?

    package init(_ connections: Connections) {
        self.connections = connections
        admission = Admission(connections) { [weak self] session in self?.admitted(session) }
        connections.onSession { [weak self] session in
            // Later it would be no news: the peer may have left the realm by then.
            let greeting = session.connection.takeGreeting()
            // Who is only asked something need not hear that this node is in a realm.
            guard let self, id != nil, session.isInitiator, !session.isErrand else { return }
            admission?.start(session, greeting: greeting)
        }
        connections.onWanted { [weak self] session in
            guard let self, id != nil, session.membership == .outsider else { return }
            admission?.start(session)
        }
    }

    // MARK: Joining and leaving

    /// Enters the realm of `key`: connections that stand are put to admission, new ones as they come.
    ///
    /// - Throws: ``RealmError`` `alreadyInRealm`.
    package func join(_ key: RealmKey) throws(RealmError) {
        guard id == nil else { throw RealmError(.alreadyInRealm, detail: "leave it before joining another") }
        id = key.id
        self.key = key
        connections.isInRealm = true
        admission?.use(key)
        for session in connections.sessions where !session.isErrand { admission?.start(session) }
    }

    /// Says goodbye to every member by closing the admitted connections, with the streams on them, and forgets the
    /// members and the key.
    ///
    /// - Throws: ``RealmError`` `notMember` outside a realm.
    package func leave() throws(RealmError) {
        guard id != nil else { throw RealmError(.notMember, detail: "this node is in no realm") }
        id = nil
        key = nil
        connections.isInRealm = false
        admission?.use(nil)
        for session in connections.sessions where session.membership != .outsider {
            session.close(.leftRealm, reason: "left the realm")
        }
        members.forgetAll()
    }

    /// A key of the realm's for one purpose; `nil` outside a realm. When `Connections` tells of a realm that is entered or
    /// left, it is the one from then on.
    package func deriveKey(label: String) -> AuthenticationKey? { key?.deriveKey(label: label) }

    // MARK: Members

    /// The nodes that proved the realm key on a connection with this one.
    package var knownMembers: [Member] { members.all.values.sorted { $0.nodeID < $1.nodeID } }

    package func member(_ nodeID: NodeID) -> Member? { members.all[nodeID] }

    /// Calls `observer` at every change of a member's state.
    package func onMemberChange(_ observer: @escaping @NetworkActor (MemberChange) -> Void) {
        observers.append(observer)
    }

    /// Makes sure that the session is admitted.
    ///
    /// - Throws: ``RealmError``: `notMember` when this node is in no realm, `refused` when the peer is not in this one.
    package func admit(_ session: Session) async throws {
        guard id != nil else { throw RealmError(.notMember, detail: "join a realm first") }
        try await admission?.admit(session)
    }

    private func admitted(_ session: Session) {
        let nodeID = session.remoteNodeID
        if let member = members.opened(session.id, of: nodeID, now: connections.clock.now) { tell(.changed(member)) }
        session.onEnd { [weak self] session, end in
            guard let self else { return }
            let now = connections.clock.now
            if let change = members.closed(session.id, of: nodeID, end: end, now: now) { tell(change) }
        }
    }

    private func tell(_ change: MemberChange) {
        for observer in observers { observer(change) }
    }
}
