/// What an address is for, by the IANA special-purpose registries (RFC 6890). An IPv4-mapped IPv6 address counts as the
/// IPv4 address within: a check must not be passed by writing an address differently.
extension IPAddress {
    /// Whether this is `::ffff:0:0/96` (RFC 4291 section 2.5.5.2).
    package var isV4Mapped: Bool { family == .v6 && high == 0 && low >> 32 == 0xffff }

    /// The IPv4 address inside an IPv4-mapped one; any other address itself.
    package var unmapped: IPAddress { isV4Mapped ? IPAddress(v4: UInt32(truncatingIfNeeded: low)) : self }

    package var isUnspecified: Bool {
        let address = unmapped
        return address.high == 0 && address.low == 0
    }

    package var isLoopback: Bool { isIn(v4: 0x7f00_0000, 8) || self == .v6Loopback }

    /// RFC 1918 and the unique local addresses of RFC 4193.
    package var isPrivate: Bool {
        isIn(v4: 0x0a00_0000, 8) || isIn(v4: 0xac10_0000, 12) || isIn(v4: 0xc0a8_0000, 16)
            || isIn(v6: 0xfc00_0000_0000_0000, 7)
    }

    /// 169.254.0.0/16 (RFC 3927) and fe80::/10.
    package var isLinkLocal: Bool { isIn(v4: 0xa9fe_0000, 16) || isIn(v6: 0xfe80_0000_0000_0000, 10) }

    /// 100.64.0.0/10 (RFC 6598): between a provider and its customers.
    package var isCGNAT: Bool { isIn(v4: 0x6440_0000, 10) }

    package var isMulticast: Bool { isIn(v4: 0xe000_0000, 4) || isIn(v6: 0xff00_0000_0000_0000, 8) }

    /// Whether an address may be reached from anywhere on the Internet: none of the special ranges. An IPv6 address
    /// that carries an IPv4 one (NAT64, RFC 6052; 6to4, RFC 3056) is as global as that.
    package var isGlobal: Bool {
        if let embedded = embeddedV4 { return embedded.isGlobal }
        if family == .v4 { return !Self.specialV4.contains { isIn(v4: $0.prefix, $0.length) } }
        return isIn(v6: 0x2000_0000_0000_0000, 3) && !Self.specialV6.contains { isIn(v6: $0.prefix, $0.length) }
    }

    /// The first `length` bits, the rest zero: which network an address is counted to (/24, /48, /64).
    package func prefix(_ length: Int) -> IPAddress {
        switch family {
        case .v4: IPAddress(v4: UInt32(truncatingIfNeeded: low) & Self.mask32(length))
        case .v6: IPAddress(v6High: high & Self.mask64(length), low: low & Self.mask64(length - 64))
        }
    }

    private var embeddedV4: IPAddress? {
        if isV4Mapped { return unmapped }
        if isIn(v6: 0x2002_0000_0000_0000, 16) { return IPAddress(v4: UInt32(truncatingIfNeeded: high >> 16)) }
        if family == .v6, high == 0x0064_ff9b_0000_0000, low >> 32 == 0 {
            return IPAddress(v4: UInt32(truncatingIfNeeded: low))
        }
        return nil
    }

    private static let specialV4: [(prefix: UInt32, length: Int)] = [
        (0x0000_0000, 8), (0x0a00_0000, 8), (0x6440_0000, 10), (0x7f00_0000, 8), (0xa9fe_0000, 16), (0xac10_0000, 12),
        (0xc000_0000, 24), (0xc000_0200, 24), (0xc0a8_0000, 16), (0xc612_0000, 15), (0xc633_6400, 24),
        (0xcb00_7100, 24), (0xe000_0000, 3),
    ]

    // Inside 2000::/3: Teredo, ORCHIDv2, benchmarking, documentation (RFC 3849, RFC 9637).
    private static let specialV6: [(prefix: UInt64, length: Int)] = [
        (0x2001_0000_0000_0000, 32), (0x2001_0020_0000_0000, 28), (0x2001_0002_0000_0000, 48),
        (0x2001_0db8_0000_0000, 32), (0x3fff_0000_0000_0000, 20),
    ]

    private func isIn(v4 prefix: UInt32, _ length: Int) -> Bool {
        let address = unmapped
        return address.family == .v4 && UInt32(truncatingIfNeeded: address.low) & Self.mask32(length) == prefix
    }

    private func isIn(v6 prefix: UInt64, _ length: Int) -> Bool {
        family == .v6 && high & Self.mask64(length) == prefix
    }

    private static func mask32(_ length: Int) -> UInt32 { length <= 0 ? 0 : .max << UInt32(32 - min(length, 32)) }
    private static func mask64(_ length: Int) -> UInt64 { length <= 0 ? 0 : .max << UInt64(64 - min(length, 64)) }
}
