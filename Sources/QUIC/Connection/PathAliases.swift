internal import DeP2PIdentity
internal import DeP2PReactor

/// The local addresses by which a client's connection knows further paths from one socket: pure.
///
/// ngtcp2 moves a connection only to a path whose local address is another than the present one's, since in RFC 9000 (9.3)
/// a client moves by getting another address. Another address of the peer's, in the same network, begins at the same socket:
/// its path has an alias of that socket's address, which datagrams from there are said to have come to, and those
/// to there are sent without. Calling order: ``make(for:at:keeping:)`` before such a path is begun, ``forget(_:)`` before one
/// from the socket's own address.
struct PathAliases {
    /// Remote addresses with an alias.
    static let limit = 8
    /// Nobody's addresses: 0.0.0.0/8 (RFC 1122 3.2.1.3) and 100::/64 (RFC 6666).
    private static let discardPrefix: UInt64 = 0x0100 << 48

    private var entries: [(remote: SocketAddress, alias: SocketAddress)] = []
    private var last: UInt8 = 0

    /// The alias by which the path to `remote` is known; `nil` where it has the socket's own address.
    func local(to remote: SocketAddress) -> SocketAddress? {
        guard !entries.isEmpty else { return nil }
        return entries.first { $0.remote == remote }?.alias
    }

    /// Another alias of `bound` for the path to `remote`, in place of the one before.
    ///
    /// - Parameter current: where the connection's packets go now: its alias stays.
    mutating func make(
        for remote: SocketAddress, at bound: SocketAddress, keeping current: SocketAddress?
    ) -> SocketAddress {
        forget(remote)
        if entries.count >= Self.limit, let oldest = entries.firstIndex(where: { $0.remote != current }) {
            entries.remove(at: oldest)
        }
        var alias = next(bound)
        while entries.contains(where: { $0.alias == alias }) { alias = next(bound) }
        entries.append((remote, alias))
        return alias
    }

    private mutating func next(_ bound: SocketAddress) -> SocketAddress {
        last = last == .max ? 1 : last + 1
        let ip =
            bound.ip.family == .v4
            ? IPAddress(v4: UInt32(last)) : IPAddress(v6High: Self.discardPrefix, low: UInt64(last))
        return SocketAddress(ip, port: bound.port)
    }

    mutating func forget(_ remote: SocketAddress) { entries.removeAll { $0.remote == remote } }

    static func isAlias(_ ip: IPAddress) -> Bool {
        switch ip.family {
        case .v4: ip.low & 0xff00_0000 == 0 && !ip.isUnspecified
        case .v6: ip.high == discardPrefix
        }
    }
}
