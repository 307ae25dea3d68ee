internal import DeP2PReactor

/// The handshakes under way at a server: who may begin one, who has to prove its address first, and which one gives way
/// to another. Pure.
///
/// A source without a Retry token (RFC 9000 8.1.2) is charged nothing, since anyone may have written its address; there
/// is room for a few of those, in all and under one subject, and whoever comes beyond proves its address, which costs a
/// round trip and keeps nobody out. Who has proven it is counted under its ``Subject``. At a limit the oldest handshake
/// gives way, of the subject itself or else, of the subnet that has the most, of the subject that has the most: whoever
/// fills the table fills it for itself, from however many addresses of a network. Behind a relay all are one subject: of
/// that it is the oldest on the circuit with the most, since a stranger has few circuits, and datagrams of seventy bytes
/// are enough to begin with.
///
/// Calling order: ``admit(_:subject:circuit:isProven:)`` for each new Initial, ``end(_:)`` when its handshake has ended either
/// way.
struct HandshakeTable {
    struct Limits {
        var total: Int
        var perSubject: Int
        var unproven: Int
        var unprovenPerSubject: Int
    }

    enum Verdict: Equatable {
        /// It may begin; the handshake named gives way to it.
        case accept(displaced: UInt64?)
        case proveAddress
    }

    /// Whom handshakes are grouped under: everyone without a proof is one group of its own.
    private enum Group: Hashable {
        case unproven
        case subject(Subject)

        var subnet: Self {
            guard case .subject(let subject) = self else { return self }
            return .subject(subject.subnet)
        }
    }

    private struct Entry {
        let group: Group
        let subject: Subject
        /// Behind a relay.
        let circuit: UInt64?
    }

    private let limits: Limits
    private var entries: [UInt64: Entry] = [:]
    /// The handshakes of each group: numbers grow, so the least is the oldest.
    private var groups: [Group: Set<UInt64>] = [:]
    private var unproven: [Subject: Int] = [:]

    init(limits: Limits) {
        self.limits = limits
    }

    var count: Int { entries.count }
    var isEmpty: Bool { entries.isEmpty && groups.isEmpty && unproven.isEmpty }

    /// Proven handshakes under way of a subject.
    func count(of subject: Subject) -> Int { groups[.subject(subject)]?.count ?? 0 }

    /// - Parameters:
    ///   - id: the new connection's number, larger than any before.
    ///   - circuit: by which it comes, where the subject is a relay.
    mutating func admit(_ id: UInt64, subject: Subject, circuit: UInt64? = nil, isProven: Bool) -> Verdict {
        guard isProven else {
            guard entries.count < limits.total, groups[.unproven]?.count ?? 0 < limits.unproven,
                unproven[subject, default: 0] < limits.unprovenPerSubject
            else { return .proveAddress }
            unproven.increment(subject)
            add(id, Entry(group: .unproven, subject: subject, circuit: nil))
            return .accept(displaced: nil)
        }
        var displaced: UInt64?
        if count(of: subject) >= limits.perSubject {
            displaced = groups[.subject(subject)].flatMap(first)
        } else if entries.count >= limits.total {
            displaced = oldestOfTheLargestGroup
        }
        if let displaced { end(displaced) }
        add(id, Entry(group: .subject(subject), subject: subject, circuit: circuit))
        return .accept(displaced: displaced)
    }

    /// Ends the handshake that is the first to give way; `nil` when there is none.
    mutating func displace() -> UInt64? {
        guard let oldest = oldestOfTheLargestGroup else { return nil }
        end(oldest)
        return oldest
    }

    mutating func end(_ id: UInt64) {
        guard let entry = entries.removeValue(forKey: id) else { return }
        groups[entry.group]?.remove(id)
        if groups[entry.group]?.isEmpty == true { groups[entry.group] = nil }
        if entry.group == .unproven { unproven.decrement(entry.subject) }
    }

    /// Of groups of one size that with the oldest handshake, whatever the dictionary's order. Those without a proof are
    /// one group and one subnet.
    private var oldestOfTheLargestGroup: UInt64? {
        var subnets: [Group: Int] = [:]
        for (group, members) in groups { subnets[group.subnet, default: 0] += members.count }
        let oldest = groups.compactMap { group, members in
            first(of: members).map { (subnet: subnets[group.subnet] ?? 0, size: members.count, id: $0) }
        }
        return oldest.max { ($0.subnet, $0.size, $1.id) < ($1.subnet, $1.size, $0.id) }?.id
    }

    /// The oldest on the circuit with the most.
    private func first(of members: Set<UInt64>) -> UInt64? {
        var counts: [UInt64?: Int] = [:]
        for id in members { counts[entries[id]?.circuit, default: 0] += 1 }
        guard counts.count > 1, let most = counts.values.max() else { return members.min() }
        return members.filter { counts[entries[$0]?.circuit] == most }.min()
    }

    private mutating func add(_ id: UInt64, _ entry: Entry) {
        entries[id] = entry
        groups[entry.group, default: []].insert(id)
    }
}
