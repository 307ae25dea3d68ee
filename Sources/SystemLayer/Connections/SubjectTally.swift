internal import DeP2PReactor

/// How many there are of each subject, and of each subnet.
struct SubjectTally {
    private var subjects: [Subject: Int] = [:]
    private var subnets: [Subject: Int] = [:]

    init(_ all: some Sequence<Subject>) {
        for subject in all {
            subjects[subject, default: 0] += 1
            subnets[subject.subnet, default: 0] += 1
        }
    }

    func count(_ subject: Subject) -> Int { subjects[subject] ?? 0 }
    func subnetCount(_ subject: Subject) -> Int { subnets[subject.subnet] ?? 0 }
}
