internal import DeP2PQUIC
internal import DeP2PReactor
internal import DeP2PSessions

/// What a session that was accepted needs of its path's keeping before a round was made: that its client learns when
/// nothing arrives here.
///
/// A client whose packets are lost on the way hears this side's keep-alives all the same, and has nothing by which it could
/// see that none of its own arrive when no stream of its own waits for anything. All else the client sees by itself, and it
/// alone can move the connection. One timer a session, which goes off as often as a keep-alive comes; what it takes to tell
/// is made when there is something to tell.
@NetworkActor
final class AcceptedWatch {
    private weak var session: Session?
    private let patience: Duration
    private let timer: WakeTimer

    /// - Parameters:
    ///   - keepAlive: the client sends something at least as often.
    ///   - onSilence: called once, when nothing has come on a straight path for longer than that.
    init(_ session: Session, keepAlive: Duration, onSilence: @escaping @NetworkActor (Session) -> Void) {
        self.session = session
        patience = keepAlive + ProgressWatch.margin
        timer = WakeTimer(session.clock)
        timer.onWake = { [weak self] in
            guard let self, let session = self.session, session.isOpen else { return }
            let isStraight = session.path.peerAddress != nil && session.path.tcpPeer == nil
            guard isStraight, session.clock.now.duration(since: session.connection.receivedAt) >= patience else {
                return wait(for: session)
            }
            onSilence(session)
        }
        wait(for: session)
    }

    func stop() { timer.set(nil) }

    private func wait(for session: Session) {
        let due = session.connection.receivedAt.advanced(by: patience)
        // A relayed path that is silent is another's to leave: this one may be straight by then.
        timer.set(due > session.clock.now ? due : session.clock.now.advanced(by: patience))
    }
}
