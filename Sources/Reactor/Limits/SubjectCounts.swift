/// How many there are of each subject, and of each subnet.
package struct SubjectCounts: Sendable {
    private var subjects: [Subject: Int] = [:]
    private var subnets: [Subject: Int] = [:]

    package init() {}

    package init(_ all: some Sequence<Subject>) {
        for subject in all { add(subject) }
    }

    package var isEmpty: Bool { subjects.isEmpty && subnets.isEmpty }

    package func count(_ subject: Subject) -> Int { subjects[subject] ?? 0 }
    package func subnetCount(_ subject: Subject) -> Int { subnets[subject.subnet] ?? 0 }

    package mutating func add(_ subject: Subject) {
        subjects.increment(subject)
        subnets.increment(subject.subnet)
    }

    package mutating func remove(_ subject: Subject) {
        subjects.decrement(subject)
        subnets.decrement(subject.subnet)
    }
}

extension Dictionary where Value == Int {
    package mutating func increment(_ key: Key) { self[key, default: 0] += 1 }

    /// Keys of which nothing is left are forgotten.
    package mutating func decrement(_ key: Key) {
        let left = (self[key] ?? 1) - 1
        self[key] = left > 0 ? left : nil
    }
}
