internal import DeP2PReactor

/// Counts by subject and by subnet, members and strangers apart: neither fills the other's quota.
struct SubjectCounts {
    private struct Key: Hashable {
        let subject: Subject
        let isMember: Bool
    }

    private var subjects: [Key: Int] = [:]
    private var subnets: [Key: Int] = [:]

    func count(_ client: RelayMachine.Client) -> Int { subjects[Self.subject(client)] ?? 0 }
    func subnetCount(_ client: RelayMachine.Client) -> Int { subnets[Self.subnet(client)] ?? 0 }

    mutating func add(_ client: RelayMachine.Client) {
        subjects.increment(Self.subject(client))
        subnets.increment(Self.subnet(client))
    }

    mutating func remove(_ client: RelayMachine.Client) {
        subjects.decrement(Self.subject(client))
        subnets.decrement(Self.subnet(client))
    }

    private static func subject(_ client: RelayMachine.Client) -> Key {
        Key(subject: client.subject, isMember: client.isMember)
    }

    private static func subnet(_ client: RelayMachine.Client) -> Key {
        Key(subject: client.subject.subnet, isMember: client.isMember)
    }
}

extension Dictionary where Value == Int {
    mutating func increment(_ key: Key) { self[key, default: 0] += 1 }

    mutating func decrement(_ key: Key) {
        let left = (self[key] ?? 1) - 1
        self[key] = left > 0 ? left : nil
    }
}
