import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import DeP2PWire
import Testing

@testable import DeP2PSessions

/// The negotiation in front of a stream's bytes, from the side that proposes, against a listener that says anything.
@Suite @NetworkActor struct NegotiatedStreamTests {
    private static let id = "/test/1.0.0"
    /// What a listener that agrees says before its first byte, and what the dialler says before its own.
    private static let echo = MultistreamDialer([id]).firstFlight

    private let world = SimulatedWorld(seed: 1)

    private func stream() -> (NegotiatedStream, LightStream) {
        let (near, far) = LightStream.pair()
        let patience: (any NetworkClock, Duration) = (world.network, .seconds(10))
        return (NegotiatedStream(proposing: Self.id, over: near, patience: patience), far)
    }

    /// The next bytes, by `read()` or by a look that waits by itself: the two tell the same.
    private func next(_ stream: NegotiatedStream, looking: Bool) async throws -> [UInt8]? {
        guard looking else { return try await stream.read()?.array() }
        try await stream.flush()
        while true {
            switch try stream.progress() {
            case .bytes(let chunk, let start): return chunk.array(start..<chunk.count)
            case .end: return nil
            case .wait(let waiter): try await waiter.value()
            case .unknown:
                Issue.record("a stream in memory tells what to wait for")
                return nil
            }
        }
    }

    private func everything(_ stream: any ByteStream) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while let chunk = try await stream.read() { bytes += chunk.array() }
        return bytes
    }

    // MARK: What is said

    @Test func theProposalRidesInFrontOfTheFirstBytesInOnePiece() async throws {
        let (stream, far) = stream()
        try await stream.write(Chunk([1, 2]))
        try await stream.write(Chunk([3]))
        #expect(far.readAvailable()?.array() == Self.echo + [1, 2])
        #expect(far.readAvailable()?.array() == [3])
    }

    @Test func aLargeFirstPieceIsNotCopiedBehindTheProposal() async throws {
        let (stream, far) = stream()
        let large = [UInt8](repeating: 7, count: 16 * 1024 + 1)
        try await stream.write(Chunk(large))
        #expect(far.readAvailable()?.array() == Self.echo)
        #expect(far.readAvailable()?.array() == large)
    }

    @Test(arguments: [true, false])
    func whoHasNothingToSayProposesAllTheSame(byReading: Bool) async throws {
        let (stream, far) = stream()
        if byReading {
            let reading = networkTask { try await stream.read()?.array() }
            #expect(try await far.read()?.array() == Self.echo)
            try await far.write(Chunk(Self.echo + [5]))
            #expect(try await reading.value == [5])
        } else {
            stream.finish()
            #expect(try await everything(far) == Self.echo)
        }
    }

    // MARK: What is heard

    /// However the network cuts what the listener says.
    @Test(arguments: [false, true]) func theAnswerIsTakenInAnyPieces(looking: Bool) async throws {
        var random = SplitMix64(seed: 31)
        let body = random.bytes(50)
        for _ in 0..<200 {
            let (stream, far) = stream()
            var rest = ArraySlice(Self.echo + body)
            while !rest.isEmpty {
                let piece = rest.prefix(.random(in: 1...rest.count, using: &random))
                rest = rest.dropFirst(piece.count)
                try await far.write(Chunk(piece))
            }
            far.finish()
            #expect(stream.readAvailable() == nil && !stream.isAtEnd, "nothing is believed before the echo is read")
            var heard: [UInt8] = []
            while let bytes = try await next(stream, looking: looking) { heard += bytes }
            #expect(heard == body)
            #expect(stream.isAtEnd)
        }
    }

    @Test(arguments: [false, true]) func dataBehindAnotherProtocolsEchoIsNotDelivered(looking: Bool) async throws {
        let (stream, far) = stream()
        try await far.write(Chunk(MultistreamDialer(["/other/1.0.0"]).firstFlight + [1, 2, 3]))
        await #expect(throws: SessionError(.violation)) { try await next(stream, looking: looking) }
    }

    @Test func aListenerThatDoesNotSpeakItIsToldApart() async throws {
        let (stream, far) = stream()
        try await stream.write(Chunk([1]))
        var listener = MultistreamListener()
        listener.receive(try await far.read()?.array() ?? [])
        #expect(listener.next() == .proposal(Self.id))
        listener.refuse()
        try await far.write(Chunk(listener.takeOutput()))
        await #expect(throws: SessionError(.unsupported)) { try await stream.read() }
    }

    /// The listener may end at any byte of its answer, and nothing of it is data.
    @Test(arguments: [false, true]) func anAnswerThatEndsEarlyIsAViolation(looking: Bool) async throws {
        for count in 0..<Self.echo.count {
            let (stream, far) = stream()
            if count > 0 { try await far.write(Chunk(Self.echo.prefix(count))) }
            far.finish()
            await #expect(throws: SessionError(.violation)) { try await next(stream, looking: looking) }
        }
    }

    @Test(arguments: [false, true])
    func whoNeverAnswersIsGivenUpAndWhoAnsweredHasAllTheTime(looking: Bool) async throws {
        try await world.run {
            let (silent, silentFar) = stream()
            let start = world.network.now
            await #expect(throws: SessionError(.timeout)) { try await next(silent, looking: looking) }
            #expect(world.network.now.duration(since: start) == .seconds(10))
            await #expect(throws: StreamError(.reset(StreamCode.timeout.rawValue))) { try await silentFar.read() }

            let (slow, slowFar) = stream()
            try await slowFar.write(Chunk(Self.echo))
            let reading = networkTask { try await next(slow, looking: looking) }
            try await world.network.sleep(for: .seconds(60))
            try await slowFar.write(Chunk([9]))
            #expect(try await reading.value == [9])
        }
    }

    /// A peer that wants to hear nothing may have said what it has to say.
    @Test func whatWasSaidIsReadAlsoFromAPeerThatStoppedListening() async throws {
        let (stream, far) = stream()
        try await far.write(Chunk(Self.echo + [4]))
        far.stopReading(StreamCode.done.rawValue)
        #expect(try await stream.read()?.array() == [4])
    }
}
