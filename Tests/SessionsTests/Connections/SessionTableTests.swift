import DeP2PIdentity
import DeP2PReactor
import Testing

@testable import DeP2PSessions

@Suite struct SessionTableTests {
    private let nodes = [IdentityKey.generate().nodeID, IdentityKey.generate().nodeID].sorted()

    private func entry(_ id: UInt64, of node: NodeID, isInitiator: Bool, at seconds: UInt64 = 0) -> SessionTable.Entry {
        let instant = NetworkInstant(nanoseconds: seconds * 1_000_000_000)
        return SessionTable.Entry(id: id, nodeID: node, isInitiator: isInitiator, openedAt: instant)
    }

    /// Connection 1 was dialled by the smaller NodeID, 2 by the other; they arrive in either order at either end.
    @Test(arguments: [true, false], [true, false])
    func bothEndsKeepTheSameOfTwoDialledAtOnce(atSmaller: Bool, smallersFirst: Bool) {
        let (local, remote) = atSmaller ? (nodes[0], nodes[1]) : (nodes[1], nodes[0])
        var table = SessionTable(localNodeID: local, limits: ConnectionLimits())
        for id: UInt64 in smallersFirst ? [1, 2] : [2, 1] {
            _ = table.open(entry(id, of: remote, isInitiator: (id == 1) == atSmaller))
        }
        #expect(table.preferred(remote) == 1)
    }

    @Test func aLaterConnectionOfThePeerIsUsedBesideTheOld() {
        var table = SessionTable(localNodeID: nodes[0], limits: ConnectionLimits())
        #expect(table.open(entry(1, of: nodes[1], isInitiator: false)) == .opened(retired: []))
        #expect(table.open(entry(2, of: nodes[1], isInitiator: false, at: 1)) == .opened(retired: []))
        #expect(table.preferred(nodes[1]) == 2)
        #expect(table.open(entry(3, of: nodes[1], isInitiator: true, at: 60)) == .opened(retired: []))
        table.close(3)
        table.close(2)
        #expect(table.preferred(nodes[1]) == 1)
        table.close(1)
        #expect(table.preferred(nodes[1]) == nil && table.count == 0)
    }

    @Test func refusesMoreOfOneNodeThanItsLimitAndNamesIt() {
        var limits = ConnectionLimits()
        limits.sessionsPerPeer = 2
        var table = SessionTable(localNodeID: nodes[0], limits: limits)
        _ = table.open(entry(1, of: nodes[1], isInitiator: false))
        _ = table.open(entry(2, of: nodes[1], isInitiator: false))
        let limit = LimitExceeded(name: "connections with one node", value: 2, limit: 2)
        #expect(table.refusal(of: nodes[1]) == limit)
        #expect(table.open(entry(3, of: nodes[1], isInitiator: false)) == .refused(limit))
        let other = IdentityKey.generate().nodeID
        #expect(table.refusal(of: other) == nil)
        #expect(table.open(entry(4, of: other, isInitiator: false)) == .opened(retired: []))
    }
}
