import CDeP2PQUICShim
import DeP2PSimulation
import Testing

@testable import DeP2PQUIC

/// The sending half of a stream beside a plain array of bytes.
@Suite struct SendBufferTests {
    /// What the buffer offers to send next.
    private func offered(_ buffer: SendBuffer, vectors: Int) -> (bytes: [UInt8], isAll: Bool) {
        withUnsafeTemporaryAllocation(of: dep2p_vec.self, capacity: vectors) { memory in
            let (count, bytes, isAll) = buffer.vectors(into: memory)
            let joined = memory[..<count].flatMap { Array(UnsafeBufferPointer(start: $0.base, count: $0.length)) }
            #expect(joined.count == bytes)
            return (joined, isAll)
        }
    }

    @Test(arguments: 0..<20)
    func agreesWithTheModel(_ seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var buffer = SendBuffer()
        var model: [UInt8] = []
        var (sent, acknowledged) = (0, 0)
        for _ in 0..<300 {
            switch random.next() % 4 {
            case 0:
                let bytes = pattern(Int(random.next() % 50), seed: random.next())
                buffer.append(Chunk(bytes))
                model += bytes
            case 1, 2:
                let (bytes, isAll) = offered(buffer, vectors: 1 + Int(random.next() % 8))
                #expect(bytes == Array(model[sent..<sent + bytes.count]))
                #expect(isAll == (sent + bytes.count == model.count))
                let count = bytes.isEmpty ? 0 : Int(random.next() % UInt64(bytes.count + 1))
                buffer.advance(count, finished: false)
                sent += count
            default:
                // Also what was acknowledged before, and what was never sent.
                let end = Int(random.next() % UInt64(model.count + 10))
                buffer.acknowledge(upTo: UInt64(end))
                acknowledged = max(acknowledged, min(end, sent))
            }
            #expect(buffer.sent == UInt64(sent) && buffer.acknowledged == UInt64(acknowledged))
            #expect(buffer.unsent == UInt64(model.count - sent))
            #expect(buffer.retained >= UInt64(model.count - acknowledged))
            #expect(buffer.hasWork == (sent < model.count))
        }
        buffer.finish()
        #expect(buffer.hasWork)
        buffer.advance(model.count - sent, finished: true)
        #expect(!buffer.hasWork && buffer.finishSent)
        buffer.acknowledge(upTo: .max)
        #expect(buffer.retained == 0)
    }

    @Test func freesAcknowledgedChunks() {
        var buffer = SendBuffer()
        weak var first: Chunk?
        do {
            let chunk = Chunk([1, 2, 3])
            first = chunk
            buffer.append(chunk)
        }
        buffer.advance(3, finished: false)
        buffer.acknowledge(upTo: 2)
        #expect(first != nil)
        buffer.acknowledge(upTo: 3)
        #expect(first == nil)
    }

    private func chunkMemory(_ bytes: Int) -> Int { bytes + SendBuffer.chunkOverhead }

    /// What the transport has taken is its to read, however the stream ended.
    @Test(arguments: [0, 2, 3, 5])
    func abandoningKeepsWhatWasHandedOver(_ handedOver: Int) {
        var buffer = SendBuffer()
        for chunk in [[1, 2, 3], [4, 5, 6], [7, 8, 9]] as [[UInt8]] { buffer.append(Chunk(chunk)) }
        buffer.advance(handedOver, finished: false)
        buffer.abandon()
        #expect(!buffer.hasWork && buffer.unsent == 0 && buffer.finishSent && buffer.isAbandoned)
        #expect(offered(buffer, vectors: 4).bytes.isEmpty)
        let kept = (handedOver + 2) / 3
        #expect(buffer.memory == kept * chunkMemory(3))
        if handedOver > 0 {
            buffer.acknowledge(upTo: UInt64(handedOver - 1))
            #expect(buffer.memory >= chunkMemory(3))
            buffer.acknowledge(upTo: UInt64(handedOver))
        }
        #expect(buffer.memory == 0 && buffer.retained == 0)
    }

    @Test func releasingForgetsEverything() {
        var buffer = SendBuffer()
        buffer.append(Chunk([1, 2, 3]))
        buffer.advance(1, finished: false)
        buffer.release()
        #expect(!buffer.hasWork && buffer.retained == 0 && buffer.unsent == 0 && buffer.memory == 0)
        buffer.acknowledge(upTo: .max)
        #expect(buffer.acknowledged == 1 && buffer.retained == 0)
    }

    @Test(arguments: 0..<10)
    func countsTheMemoryItHolds(_ seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var buffer = SendBuffer()
        var ends: [(end: UInt64, memory: Int)] = []
        for _ in 0..<200 {
            if random.next() % 2 == 0 {
                let chunk = Chunk(capacity: 1 + Int(random.next() % 100))
                chunk.append(pattern(1 + Int(random.next() % UInt64(chunk.capacity))))
                buffer.append(chunk)
                ends.append((buffer.appended, chunkMemory(chunk.capacity)))
            } else {
                buffer.advance(Int(random.next() % (buffer.unsent + 1)), finished: false)
                buffer.acknowledge(upTo: random.next() % (buffer.sent + 1))
            }
            #expect(buffer.memory == ends.reduce(0) { $0 + ($1.end > buffer.acknowledged ? $1.memory : 0) })
        }
    }
}
