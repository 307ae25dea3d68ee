internal import DeP2PIdentity
internal import DeP2PQUIC
internal import DeP2PReactor

/// How long the answer to a wrong proof waits, by what the node and its subject have failed before: pure.
///
/// It never decides whether a proof is looked at: a right one is right whoever else has failed from there, be it the
/// same office or somebody who wants to keep its member out. The first few failures are free (a mistyped key); each one
/// more doubles the wait. A success forgets the node's failures.
struct AdmissionBackoff {
    static let freeFailuresPerNode = 3
    /// Many nodes may share one address behind a NAT.
    static let freeFailuresPerSubject = 32
    static let firstDelay = Duration.milliseconds(250)
    /// Less than an opener waits.
    static let longestDelay = Duration.seconds(3)
    /// After this long without a failure a peer starts anew.
    static let memory = Duration.seconds(600)
    /// Peers remembered; the one that failed longest ago goes first.
    static let entryLimit = 4096

    enum Culprit: Hashable {
        case node(NodeID)
        case subject(Subject)

        var freeFailures: Int {
            switch self {
            case .node: freeFailuresPerNode
            case .subject: freeFailuresPerSubject
            }
        }
    }

    private struct Record {
        var failures: Int
        var last: NetworkInstant
    }

    private var records: [Culprit: Record] = [:]

    var count: Int { records.count }

    /// Counts a wrong proof.
    ///
    /// - Parameter subject: by an address that the peer has proven.
    /// - Returns: how long its answer is to wait.
    mutating func failed(_ nodeID: NodeID, _ subject: Subject, now: NetworkInstant) -> Duration {
        max(count(.node(nodeID), now), count(.subject(subject), now))
    }

    mutating func succeeded(_ nodeID: NodeID) { records[.node(nodeID)] = nil }

    private mutating func count(_ culprit: Culprit, _ now: NetworkInstant) -> Duration {
        var record = records[culprit] ?? Record(failures: 0, last: now)
        if now.duration(since: record.last) >= Self.memory { record.failures = 0 }
        record.failures = min(record.failures + 1, culprit.freeFailures + Self.mostDoublings)
        record.last = now
        if records[culprit] == nil { makeRoom(now: now) }
        records[culprit] = record
        return Self.delay(failures: record.failures, free: culprit.freeFailures)
    }

    private static let mostDoublings = 16

    private static func delay(failures: Int, free: Int) -> Duration {
        guard failures > free else { return .zero }
        return min(firstDelay * (1 << (failures - free - 1)), longestDelay)
    }

    private mutating func makeRoom(now: NetworkInstant) {
        guard records.count >= Self.entryLimit else { return }
        records = records.filter { now.duration(since: $0.value.last) < Self.memory }
        guard records.count >= Self.entryLimit else { return }
        if let oldest = records.min(by: { $0.value.last < $1.value.last })?.key { records[oldest] = nil }
    }
}
