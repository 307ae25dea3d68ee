import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PQUIC

/// What shares an endpoint's sockets with QUIC.
@Suite(.serialized, .timeLimit(.minutes(1)))
@NetworkActor
struct EndpointDatagramTests {
    @Test func eachFirstByteReachesItsOwnerOrNobody() async throws {
        try await withPair { pair, network in
            let taken = Box<[DatagramKind: [UInt8]]>([:])
            for kind in [DatagramKind.stun, .pathProbe, .quic] {
                pair.server.datagrams.take(kind) { taken.value[kind, default: []].append($0.bytes[0]) }
            }
            let sender = DatagramSocket(network.makeDriver(address: host(9, port: 9_000)))
            for byte in UInt8.min...UInt8.max { sender.send([byte] + pattern(60), to: pair.serverAddress) }
            try await network.sleep(for: .seconds(1))
            // QUIC is the endpoint's own; a frame of no circuit is nobody's.
            #expect(taken.value == [.stun: [0, 1, 2, 3], .pathProbe: [0x20]])
            sender.close()
        }
    }

    @Test func aFloodOfOneStrangersIsCutBeforeAnybodySeesIt() async throws {
        try await withPair { pair, network in
            let count = Box(0)
            pair.server.datagrams.take(.stun) { _ in count.value += 1 }
            let sender = DatagramSocket(network.makeDriver(address: host(9, port: 9_000)))
            for _ in 0..<StrangerBudget.perSubject.burst + 500 { sender.send([1], to: pair.serverAddress) }
            try await network.sleep(for: .seconds(1))
            #expect(count.value == StrangerBudget.perSubject.burst)
            #expect(pair.server.datagrams.refused == 500)
            sender.close()
        }
    }
}
