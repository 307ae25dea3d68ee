package import DeP2PReactor

/// Whether a node serves the DHT: one that is there for it does, another one once it has been reachable from everywhere for
/// a while, and no longer than it is: pure. Who is asked and can't be reached costs everybody's lookups time.
package struct ServingMachine: TimedMachine, Sendable {
    /// How long a node has to have been reachable.
    package static let probation = Duration.seconds(600)

    package enum Action: Equatable, Sendable {
        case serve
        case stopServing
    }

    private let isFixed: Bool
    package private(set) var isServing = false
    package private(set) var wake: NetworkInstant?

    /// - Parameter isFixed: whether it serves in any case, from ``begin()`` on.
    package init(isFixed: Bool) { self.isFixed = isFixed }

    package mutating func begin() -> [Action] {
        guard isFixed, !isServing else { return [] }
        isServing = true
        return [.serve]
    }

    /// It was found out whether others reach this node.
    package mutating func reachable(_ isReachable: Bool, now: NetworkInstant) -> [Action] {
        guard !isFixed else { return [] }
        guard isReachable else {
            wake = nil
            defer { isServing = false }
            return isServing ? [.stopServing] : []
        }
        if !isServing, wake == nil { wake = now.advanced(by: Self.probation) }
        return []
    }

    package mutating func timerFired(now: NetworkInstant) -> [Action] {
        guard let wake, wake <= now else { return [] }
        self.wake = nil
        isServing = true
        return [.serve]
    }
}
