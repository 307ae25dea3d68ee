internal import DeP2PIdentity

/// A place in the BitTorrent DHT's space of 160 bits: a node's id, or what is looked for (BEP 5). Pure.
struct MainlineID: Hashable, Sendable, Comparable {
    static let byteCount = 20

    // Host order, the most significant first.
    private let first, second: UInt64
    private let third: UInt32

    private init(_ first: UInt64, _ second: UInt64, _ third: UInt32) {
        (self.first, self.second, self.third) = (first, second, third)
    }

    /// Nil unless there are exactly 20 bytes.
    init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        first = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        second = bytes.dropFirst(8).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        third = bytes.suffix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Where a mutable item lies (BEP 44): the SHA-1 of its public key and salt.
    ///
    /// - Parameter key: public key and salt.
    init(ofItem key: [UInt8]) {
        let hash = SHA1.hash(key)
        self.init(
            hash.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }, hash[8..<16].reduce(0) { $0 << 8 | UInt64($1) },
            hash.suffix(4).reduce(0) { $0 << 8 | UInt32($1) })
    }

    static func random(using random: inout some RandomNumberGenerator) -> MainlineID {
        MainlineID(random.next(), random.next(), UInt32(truncatingIfNeeded: random.next() >> 32))
    }

    var bytes: [UInt8] {
        (0..<8).map { UInt8(truncatingIfNeeded: first >> (56 - 8 * UInt64($0))) }
            + (0..<8).map { UInt8(truncatingIfNeeded: second >> (56 - 8 * UInt64($0))) }
            + (0..<4).map { UInt8(truncatingIfNeeded: third >> (24 - 8 * UInt32($0))) }
    }

    /// The exclusive or of both, which is as an id: the smaller, the nearer.
    func distance(to other: MainlineID) -> MainlineID {
        MainlineID(first ^ other.first, second ^ other.second, third ^ other.third)
    }

    static func < (left: Self, right: Self) -> Bool {
        (left.first, left.second, left.third) < (right.first, right.second, right.third)
    }

    // MARK: Ids that follow from addresses (BEP 42)

    /// Whether the id is one that a node at `ip` may have: its first 21 bits follow from the address and three bits of
    /// choice, so that nobody can place many nodes where he likes. Addresses that are not the Internet's have any.
    func isAllowed(at ip: IPAddress) -> Bool {
        let ip = ip.unmapped
        guard ip.isGlobal else { return true }
        let choice = UInt8(truncatingIfNeeded: third) & 7
        return UInt32(truncatingIfNeeded: first >> 32) >> 11 == Self.head(of: ip, choice: choice) >> 11
    }

    /// An id that a node at `ip` may have.
    static func random(at ip: IPAddress, using random: inout some RandomNumberGenerator) -> MainlineID {
        let free = self.random(using: &random)
        let head = head(of: ip.unmapped, choice: UInt8(truncatingIfNeeded: free.third) & 7)
        let first = UInt64(head & 0xffff_f800) << 32 | free.first & 0x7ff_ffff_ffff
        return MainlineID(first, free.second, free.third)
    }

    /// The CRC-32C of the address under BEP 42's mask, with the choice in its first three bits.
    private static func head(of ip: IPAddress, choice: UInt8) -> UInt32 {
        var bytes = Array(ip.bytes.prefix(8))
        let mask: [UInt8] =
            ip.family == .v4
            ? [0x03, 0x0f, 0x3f, 0xff] : [0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff]
        for index in bytes.indices { bytes[index] &= mask[index] }
        bytes[0] |= choice << 5
        return crc32c(bytes)
    }

    /// RFC 3720 appendix B.4, bit by bit: eight bytes at most.
    static func crc32c(_ bytes: [UInt8]) -> UInt32 {
        var crc = UInt32.max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc >> 1 ^ (crc & 1 == 1 ? 0x82f6_3b78 : 0) }
        }
        return ~crc
    }
}
