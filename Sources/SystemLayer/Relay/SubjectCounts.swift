internal import QUIC

/// Counts by subject and by subnet.
struct SubjectCounts {
    private var subjects: [Subject: Int] = [:]
    private var subnets: [Subject: Int] = [:]

    func count(_ subject: Subject) -> Int { subjects[subject] ?? 0 }
    func subnetCount(_ subject: Subject) -> Int { subnets[subject.subnet] ?? 0 }

    mutating func add(_ subject: Subject) {
        subjects[subject, default: 0] += 1
        subnets[subject.subnet, default: 0] += 1
    }

    mutating func remove(_ subject: Subject) {
        subjects.decrement(subject)
        subnets.decrement(subject.subnet)
    }
}

extension Dictionary where Value == Int {
    mutating func increment(_ key: Key) { self[key, default: 0] += 1 }

    mutating func decrement(_ key: Key) {
        let left = (self[key] ?? 1) - 1
        self[key] = left > 0 ? left : nil
    }
}
