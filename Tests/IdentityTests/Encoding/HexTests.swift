import Testing

@testable import DeP2PIdentity

@Suite struct HexTests {
    @Test func roundTrip() {
        let bytes = [UInt8](0...255)
        #expect(Hex.decode(Hex.encode(bytes)) == bytes)
        #expect(Hex.decode(Hex.encode(bytes).uppercased()) == bytes)
        #expect(Hex.encode([0x00, 0x0f, 0xf0]) == "000ff0")
        #expect(Hex.encode([]) == "")
    }

    @Test(arguments: ["0", "0g", "g0", " 00", "0x00", "00 ", "٠٠", "é"])
    func refusals(text: String) {
        #expect(Hex.decode(text) == nil)
    }
}
