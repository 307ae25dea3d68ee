package import DeP2PIdentity

/// An address of a node: who says so, since when, until when, and what came of trying it. Times are milliseconds since
/// 1970.
package struct KnownAddress: Hashable, Sendable {
    /// The numbers are stored.
    package enum Outcome: UInt8, Hashable, Sendable {
        case connected = 1
        case failed = 2
    }

    /// Without the node's own NodeID at its end.
    package let address: Address
    package let origin: AddressOrigin
    package let learnedAt: UInt64
    /// From when on it counts no more; `nil` never, in this run.
    package var expires: UInt64?
    /// What came of it the last time, and when that was.
    package var outcome: Outcome?
    package var triedAt: UInt64 = 0

    package init(_ address: Address, origin: AddressOrigin, learnedAt: UInt64, expires: UInt64? = nil) {
        self.address = address
        self.origin = origin
        self.learnedAt = learnedAt
        self.expires = expires
    }

    func isValid(at now: UInt64) -> Bool { expires.map { $0 > now } ?? true }
}
