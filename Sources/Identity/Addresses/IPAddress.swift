/// An IPv4 or IPv6 address, without port or zone.
///
/// The 128 bits are kept as two words in host order; an IPv4 address sits in the low 32 bits of `low`.
public struct IPAddress: Hashable, Sendable {
    public enum Family: UInt8, Sendable { case v4 = 4, v6 = 6 }

    package let family: Family
    package let high: UInt64
    package let low: UInt64

    /// An IPv4 address from its 32 bits in host order (`127.0.0.1` is `0x7f000001`).
    package init(v4 bits: UInt32) {
        family = .v4
        high = 0
        low = UInt64(bits)
    }

    /// An IPv6 address from its two halves in host order.
    package init(v6High high: UInt64, low: UInt64) {
        family = .v6
        self.high = high
        self.low = low
    }

    package static let v4Loopback = IPAddress(v4: 0x7f00_0001)
    package static let v4Any = IPAddress(v4: 0)
    package static let v6Loopback = IPAddress(v6High: 0, low: 1)
    package static let v6Any = IPAddress(v6High: 0, low: 0)

    /// 4 or 16 bytes in network order.
    package init?(bytes: some Collection<UInt8>) {
        switch bytes.count {
        case 4:
            self.init(v4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
        case 16:
            self.init(
                v6High: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) },
                low: bytes.suffix(8).reduce(0) { $0 << 8 | UInt64($1) })
        default:
            return nil
        }
    }

    /// 4 or 16 bytes in network order.
    package var bytes: [UInt8] {
        switch family {
        case .v4: (0..<4).map { UInt8(truncatingIfNeeded: low >> (24 - 8 * $0)) }
        case .v6:
            (0..<8).map { UInt8(truncatingIfNeeded: high >> (56 - 8 * $0)) }
                + (0..<8).map { UInt8(truncatingIfNeeded: low >> (56 - 8 * $0)) }
        }
    }
}
