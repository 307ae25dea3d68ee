import DeP2PIdentity
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReactor

@Suite
@NetworkActor
struct DatagramTableTests {
    private let table = DatagramTable()
    private let now = NetworkInstant(nanoseconds: 1_000_000_000)
    private let local = SocketAddress(.v4Loopback, port: 1)

    private func deliver(_ bytes: [UInt8]) {
        var bytes = bytes
        bytes.withUnsafeMutableBytes { bytes in
            table.deliver(bytes, local: local, remote: SocketAddress(IPAddress(v4: 0xc633_6401), port: 9), now: now)
        }
    }

    @Test func aKindHasOneOwnerUntilItIsReleased() {
        var taken: [String] = []
        #expect(table.take(.stun) { _ in taken.append("first") })
        #expect(!table.take(.stun) { _ in taken.append("second") })
        deliver([0, 1])
        deliver([0x20])
        table.release(.stun)
        deliver([0, 1])
        #expect(table.take(.stun) { _ in taken.append("third") })
        deliver([3])
        #expect(taken == ["first", "third"])
        #expect(table.refused == 0)
    }

    @Test func whatIsTooLongOrTooMuchReachesNobody() {
        var count = 0
        table.take(.pathProbe) { _ in count += 1 }
        deliver([0x20] + [UInt8](repeating: 0, count: StrangerBudget.largest - 1))
        deliver([0x20] + [UInt8](repeating: 0, count: StrangerBudget.largest))
        #expect(count == 1 && table.refused == 1)
        for _ in 0..<StrangerBudget.perSubject.burst + 100 { deliver([0x20]) }
        #expect(count == StrangerBudget.perSubject.burst && table.refused == 102)
        // What nobody takes is not counted: there is nothing to pay for.
        deliver([0x01])
        #expect(table.refused == 102)
    }
}
