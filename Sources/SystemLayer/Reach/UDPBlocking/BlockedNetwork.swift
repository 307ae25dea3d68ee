internal import DeP2PStorage

/// A network on which UDP did not pass, and when to look again whether it does: pure.
///
/// Times are milliseconds since 1970, since they outlive the process.
struct BlockedNetwork: Equatable {
    /// Networks remembered; the one that was looked at the longest ago gives way.
    static let limit = 64
    /// Between two looks: the first, doubled with each failure up to the longest.
    static let firstProbe: UInt64 = 60_000
    static let longestProbe: UInt64 = 3_600_000
    /// How long a network that nobody visits is remembered.
    static let lifetime: UInt64 = 30 * 86_400_000

    /// Looks in a row at which UDP did not pass.
    let failures: UInt16
    let probeAt: UInt64

    /// When the next look is due; a clock that was set back must not put it off.
    func probe(at now: UInt64) -> UInt64 { min(probeAt, now &+ Self.longestProbe) }

    /// UDP did not pass: the next look is twice as far away as the last, unless that is still to come.
    static func noteBlocked(_ known: BlockedNetwork?, now: UInt64) -> BlockedNetwork {
        guard let known else { return BlockedNetwork(failures: 1, probeAt: now &+ firstProbe) }
        guard known.probe(at: now) <= now else { return known }
        let wait = min(firstProbe << UInt64(min(known.failures, 16)), longestProbe)
        return BlockedNetwork(failures: known.failures + (known.failures < .max ? 1 : 0), probeAt: now &+ wait)
    }
}

extension BlockedNetwork: StoredBytes {
    /// A form, the failures, the time: integers in network order.
    private static let form: UInt8 = 1

    var stored: [UInt8] {
        [Self.form, UInt8(failures >> 8), UInt8(truncatingIfNeeded: failures)] + probeAt.stored
    }

    init?(stored bytes: [UInt8]) {
        guard bytes.count == 11, bytes[0] == Self.form, let probeAt = UInt64(stored: Array(bytes[3...])) else {
            return nil
        }
        self.init(failures: UInt16(bytes[1]) << 8 | UInt16(bytes[2]), probeAt: probeAt)
    }
}
