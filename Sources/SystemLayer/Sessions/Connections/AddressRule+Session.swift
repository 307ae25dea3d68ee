internal import DeP2PQUIC
internal import DeP2PReactor

extension AddressRule {
    /// What the word of a session's peer is worth now.
    @NetworkActor
    package func voucher(of session: Session) -> Voucher {
        let path = session.path
        return voucher(at: path.tcpPeer == nil ? session.validatedPeer?.ip : nil, isMember: session.isAdmitted)
    }
}
