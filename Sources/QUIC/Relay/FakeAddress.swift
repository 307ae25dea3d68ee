internal import DeP2PIdentity
internal import DeP2PReactor

/// Addresses that stand for paths which are no UDP path of this machine: below QUIC a path has to have one.
///
/// They are of fd00::/8 (RFC 4193) under a prefix that is drawn once a process, in a simulation too, so that none is ever
/// taken for one of a real network's, and nothing is ever sent to one.
enum FakeAddress {
    private static let prefix: UInt64 = 0xfd << 56 | SecureRandom.uint64() >> 8
    private static let port: UInt16 = 0x1001

    /// A host that no other fake address of this process names.
    static func makeHost(from random: RandomSource = .system) -> IPAddress {
        IPAddress(v6High: prefix, low: random.next())
    }

    static func make() -> SocketAddress { SocketAddress(makeHost(), port: port) }

    static func contains(_ ip: IPAddress) -> Bool { ip.family == .v6 && ip.high == prefix }
}
