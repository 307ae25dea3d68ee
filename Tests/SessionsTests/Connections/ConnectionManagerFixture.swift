import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport

@testable import DeP2PSessions

private let managerNodes = (0..<64).map { _ in IdentityKey.generate().nodeID }

/// What the suites of ``ConnectionManager`` have in common: four to twelve sessions and a slack of four.
protocol ConnectionManagerFixture {}

extension ConnectionManagerFixture {
    static var nodes: [NodeID] { managerNodes }

    var limits: ConnectionLimits {
        var limits = ConnectionLimits(low: 4, high: 12)
        limits.slack = 4
        limits.strangers = 6
        limits.strangersPerSubject = 3
        return limits
    }

    func at(_ seconds: UInt64) -> NetworkInstant { NetworkInstant(nanoseconds: seconds * 1_000_000_000) }

    func entry(
        _ id: UInt64, of node: Int = 0, from host: UInt32, isInitiator: Bool = false, isErrand: Bool = false,
        at seconds: UInt64 = 0
    ) -> ConnectionManager.Entry {
        ConnectionManager.Entry(
            id: id, nodeID: Self.nodes[node], subject: Subject(IPAddress(v4: host << 8)), isInitiator: isInitiator,
            isErrand: isErrand, now: at(seconds))
    }

    func inRealm() -> ConnectionManager {
        var manager = ConnectionManager(limits: limits)
        _ = manager.setInRealm(true, now: at(0))
        return manager
    }

    /// - Returns: the ids of those that made room; `nil` when it was refused.
    func open(_ manager: inout ConnectionManager, _ entry: ConnectionManager.Entry) -> [UInt64]? {
        guard case .opened(let closing) = manager.open(entry, now: entry.since, isBusy: { _ in false }) else {
            return nil
        }
        return closing.map(\.id)
    }

    /// - Returns: the ids of those that made room for it.
    @discardableResult
    func admit(_ manager: inout ConnectionManager, _ id: UInt64, busy: Set<UInt64> = []) -> [UInt64] {
        manager.admitted(id, now: at(1), isBusy: { busy.contains($0) }).map(\.id)
    }

    /// Sixteen members: those of `hosts`, in turns.
    func full(_ hosts: [UInt32]) -> ConnectionManager {
        var manager = inRealm()
        for id: UInt64 in 1...16 {
            _ = open(&manager, entry(id, of: Int(id), from: hosts[Int(id) % hosts.count]))
            admit(&manager, id)
        }
        return manager
    }
}
