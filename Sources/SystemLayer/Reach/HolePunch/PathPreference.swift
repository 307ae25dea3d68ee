internal import DeP2PIdentity
internal import DeP2PReactor
internal import DeP2PSessions

/// Which of two straight paths to a peer is the better one: pure.
///
/// First by what lies between (``Rank``), then, among equals, by who is faster, and clearly so. No two paths are each better
/// than the other, and of two that measure alike none is: a connection that has moved to the better one has no reason to
/// move back.
struct PathPreference {
    /// What lies between, from the least.
    enum Rank: Int, Comparable {
        /// Nothing: the peer is on this machine.
        case machine
        /// A network that this machine is in.
        case subnet
        /// Networks without NATs.
        case ipv6
        case other

        static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
    }

    /// By how much a path has to be faster than one of its rank: both of these.
    static let leastGain = Duration.milliseconds(1)
    static let gainPercent = 30
    /// By how much a path may be slower than one of a lesser rank: the larger of these.
    static let tolerance = Duration.milliseconds(10)
    static let tolerancePercent = 25

    let rule: AddressRule

    func rank(_ ip: IPAddress) -> Rank {
        if ip.isLoopback || rule.interfaces.contains(where: { $0.address.ip == ip }) { return .machine }
        if rule.interfaces.contains(where: { !$0.address.ip.isLoopback && $0.isNear(ip) }) { return .subnet }
        return ip.family == .v6 ? .ipv6 : .other
    }

    /// Whether it is worth a datagram to find out. Paths of one rank share most of their way, but for those that begin in
    /// different networks of this machine's.
    func isWorthProbing(_ address: SocketAddress, beside present: SocketAddress) -> Bool {
        let (rank, presentRank) = (rank(address.ip), rank(present.ip))
        guard rank == .subnet, presentRank == .subnet else { return rank < presentRank }
        return !rule.interfaces.contains { $0.isNear(address.ip) && $0.isNear(present.ip) }
    }

    /// The best of `paths` when it is better than the one to `present`.
    ///
    /// - Parameter roundTrip: of the present path, measured as that of the others where that could be.
    func best(
        of paths: [ProbeMachine.Path], beside present: SocketAddress, roundTrip: Duration
    ) -> ProbeMachine.Path? {
        var best = (remote: present, roundTrip: roundTrip)
        var found: ProbeMachine.Path?
        for path in paths where path.remote != present && isBetter((path.remote, path.roundTrip), than: best) {
            best = (path.remote, path.roundTrip)
            found = path
        }
        return found
    }

    func isBetter(
        _ path: (remote: SocketAddress, roundTrip: Duration), than other: (remote: SocketAddress, roundTrip: Duration)
    ) -> Bool {
        let (rank, otherRank) = (rank(path.remote.ip), rank(other.remote.ip))
        guard rank == otherRank else {
            let slack = max(Self.tolerance, other.roundTrip * Self.tolerancePercent / 100)
            return rank < otherRank && path.roundTrip <= other.roundTrip + slack
        }
        let gain = max(Self.leastGain, other.roundTrip * Self.gainPercent / 100)
        return path.roundTrip + gain < other.roundTrip
    }
}
