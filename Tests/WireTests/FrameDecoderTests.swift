import DeP2PIdentity
import DeP2PSimulation
import Testing

@testable import DeP2PWire

@Suite struct FrameDecoderTests {
    @Test func cutsFramesWhateverThePieces() throws {
        var random = SplitMix64(seed: 1)
        for _ in 0..<200 {
            let frames = (0..<Int.random(in: 0...8, using: &random)).map { _ in random.bytes(upTo: 400) }
            var rest = frames.flatMap { Frame.encode($0) }[...]
            var decoder = FrameDecoder(limit: 400)
            var found: [[UInt8]] = []
            while !rest.isEmpty {
                let size = Int.random(in: 1...rest.count, using: &random)
                decoder.append(Array(rest.prefix(size)))
                rest = rest.dropFirst(size)
                while let frame = try decoder.next() { found.append(frame) }
            }
            #expect(found == frames)
            #expect(decoder.isEmpty)
        }
    }

    /// The stream of a peer that has said something long may be silent for hours.
    @Test func keepsNoMemoryOfAFrameThatWasTaken() throws {
        var decoder = FrameDecoder(limit: 1 << 20)
        for piece in [Frame.encode([UInt8](repeating: 1, count: 1 << 20))[..<500_000], [1, 2, 3]] {
            decoder.append(Array(piece))
            #expect(try decoder.next() == nil)
            #expect(decoder.memory >= 500_000)
        }
        decoder.append([UInt8](repeating: 1, count: (1 << 20) - 500_000))
        #expect(try decoder.next()?.count == 1 << 20)
        #expect(decoder.memory == 0 && decoder.isEmpty)
    }

    @Test func refusesALengthAboveTheLimitBeforeItsBytesArrive() throws {
        var decoder = FrameDecoder(limit: 100)
        decoder.append(Varint.encode(101))
        #expect(throws: FrameError(.oversized(length: 101, limit: 100))) { try decoder.next() }
        var huge = FrameDecoder(limit: .max)
        huge.append([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])
        #expect(try huge.next() == nil)
    }

    @Test func refusesMalformedLengths() {
        for bytes: [UInt8] in [[0x80, 0x00], Array(repeating: 0xff, count: 9), Array(repeating: 0x80, count: 12)] {
            var decoder = FrameDecoder(limit: .max)
            decoder.append(bytes)
            #expect(throws: FrameError(.malformedLength)) { try decoder.next() }
        }
    }

    @Test func handsOnWhatFollowsTheFrames() throws {
        var decoder = FrameDecoder(limit: 10)
        decoder.append(Frame.encode([1, 2, 3]) + [9, 8, 7])
        #expect(try decoder.next() == [1, 2, 3])
        #expect(decoder.takeRemaining() == [9, 8, 7])
        #expect(decoder.isEmpty)
    }

    @Test func takesAnyBytesWithoutTrapping() {
        var random = SplitMix64(seed: 2)
        for _ in 0..<5000 {
            var decoder = FrameDecoder(limit: 64)
            for _ in 0..<4 {
                decoder.append(random.bytes(upTo: 40))
                while let frame = try? decoder.next() { #expect(frame.count <= 64) }
            }
        }
    }
}
