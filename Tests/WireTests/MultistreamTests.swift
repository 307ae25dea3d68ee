import DeP2PSimulation
import Testing

@testable import DeP2PWire

/// The messages are those of the multistream-select specification: `<varint length><text>\n`.
@Suite struct MultistreamTests {
    private static let header: [UInt8] = [0x13] + Array("/multistream/1.0.0\n".utf8)
    private static let ping: [UInt8] = [0x11] + Array("/ipfs/ping/1.0.0\n".utf8)
    private static let notAvailable: [UInt8] = [0x03] + Array("na\n".utf8)

    @Test func firstFlightIsHeaderAndProposal() {
        #expect(MultistreamDialer(["/ipfs/ping/1.0.0"]).firstFlight == Self.header + Self.ping)
    }

    @Test func dialerAcceptsTheEchoAndHandsOnWhatFollows() {
        for size in 1...(Self.header.count + Self.ping.count + 2) {
            var dialer = MultistreamDialer(["/ipfs/ping/1.0.0"])
            var rest = (Self.header + Self.ping + [7, 7])[...]
            var selected: MultistreamDialer.OnBytes = .needMore
            var taken = 0
            while selected == .needMore, !rest.isEmpty {
                let piece = Array(rest.prefix(size))
                rest = rest.dropFirst(size)
                taken += piece.count
                selected = dialer.receive(piece)
            }
            let expected = Array(repeating: UInt8(7), count: taken - Self.header.count - Self.ping.count)
            #expect(selected == .selected("/ipfs/ping/1.0.0", leftover: expected))
        }
    }

    @Test func dialerProposesTheNextAfterNa() {
        var dialer = MultistreamDialer(["/a", "/b"])
        #expect(dialer.receive(Self.header + Self.notAvailable) == .propose([0x03] + Array("/b\n".utf8)))
        #expect(dialer.receive(Self.notAvailable) == .failed(MultistreamError(.notAvailable, protocols: ["/a", "/b"])))
    }

    @Test func dialerRefusesAnAnswerThatWasNotProposed() {
        var dialer = MultistreamDialer(["/a"])
        #expect(dialer.receive(Self.header + Self.ping) == .failed(MultistreamError(.malformed)))
        var other = MultistreamDialer(["/a"])
        #expect(other.receive(Self.ping) == .failed(MultistreamError(.malformed)))
    }

    @Test func listenerAnswersHeaderBeforeAProposal() {
        var listener = MultistreamListener()
        listener.receive(Self.header)
        #expect(listener.next() == .needMore)
        #expect(listener.takeOutput() == Self.header)
        listener.receive(Self.ping + [1, 2])
        #expect(listener.next() == .proposal("/ipfs/ping/1.0.0"))
        #expect(listener.accept() == [1, 2])
        #expect(listener.takeOutput() == Self.ping)
    }

    @Test func listenerAnswersNaToLsAndUnknownNames() {
        var listener = MultistreamListener()
        listener.receive(Self.header + [0x03] + Array("ls\n".utf8))
        #expect(listener.next() == .proposal("ls"))
        listener.refuse()
        #expect(listener.takeOutput() == Self.header + Self.notAvailable)
        #expect(listener.next() == .needMore)
    }

    @Test func listenerBoundsLinesAndAttempts() {
        var long = MultistreamListener()
        long.receive([0x81, 0x08])
        #expect(long.next() == .failed(MultistreamError(.lineTooLong)))
        var many = MultistreamListener()
        many.receive(Self.header)
        for attempt in 0...Multistream.attemptLimit {
            many.receive(Multistream.line("/\(attempt)"))
            let isAllowed = attempt < Multistream.attemptLimit
            #expect(many.next() == (isAllowed ? .proposal("/\(attempt)") : .failed(MultistreamError(.tooManyAttempts))))
            many.refuse()
        }
    }

    @Test func aLineWithoutNewlineIsMalformed() {
        var listener = MultistreamListener()
        listener.receive([0x02, 0x2f, 0x61])
        #expect(listener.next() == .failed(MultistreamError(.malformed)))
        var empty = MultistreamListener()
        empty.receive([0x00])
        #expect(empty.next() == .failed(MultistreamError(.malformed)))
        var binary = MultistreamListener()
        binary.receive([0x03, 0xff, 0xfe, 0x0a])
        #expect(binary.next() == .failed(MultistreamError(.malformed)))
    }

    @Test func bothSidesTakeAnyBytesWithoutTrapping() {
        var random = SplitMix64(seed: 3)
        for round in 0..<5000 {
            let bytes = (round % 2 == 0 ? Self.header : []) + random.bytes(upTo: 60)
            var dialer = MultistreamDialer(["/a", "/b"])
            _ = dialer.receive(bytes)
            var listener = MultistreamListener()
            listener.receive(bytes)
            while case .proposal = listener.next() { listener.refuse() }
        }
    }
}
