import DeP2PSimulation
import Testing

@testable import DeP2PQUIC

@Suite struct ReceiveBufferTests {
    @Test(arguments: 0..<10)
    func givesBackWhatArrivedInOrder(_ seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var buffer = ReceiveBuffer()
        let input = pattern(300_000, seed: UInt64(seed))
        var output: [UInt8] = []
        var (offset, unread) = (0, 0)
        while offset < input.count {
            let end = min(offset + Int(random.next() % 9_000), input.count)
            input[offset..<end].withUnsafeBytes { buffer.append($0) }
            unread += end - offset
            offset = end
            while random.next() % 3 == 0, let chunk = buffer.take() {
                #expect(chunk.count > 0)
                output += chunk.array()
                unread -= chunk.count
            }
            #expect(buffer.count == unread)
        }
        while let chunk = buffer.take() { output += chunk.array() }
        #expect(output == input && buffer.count == 0)
    }

    /// A stream of small messages must not pin a large chunk for each.
    @Test func startsSmallAndGrowsToThePooledSize() throws {
        var buffer = ReceiveBuffer()
        [UInt8](repeating: 1, count: 10).withUnsafeBytes { buffer.append($0) }
        let taken = buffer.take()
        let first = try #require(taken)
        #expect(first.capacity == ReceiveBuffer.firstChunk && first.count == 10)
        var largest = 0
        for _ in 0..<1_000 {
            [UInt8](repeating: 1, count: 1_000).withUnsafeBytes { buffer.append($0) }
        }
        while let chunk = buffer.take() { largest = max(largest, chunk.capacity) }
        #expect(largest == Chunk.pooledCapacity)
    }

    /// Who was fast and then says a byte at a time pins no large chunk with each of them.
    @Test func whatIsHandedOutNearlyEmptyIsCutToItsSize() throws {
        var buffer = ReceiveBuffer()
        for length in [1, 100, 3_000, 20_000, 1] {
            pattern(600_000).withUnsafeBytes { buffer.append($0) }
            while buffer.take() != nil {}
            for _ in 0..<5 {
                pattern(length).withUnsafeBytes { buffer.append($0) }
                let taken = buffer.take()
                let chunk = try #require(taken)
                #expect(chunk.array() == pattern(length))
                #expect(chunk.capacity <= max(ReceiveBuffer.firstChunk, length * ReceiveBuffer.slackFactor))
                #expect(buffer.memory == 0)
            }
        }
    }

    @Test func withoutRoomAChunkIsNoLargerThanWhatArrives() {
        var buffer = ReceiveBuffer()
        for length in [1, 5_000, 1, 70_000, 1] {
            pattern(length).withUnsafeBytes { buffer.append($0, room: 0) }
        }
        #expect((buffer.count..<buffer.count + ReceiveBuffer.firstChunk).contains(buffer.memory))
        let dropped = buffer.discard()
        #expect(dropped == 75_003 && buffer.memory == 0)
    }

    @Test func discardTellsHowMuchWasDropped() {
        var buffer = ReceiveBuffer()
        pattern(5_000).withUnsafeBytes { buffer.append($0) }
        let dropped = buffer.discard()
        #expect(dropped == 5_000)
        let (rest, again) = (buffer.take(), buffer.discard())
        #expect(rest == nil && buffer.count == 0 && again == 0)
    }
}

@Suite struct ChunkTests {
    @Test func holdsWhatItIsGiven() {
        let chunk = Chunk(capacity: 100)
        chunk.append(pattern(60))
        chunk.append(Array(pattern(60).prefix(40)))
        #expect(chunk.count == 100 && chunk.available == 0)
        #expect(chunk.array() == pattern(60) + pattern(60).prefix(40))
        #expect(chunk.array(10..<20) == Array(pattern(60)[10..<20]))
        #expect(chunk[59] == pattern(60)[59])
        chunk.append([])
        #expect(Chunk([]).count == 0 && Chunk([]).array().isEmpty)
    }

    @Test func takesLazyCollections() {
        #expect(Chunk((0..<50).lazy.map { UInt8($0) }).array() == (0..<50).map { UInt8($0) })
    }

    @Test func pooledMemoryIsNotSharedByTwo() {
        let chunks = (0..<40).map { _ in Chunk(capacity: Chunk.pooledCapacity) }
        for (index, chunk) in chunks.enumerated() { chunk.append([UInt8(index)]) }
        for (index, chunk) in chunks.enumerated() { #expect(chunk[0] == UInt8(index)) }
    }
}
