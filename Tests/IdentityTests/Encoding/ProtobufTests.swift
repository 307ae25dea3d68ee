import Testing

@testable import DeP2PIdentity

@Suite struct ProtobufTests {
    private func fields(_ message: [UInt8]) -> [UInt64]? {
        var reader = Protobuf.Reader(message)
        var numbers: [UInt64] = []
        while let field = reader.next() { numbers.append(field.number) }
        return reader.isMalformed ? nil : numbers
    }

    @Test func everyWireTypeIsSteppedOver() {
        let message: [UInt8] =
            [0x08, 0x96, 0x01, 0x11] + [UInt8](repeating: 0, count: 8) + [0x1a, 0x01, 0x00, 0x25, 1, 2, 3, 4]
        #expect(fields(message) == [1, 2, 3, 4])
        #expect(fields([]) == [])
    }

    /// Groups, field 0, field numbers above 2^29, lengths past the end and varints past 64 bits.
    @Test(
        arguments: [
            [0x0b], [0x0c], [0x0e], [0x0f], [0x00, 0x00], [0x02, 0x00], [0x0a], [0x0a, 0x01], [0x08], [0x08, 0x80],
            [0x0d, 0, 0, 0],
            [0x09, 0, 0, 0, 0, 0, 0, 0], [0x80, 0x80, 0x80, 0x80, 0x10, 0x00],
            [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            [0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
        ] as [[UInt8]])
    func malformed(message: [UInt8]) {
        #expect(fields(message) == nil)
    }

    @Test func allSixtyFourBits() throws {
        for value in [0, 1, 127, 128, UInt64.max - 1, .max] {
            var message: [UInt8] = []
            Protobuf.append(field: 2, varint: value, to: &message)
            var reader = Protobuf.Reader(message)
            guard case (2, .varint(value))? = reader.next() else {
                Issue.record("\(value) was not read back")
                continue
            }
        }
    }
}
