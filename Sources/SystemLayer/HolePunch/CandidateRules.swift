internal import Identity
internal import QUIC

/// Which of a peer's candidates may be probed: pure.
///
/// An authenticated peer can still name the addresses of others. What is left to it here is what every server has to
/// bear from anyone, an unanswered datagram; how many of them is ``ProbeBudget``'s to say.
struct CandidateRules {
    /// This node's interfaces, with the ports of its sockets.
    let interfaces: [InterfaceAddress]
    /// Whether the peer runs on this machine.
    let isSameHost: Bool
    /// Whether others see both nodes at one address: behind one NAT, which may have more than one subnet.
    let sharesPublicAddress: Bool

    func admits(_ address: SocketAddress) -> Bool {
        let ip = address.ip
        guard address.port != 0, !ip.isV4Mapped, !ip.isUnspecified, !ip.isMulticast, !ip.isLinkLocal,
            interfaces.contains(where: { $0.address.ip.family == ip.family }),
            !interfaces.contains(where: { $0.address == address || $0.broadcast == ip })
        else { return false }
        if ip.isLoopback { return isSameHost }
        if ip.isPrivate || ip.isCGNAT { return isSameHost || sharesPublicAddress || isOnOwnSubnet(ip) }
        return ip.isGlobal
    }

    private func isOnOwnSubnet(_ ip: IPAddress) -> Bool {
        interfaces.contains {
            $0.address.ip.family == ip.family && $0.address.ip.prefix($0.prefixLength) == ip.prefix($0.prefixLength)
        }
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

extension InterfaceAddress {
    /// The subnet's broadcast address; `nil` where there is none.
    fileprivate var broadcast: IPAddress? {
        guard address.ip.family == .v4, (1..<31).contains(prefixLength) else { return nil }
        return IPAddress(v4: UInt32(truncatingIfNeeded: address.ip.low) | (UInt32.max >> UInt32(prefixLength)))
    }
}
