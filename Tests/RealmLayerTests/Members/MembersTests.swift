import DeP2PIdentity
import DeP2PReactor
import DeP2PSessions
import Testing

@testable import DeP2PRealm

@Suite struct MembersTests {
    private let now = NetworkInstant(nanoseconds: 1)

    @Test func isOnlineWhileAnySessionStands() {
        let node = IdentityKey.generate().nodeID
        var members = Members()
        #expect(members.opened(1, of: node, now: now)?.state == .online)
        #expect(members.opened(2, of: node, now: now) == nil)
        #expect(members.closed(1, of: node, end: SessionEnd(.timeout), now: now) == nil)
        let change = members.closed(2, of: node, end: SessionEnd(.closedByPeer(.goodbye)), now: now)
        #expect(change == .changed(Member(nodeID: node, state: .offline(.goodbye), since: now)))
        #expect(members.closed(2, of: node, end: SessionEnd(.timeout), now: now) == nil)
    }

    @Test func forgetsWhoeverLeft() {
        let node = IdentityKey.generate().nodeID
        var members = Members()
        _ = members.opened(1, of: node, now: now)
        #expect(members.closed(1, of: node, end: SessionEnd(.closedByPeer(.leftRealm)), now: now) == .left(node))
        #expect(members.all.isEmpty)
    }
}
