/// Why a node reset a stream or stopped reading it: the QUIC stream error code that the other side sees.
package struct StreamCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }

    private init(_ known: Known) { rawValue = known.rawValue }

    /// The code as a case, for whoever must have an answer to each; `nil` for one that this version does not know.
    package var known: Known? { Known(rawValue: rawValue) }

    package enum Known: UInt64, CaseIterable, Sendable {
        case done = 0x00
        case cancelled = 0xd101
        case notMember = 0xd102
        case busy = 0xd103
        case timeout = 0xd104
        case violation = 0xd105
        case failed = 0xd106
        case notAllowed = 0xd107
    }

    /// Nothing went wrong; the rest is not needed.
    package static let done = StreamCode(.done)
    /// The application gave up.
    package static let cancelled = StreamCode(.cancelled)
    /// The protocol is for members of the realm, and this connection is not admitted.
    package static let notMember = StreamCode(.notMember)
    /// More streams at once than the node serves.
    package static let busy = StreamCode(.busy)
    /// A deadline passed.
    package static let timeout = StreamCode(.timeout)
    /// What arrived is not what the protocol says.
    package static let violation = StreamCode(.violation)
    /// The handler failed.
    package static let failed = StreamCode(.failed)
    /// The node takes nothing from this peer.
    package static let notAllowed = StreamCode(.notAllowed)

    /// Where the codes of applications begin, which give them a meaning of their own; each has 32 bits.
    private static let applicationBase: UInt64 = 1 << 32

    /// What an application said when it gave one of its streams up.
    package init(application code: UInt32) { rawValue = Self.applicationBase + UInt64(code) }

    /// The application's own code; `nil` for one of the node's.
    package var application: UInt32? {
        rawValue < Self.applicationBase ? nil : UInt32(exactly: rawValue - Self.applicationBase)
    }

    package var description: String {
        switch self {
        case .done: "done"
        case .cancelled: "cancelled"
        case .notMember: "not a member"
        case .busy: "busy"
        case .timeout: "timeout"
        case .violation: "protocol violation"
        case .failed: "handler failed"
        case .notAllowed: "not allowed"
        default: "code 0x\(String(rawValue, radix: 16))"
        }
    }
}
