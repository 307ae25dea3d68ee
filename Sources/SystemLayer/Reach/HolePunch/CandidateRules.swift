internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// Which of a peer's candidates may be probed: pure.
///
/// An authenticated peer can still name the addresses of others. What is left to it here is what every server has to
/// bear from anyone, an unanswered datagram; how many of them is ``ProbeBudget``'s to say.
struct CandidateRules {
    /// Which addresses may be sent to; its interfaces have the ports of this node's sockets.
    let rule: AddressRule
    /// What the peer's word is worth.
    let voucher: AddressRule.Voucher
    /// Whether others see both nodes at one address.
    let sharesPublicAddress: Bool

    func admits(_ address: SocketAddress) -> Bool {
        rule.admits(address, from: voucher, sharesPublicAddress: sharesPublicAddress)
    }

    /// The addresses to probe, those of predicted runs first, without repetition.
    ///
    /// A NAT that gives out ports in sequence does so for every probe sent: the peer's predictions hold best when
    /// nothing else was sent before.
    func targets(_ candidates: [Candidate]) -> [SocketAddress] {
        var found: [SocketAddress] = []
        let ordered =
            candidates.prefix(Candidate.limit).filter { $0.kind == .predicted }
            + candidates.prefix(Candidate.limit).filter { $0.kind != .predicted }
        for address in ordered.flatMap(\.addresses) where !found.contains(address) && admits(address) {
            found.append(address)
        }
        return Array(found.prefix(Candidate.addressLimit))
    }
}
