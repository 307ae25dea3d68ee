import Testing

@testable import DeP2PReactor

@Suite struct DatagramKindTests {
    @Test func everyFirstByteIsOneKindOrNone() {
        let kinds = (0...255).map { DatagramKind(firstByte: UInt8($0)) }
        #expect(kinds.indices.filter { kinds[$0] == .stun } == Array(0...3))
        #expect(kinds.indices.filter { kinds[$0] == .relayFrame } == Array(0x10...0x1f))
        #expect(kinds.indices.filter { kinds[$0] == .pathProbe } == [0x20])
        #expect(kinds.indices.filter { kinds[$0] == .quic } == Array(0x40...0xff))
    }
}
