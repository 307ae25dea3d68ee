import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import Testing

@testable import DeP2PReach
@testable import DeP2PSessions

/// Whole rounds between nodes behind simulated NATs.
@Suite(.serialized, .timeLimit(.minutes(2))) @NetworkActor struct HolePunchTests {
    nonisolated static let pairs: [(SimulatedNATKind, SimulatedNATKind)] = SimulatedNATKind.allCases.flatMap { left in
        SimulatedNATKind.allCases.map { (left, $0) }
    }

    @Test("every pair that can meet does, within three seconds, whoever dials", arguments: pairs)
    func matrix(left: SimulatedNATKind, right: SimulatedNATKind) async throws {
        try await withPunchNetwork(seed: 7) { world in
            let (near, far) = (try world.node(left), try world.node(right))
            let (session, other) = try await world.connect(near, far)
            let isStraight = try await world.wait(atMost: .seconds(3)) {
                session.path.isStraight && other.path.isStraight
            }
            #expect(isStraight == left.meets(right), "\(session.path) \(other.path)")
            if isStraight {
                let expected: ConnectionPath.Kind = left == .open || right == .open ? .direct : .punched
                #expect(session.path.kind == expected && other.path.kind == expected, "\(session.path) \(other.path)")
            }
            #expect(session.isOpen && other.isOpen)
        }
    }

    /// No observer sees that port: the NAT gives others to what goes out.
    @Test("a port that was forwarded by hand is a way in, behind whatever NATs", arguments: [true, false])
    func forwardedByHand(isKnown: Bool) async throws {
        try await withPunchNetwork(seed: 9) { world in
            let (near, far) = (try world.node(.symmetricRandom), try world.node(.symmetricRandom))
            let gateway = try #require(far.gateway)
            gateway.forwards[4001] = far.node.socket
            let address = SocketAddress(gateway.external, port: 4001)
            far.punch.verifiedAddresses = { isKnown ? [address] : [] }
            let (session, _) = try await world.connect(near, far)
            let isStraight = try await world.wait(atMost: .seconds(3)) { session.path.isStraight }
            #expect(isStraight == isKnown, "\(session.path)")
        }
    }
}
