package import DeP2PIdentity
internal import DeP2PQUIC
package import DeP2PReactor

/// Which addresses that others name may be dialled or probed, and which own ones they are told: pure, and the only such
/// rule that there is.
///
/// A node that sends wherever it is told to is a way into its own network (RFC 9000 section 21.5, request forgery): a
/// stranger's record of 127.0.0.1 or 192.168.1.1 would reach what trusts its neighbours. What the user gives is not
/// subject to the rule.
package struct AddressRule: Sendable {
    /// On whose word an address is a node's, and who is told, from the least trusted on.
    package enum Voucher: Int, Comparable, Sendable {
        /// Anyone with a key.
        case stranger
        /// A node that has shown itself at an address of one of this machine's subnets, and not one of the Internet's.
        case neighbour
        /// A member of the realm.
        case member
        /// A process that is proven to run on this machine.
        case sameHost

        package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// This machine's interfaces, loopback among them.
    package let interfaces: [InterfaceAddress]

    package init(interfaces: [InterfaceAddress]) {
        self.interfaces = interfaces
    }

    /// Whether `ip` can be one host's at all.
    package static func isHost(_ ip: IPAddress) -> Bool { !ip.isUnspecified && !ip.isMulticast }

    /// Whether who is at `observer` can see, or have, `ip`: one outside has no part in networks inside, and what it says of
    /// them leads somebody there.
    package static func isPlausible(_ ip: IPAddress, by observer: IPAddress) -> Bool {
        ip.family == observer.family && isHost(ip) && !ip.isLinkLocal && ip.isLoopback == observer.isLoopback
            && (ip.isGlobal || !observer.isGlobal)
    }

    // MARK: Where to send

    /// Whether a datagram may go to `ip` because `voucher` said so.
    package func admits(_ ip: IPAddress, from voucher: Voucher) -> Bool {
        guard Self.isHost(ip), !ip.isV4Mapped, !ip.isLinkLocal, !interfaces.contains(where: { $0.broadcast == ip })
        else { return false }
        if ip.isLoopback { return voucher == .sameHost }
        return ip.isGlobal || (voucher > .stranger && isOnOwnSubnet(ip))
    }

    /// As above, for the host of an address, which is the relay's where the way leads through one. A name may stand for
    /// any address by the time that it is looked up: it takes more than a stranger's word.
    package func admits(_ address: Address, from voucher: Voucher) -> Bool {
        switch address.host {
        case .ip(let ip): admits(ip, from: voucher)
        case .dns: voucher > .stranger
        case nil: false
        }
    }

    /// Whether a datagram may go to that port because `voucher` said so: never to this node itself, and only where there
    /// is an interface of its family.
    ///
    /// - Parameter sharesPublicAddress: whether others see both nodes at one address, and so behind one NAT, which may
    ///   have more than one subnet. It is the peer's own claim, and so a member's only.
    package func admits(
        _ address: SocketAddress, from voucher: Voucher, sharesPublicAddress: Bool = false
    ) -> Bool {
        let ip = address.ip
        guard address.port != 0, interfaces.contains(where: { $0.address.ip.family == ip.family }),
            !interfaces.contains(where: { $0.address == address || $0.broadcast == ip })
        else { return false }
        if sharesPublicAddress, voucher >= .member, ip.isPrivate || ip.isCGNAT { return !ip.isV4Mapped }
        return admits(ip, from: voucher)
    }

    /// Whether what is known of a node may be dialled. What the user says, and where the node has been reached before,
    /// takes nobody's word. Of a node on this machine the loopback addresses change with each start: of those in a record
    /// only its relays' are worth trying.
    package func admits(_ known: KnownAddress, from voucher: Voucher) -> Bool {
        switch known.origin {
        case .user, .relay, .derived, .proven: return true
        case .record:
            if !known.address.isRelayed, case .ip(let ip)? = known.address.host, ip.isLoopback { return false }
            return admits(known.address, from: voucher)
        case .link: return admitsHeard(known.address)
        case .dht: return admits(known.address, from: voucher)
        }
    }

    /// Whether an address that was heard on a link may be dialled: one of a host on such a link, or of this machine itself,
    /// whose processes alone speak over loopback. Who leads this node to its neighbours is one of them.
    private func admitsHeard(_ address: Address) -> Bool {
        guard !address.isRelayed, case .ip(let ip)? = address.host, Self.isHost(ip), !ip.isV4Mapped else {
            return false
        }
        if ip.isLoopback { return true }
        if ip.family == .v6, ip.isLinkLocal { return address.zone != nil }
        return isOnOwnSubnet(ip) && !interfaces.contains { $0.broadcast == ip }
    }

    // MARK: What to tell

    /// Whether `listener` is told that `ip` is this node's: what a network looks like inside is no stranger's business.
    package func tells(_ ip: IPAddress, to listener: Voucher) -> Bool {
        ip.isLoopback ? listener == .sameHost : ip.isGlobal || listener > .stranger
    }

    /// As above, for the host of an address, which is the relay's where the way leads through one.
    package func tells(_ address: Address, to listener: Voucher) -> Bool {
        if case .ip(let ip)? = address.host { tells(ip, to: listener) } else { true }
    }

    // MARK: Who it is

    /// What a node's word is worth that sends from `peer`.
    ///
    /// - Parameters:
    ///   - peer: an address at which the node has shown that it receives; `nil` behind a relay, and over TCP, which a
    ///     forwarder of this machine or network may carry for anyone.
    ///   - isMember: whether it was admitted to the realm.
    package func voucher(at peer: IPAddress?, isMember: Bool) -> Voucher {
        // Nothing that comes from outside has a loopback address: the kernel drops it (RFC 1122 3.2.1.3).
        if let peer, peer.isLoopback { return .sameHost }
        if isMember { return .member }
        // A subnet with global addresses is a provider's, and its hosts are strangers to each other.
        guard let peer, !peer.isGlobal, isOnOwnSubnet(peer) else { return .stranger }
        return .neighbour
    }

    private func isOnOwnSubnet(_ ip: IPAddress) -> Bool {
        interfaces.contains { !$0.address.ip.isLoopback && $0.isNear(ip) }
    }
}
