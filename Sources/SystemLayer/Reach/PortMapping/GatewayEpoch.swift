internal import DeP2PReactor

/// Notices that a gateway lost its mappings: its clock went back or ran otherwise than ours (RFC 6887 section 8.5).
struct GatewayEpoch: Equatable, Sendable {
    private var last: (epoch: UInt32, seen: NetworkInstant)?

    static func == (left: Self, right: Self) -> Bool {
        left.last?.epoch == right.last?.epoch && left.last?.seen == right.last?.seen
    }

    /// Takes the epoch (seconds) of a response; false when the gateway started anew since the last one.
    mutating func isContinued(by epoch: UInt32, now: NetworkInstant) -> Bool {
        defer { last = (epoch, now) }
        guard let last else { return true }
        // One second back is a packet that overtook another.
        guard epoch >= last.epoch || last.epoch - epoch <= 1 else { return false }
        let server = epoch >= last.epoch ? UInt64(epoch - last.epoch) : 0
        let client = now.duration(since: last.seen).clampedNanoseconds / 1_000_000_000
        return client + 2 >= server - server / 16 && server + 2 >= client - client / 16
    }
}
