internal import Identity
internal import QUIC

/// Holds off peers whose admissions keep failing, by NodeID and by IP address: pure.
///
/// The first few failures are free (a mistyped key); each one more doubles the time in which further proofs are not
/// looked at. A success forgets the node's failures.
struct AdmissionBackoff {
    static let freeFailuresPerNode = 3
    /// Many nodes may share one address behind a NAT.
    static let freeFailuresPerIP = 32
    static let firstDelay = Duration.seconds(1)
    static let longestDelay = Duration.seconds(64)
    /// After this long without a failure a peer starts anew.
    static let memory = Duration.seconds(600)
    /// Peers remembered; the one that failed longest ago goes first.
    static let entryLimit = 4096

    enum Subject: Hashable {
        case node(NodeID)
        /// An IPv6 host commands its whole /64.
        case ip(IPAddress)

        var freeFailures: Int {
            switch self {
            case .node: freeFailuresPerNode
            case .ip: freeFailuresPerIP
            }
        }
    }

    private struct Record {
        var failures: Int
        var last: NetworkInstant
        var blockedUntil: NetworkInstant
    }

    private var records: [Subject: Record] = [:]

    var count: Int { records.count }

    static func subjects(_ nodeID: NodeID, _ ip: IPAddress?) -> [Subject] {
        [.node(nodeID)] + (ip.map { [.ip($0.family == .v6 ? $0.prefix(64) : $0)] } ?? [])
    }

    func isHeldOff(_ subjects: [Subject], now: NetworkInstant) -> Bool {
        subjects.contains { records[$0].map { now < $0.blockedUntil } ?? false }
    }

    mutating func failed(_ subjects: [Subject], now: NetworkInstant) {
        for subject in subjects {
            var record = records[subject] ?? Record(failures: 0, last: now, blockedUntil: now)
            if now.duration(since: record.last) >= Self.memory { record.failures = 0 }
            record.failures += 1
            record.last = now
            record.blockedUntil = now.advanced(by: Self.delay(failures: record.failures, free: subject.freeFailures))
            if records[subject] == nil { makeRoom(now: now) }
            records[subject] = record
        }
    }

    mutating func succeeded(_ nodeID: NodeID) { records[.node(nodeID)] = nil }

    private static func delay(failures: Int, free: Int) -> Duration {
        guard failures > free else { return .zero }
        let doublings = min(failures - free - 1, 16)
        return min(firstDelay * (1 << doublings), longestDelay)
    }

    private mutating func makeRoom(now: NetworkInstant) {
        guard records.count >= Self.entryLimit else { return }
        records = records.filter { now.duration(since: $0.value.last) < Self.memory }
        guard records.count >= Self.entryLimit else { return }
        if let oldest = records.min(by: { $0.value.last < $1.value.last })?.key { records[oldest] = nil }
    }
}
