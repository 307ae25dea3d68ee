import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Testing

@testable import DeP2PReach

@Suite struct PortMappingCodecTests {
    let nonce = [UInt8](1...12)
    let client = v4(192, 168, 1, 10, 0).ip

    /// A MAP response as RFC 6887 figures 3 and 10 lay it out.
    func mapResponse(_ change: (inout [UInt8]) -> Void = { _ in }) -> [UInt8] {
        var bytes: [UInt8] = [2, 0x81, 0, 0, 0, 0, 0x04, 0xb0, 0, 0, 0, 99] + [UInt8](repeating: 0, count: 12)
        bytes += nonce + [17, 0, 0, 0, 0x0f, 0xa1, 0x9c, 0x40]
        bytes += [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 203, 0, 113, 50]
        change(&bytes)
        return bytes
    }

    @Test("a PCP MAP request, field by field (RFC 6887 figures 2 and 9)")
    func mapRequest() {
        let request = PCP.MapRequest(
            client: client, nonce: nonce, internalPort: 4001, suggested: v4(203, 0, 113, 50, 40_000), lifetime: 1200)
        let v4Mapped = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]
        #expect(request.bytes.count == 60)
        #expect(Array(request.bytes[..<8]) == [2, 1, 0, 0, 0, 0, 0x04, 0xb0])
        #expect(Array(request.bytes[8..<24]) == v4Mapped + [192, 168, 1, 10])
        #expect(Array(request.bytes[24..<36]) == nonce)
        #expect(Array(request.bytes[36..<44]) == [17, 0, 0, 0, 0x0f, 0xa1, 0x9c, 0x40])
        #expect(Array(request.bytes[44...]) == v4Mapped + [203, 0, 113, 50])
        #expect(PCP.announceRequest(client: client).count == 24)
    }

    @Test("a PCP MAP response")
    func parsesMapResponse() {
        let expected = PCP.Response(
            opcode: 1, result: 0, lifetime: 1200, epoch: 99,
            map: PCP.Map(nonce: nonce, internalPort: 4001, external: v4(203, 0, 113, 50, 40_000)))
        #expect(PCP.response(mapResponse()) == expected)
        #expect(PCP.response(mapResponse { $0[1] = 0x01 }) == nil)
        #expect(PCP.response(mapResponse { $0[0] = 0 }) == nil)
        #expect(PCP.response(mapResponse { $0.removeLast() }) == nil)
        #expect(PCP.response(mapResponse { $0[36] = 6 })?.map == nil)
        #expect(PCP.response(Array(mapResponse().prefix(24)))?.map == nil)
        #expect(PCP.response(mapResponse { $0 += [UInt8](repeating: 0, count: PCP.maximumLength) }) == nil)
    }

    @Test("NAT-PMP messages (RFC 6886 section 3)")
    func natPMP() {
        #expect(NATPMP.addressRequest == [0, 0])
        #expect(
            NATPMP.mapRequest(internalPort: 4001, suggested: 40_000, lifetime: 7200)
                == [0, 1, 0, 0, 0x0f, 0xa1, 0x9c, 0x40, 0, 0, 0x1c, 0x20])
        #expect(
            NATPMP.response([0, 128, 0, 0, 0, 0, 0, 7, 203, 0, 113, 50])
                == .address(v4(203, 0, 113, 50, 0).ip, epoch: 7))
        #expect(
            NATPMP.response([0, 129, 0, 0, 0, 0, 0, 7, 0x0f, 0xa1, 0x9c, 0x40, 0, 0, 0x1c, 0x20])
                == .map(internalPort: 4001, externalPort: 40_000, lifetime: 7200, epoch: 7))
        #expect(NATPMP.response([0, 129, 0, 2, 0, 0, 0, 7]) == .failure(opcode: 1, code: 2, epoch: 7))
        #expect(NATPMP.response([0, 129, 0, 0, 0, 0, 0, 7]) == nil)
        #expect(NATPMP.response([0, 0]) == nil)
    }

    @Test("no datagram traps either parser")
    func fuzz() {
        for sample in [mapResponse(), [0, 129, 0, 0, 0, 0, 0, 7, 0x0f, 0xa1, 0x9c, 0x40, 0, 0, 0x1c, 0x20]] {
            for datagram in mutations(of: sample, rounds: 5000, seed: 11) {
                let length = datagram.count
                #expect(PCP.response(datagram) == nil || length >= 24)
                #expect(NATPMP.response(datagram) == nil || (8...16).contains(length))
            }
        }
    }

    @Test("a gateway's clock tells that it lost its state (RFC 6887 section 8.5)")
    func epoch() {
        /// Whether `epoch` seconds, seen `elapsed` seconds after epoch 1000, continues it.
        func continues(_ epoch: UInt32, after elapsed: UInt64) -> Bool {
            var clock = GatewayEpoch()
            _ = clock.isContinued(by: 1000, now: .milliseconds(0))
            return clock.isContinued(by: epoch, now: .milliseconds(elapsed * 1000))
        }
        #expect(continues(1000, after: 0))
        #expect(continues(999, after: 0))
        #expect(!continues(998, after: 0))
        #expect(continues(1600, after: 600))
        #expect(continues(1564, after: 600))
        #expect(!continues(1530, after: 600))
        #expect(!continues(1700, after: 600))
        #expect(!continues(5, after: 600))
        #expect(continues(.max, after: UInt64(UInt32.max) - 1000))
        #expect(!continues(.max, after: 0))
    }
}
