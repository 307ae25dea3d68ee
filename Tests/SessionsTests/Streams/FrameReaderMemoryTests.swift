import DeP2PQUIC
import DeP2PReactor
import DeP2PWire
import Testing

@testable import DeP2PSessions

/// What a reader has of a frame that is not whole counts for its connection.
@Suite @NetworkActor struct FrameReaderMemoryTests {
    /// Has pieces to read, and notes what it is told.
    private final class Pieces: ByteStream {
        private var pieces: [[UInt8]]
        private(set) var told: [Int] = []
        var isAtEnd: Bool { pieces.isEmpty }
        let acknowledgedBytes: UInt64 = 0
        let peerHeardAt: NetworkInstant? = nil

        init(_ pieces: [[UInt8]]) { self.pieces = pieces }

        func read() async throws -> Chunk? { readAvailable() }
        func readAvailable() -> Chunk? { pieces.isEmpty ? nil : Chunk(pieces.removeFirst()) }
        func keeps(_ bytes: Int) { told.append(bytes) }
        func write(_ chunk: Chunk) async throws {}
        func finish() {}
        func reset(_ code: UInt64) {}
        func stopReading(_ code: UInt64) {}
        func count(for tally: TrafficTally) {}
    }

    @Test func ofALongFrameItIsTold() async throws {
        let frame = Frame.encode([UInt8](repeating: 7, count: 1_000_000))
        let stream = Pieces([Array(frame[..<50_000]), Array(frame[50_000..<400_000]), Array(frame[400_000...])])
        let reader = FrameReader(stream, limit: 1 << 20)
        #expect(try await reader.next()?.count == 1_000_000)
        #expect(stream.told.first.map { $0 >= 400_000 } == true && stream.told.last == 0)
        #expect(stream.told.contains { $0 >= 1_000_000 })
        #expect(try await reader.next() == nil)
    }

    @Test func ofShortOnesItIsNot() async throws {
        let frame = Frame.encode([UInt8](repeating: 7, count: 20_000))
        let stream = Pieces([Array((frame + frame)[..<30_000]), Array((frame + frame)[30_000...])])
        let reader = FrameReader(stream, limit: 1 << 20)
        for _ in 0..<2 { #expect(try await reader.next()?.count == 20_000) }
        #expect(stream.told.isEmpty)
    }
}
