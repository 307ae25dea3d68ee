/// How many streams on which session are of some kind.
package struct StreamCounts {
    private var counts: [UInt64: Int] = [:]

    package init() {}

    package func count(on session: Session) -> Int { counts[session.id] ?? 0 }

    package mutating func add(on session: Session) { counts[session.id, default: 0] += 1 }

    package mutating func remove(on session: Session) {
        let left = count(on: session) - 1
        counts[session.id] = left > 0 ? left : nil
    }
}
