internal import DeP2PSessions

extension Session {
    /// What the peer closed the connection with, where that is its answer to this node and says more than that what was
    /// under way broke off: this side may be at its first request before the other has looked at who it is.
    var refusal: SessionError? {
        guard let end, case .closedByPeer(let code) = end.cause, code == .notAllowed || code == .limit else {
            return nil
        }
        return SessionError(.closed(end))
    }
}
