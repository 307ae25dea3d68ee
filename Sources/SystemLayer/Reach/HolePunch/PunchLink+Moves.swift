internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// Where the server of a connection is after its network has changed (issue 10.7): it says so, and the client follows.
extension PunchLink {
    // MARK: The server's side

    /// Tells the client from where this node sends now. What goes there carries the address that the system has chosen.
    func tellOfMove() {
        guard !connection.isInitiator, connection.path.tcpPeer == nil, let remote = connection.path.peerAddress else {
            return
        }
        send([machine.moved(remote)])
    }

    // MARK: The client's side

    /// The server is, as it says, at that address now.
    func moved(to remote: SocketAddress) {
        guard mayFollow, let present = connection.path.peerAddress, hub.rule.admits(remote, from: voucher(nil)) else {
            return
        }
        carryOut(move.told(remote, present: present, now: clock.now))
    }

    /// Relays know their clients by where their frames come from: sessions that stand for circuits or reservations stay.
    private var mayFollow: Bool {
        guard let session, !isStopped, connection.isInitiator, connection.path.tcpPeer == nil else { return false }
        return hub.surroundings.usesStraightPaths && (keeper.isDirect || keeper.isStraight) && session.commitments == 0
            && !hub.relays.carriesCircuits(session)
    }

    func carryOut(_ actions: [PeerMove.Action]) {
        for action in actions where !isStopped {
            switch action {
            case .probe(let remote): send([machine.probe(remote, now: clock.now)])
            case .follow(let remote):
                guard mayFollow else { continue }
                isAbandoning = connection.abandonPath(to: remote, kind: connection.path.kind)
                if isAbandoning { keeper.followed(now: clock.now) }
            }
        }
        setTimer()
    }
}
