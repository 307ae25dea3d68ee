import DeP2PIdentity
import DeP2PSimulation
import Testing

@testable import DeP2PApp

@Suite struct TransferStateMachineTests {
    private static let root = SHA256.hash([1])
    private static let violation = TransferError(.protocolViolation, "")

    private static func offer(_ sizes: [UInt64]) throws -> TransferOffer {
        try TransferOffer(
            entries: sizes.enumerated().map { TransferEntry(kind: .file, path: ["\($0)"], size: $1) })
    }

    private static func page(_ offer: TransferOffer) -> TransferSenderFrame { .offer(Array(offer.pages())[0]) }

    // MARK: Sender

    @Test func aSenderSucceedsOnlyWithEveryReceipt() throws {
        var machine = TransferSenderStateMachine(offer: try Self.offer([1, 2]))
        #expect(machine.handle(.accept(HeldPage(files: [], more: false))) == .startSending([:], takesZeros: false))
        machine.handleSent(index: 0, size: 1, root: Self.root, resumedFrom: 0)
        machine.handleSent(index: 1, size: 2, root: Self.root, resumedFrom: 0)
        machine.handleSourceEnd()
        guard case .stored = machine.handle(.receipt(index: 1, root: Self.root, path: ["1"])) else {
            Issue.record("the receipt was not taken")
            return
        }
        var early = machine
        #expect(early.handle(.done(files: 2)) == .fail(Self.violation))
        #expect(early.handleEndOfStream() == .fail(Self.violation))
        var closed = machine
        #expect(closed.handleEndOfStream() == .fail(TransferError(.connectionLost, "")))
        _ = machine.handle(.receipt(index: 0, root: Self.root, path: ["0"]))
        guard case .finish(let summary) = machine.handle(.done(files: 2)) else {
            Issue.record("not finished")
            return
        }
        #expect(summary.bytes == 3 && summary.files.map(\.index) == [1, 0])
        #expect(machine.handleEndOfStream() == .none)
    }

    /// Its receiver has nothing to wait for.
    @Test func aSenderOfNothingButFoldersMayBeDoneAtOnce() throws {
        let offer = try TransferOffer(entries: [TransferEntry(kind: .directory, path: ["d"], size: 0)])
        var machine = TransferSenderStateMachine(offer: offer)
        _ = machine.handle(.accept(HeldPage(files: [], more: false)))
        guard case .finish(let summary) = machine.handle(.done(files: 0)) else {
            Issue.record("not finished")
            return
        }
        #expect(summary.directories == 1)
    }

    @Test func aSenderBelievesNoWrongReceipt() throws {
        var machine = TransferSenderStateMachine(offer: try Self.offer([1]))
        #expect(machine.handle(.receipt(index: 0, root: Self.root, path: [])) == .fail(Self.violation))
        machine = TransferSenderStateMachine(offer: try Self.offer([1]))
        _ = machine.handle(.accept(HeldPage(files: [], more: false)))
        machine.handleSent(index: 0, size: 1, root: Self.root, resumedFrom: 0)
        var other = machine
        #expect(other.handle(.receipt(index: 0, root: .zero, path: [])) == .fail(TransferError(.hashMismatch, "")))
        #expect(machine.handle(.receipt(index: 5, root: Self.root, path: [])) == .fail(Self.violation))
    }

    @Test func claimsThatDoNotFitAreViolations() throws {
        let claims: [HeldFile] = [
            HeldFile(index: 2, content: .whole(Self.root)),
            HeldFile(index: 0, content: .pieces(exponent: 19, [Self.root])),
            HeldFile(index: 0, content: .pieces(exponent: 63, [Self.root])),
            HeldFile(index: 0, content: .pieces(exponent: 20, Array(repeating: Self.root, count: 4))),
            HeldFile(index: 1, content: .pieces(exponent: 20, [Self.root])),
        ]
        for claim in claims {
            var machine = TransferSenderStateMachine(offer: try Self.offer([3 << 20, 0]))
            #expect(machine.handle(.accept(HeldPage(files: [claim], more: false))) == .fail(Self.violation))
        }
        var twice = TransferSenderStateMachine(offer: try Self.offer([3 << 20]))
        let claim = HeldFile(index: 0, content: .pieces(exponent: 20, [Self.root]))
        #expect(twice.handle(.accept(HeldPage(files: [claim], more: true))) == .progress)
        #expect(twice.handle(.accept(HeldPage(files: [claim], more: false))) == .fail(Self.violation))
    }

    @Test func firstComponentsAreCounted() throws {
        let paths = [["a"], ["a", "x"], ["é"], ["b", "a"], ["b"], ["a"], [String(repeating: "n", count: 200), "c"]]
        let entries = TransferEntries(paths.map { TransferEntry(kind: .file, path: $0, size: 1) })
        #expect(entries.topCount(atMost: 10) == 4 && entries.topCount(atMost: 3) == 3)
        #expect(TransferEntries().topCount(atMost: 3) == 0)
    }

    // MARK: Receiver

    @Test func aReceiverIsDoneWhenEverythingIsStored() throws {
        let offer = try Self.offer([1, 1])
        var machine = TransferReceiverStateMachine()
        #expect(machine.handle(Self.page(offer)) == .decide(offer))
        #expect(machine.handleAccepted(held: [], takesZeros: false) == .none)
        for index in 0..<2 {
            #expect(machine.handle(.start(index: index, offset: 0)) == .start(index: index, offset: 0))
            #expect(machine.handle(.data(1)) == .expectData(1))
            #expect(
                machine.handle(.end(index: index, size: 1, root: Self.root))
                    == .end(index: index, size: 1, root: Self.root))
        }
        func stored(_ index: Int) -> TransferredFile {
            TransferredFile(index: index, path: ["\(index)"], storedPath: ["\(index)"], size: 1, root: Self.root)
        }
        #expect(machine.handleStored(stored(1), resumedFrom: 0) == .none)
        guard case .done(let summary) = machine.handleStored(stored(0), resumedFrom: 0) else {
            Issue.record("not done")
            return
        }
        #expect(summary.bytes == 2)
        #expect(machine.handleEndOfStream() == .complete)
    }

    /// The sender gives up what the disk refuses a moment later: by then all may be done.
    @Test func aRefusalThatComesLateIsNothing() throws {
        let offer = try Self.offer([1])
        var machine = TransferReceiverStateMachine()
        _ = machine.handle(Self.page(offer))
        _ = machine.handleAccepted(held: [], takesZeros: false)
        _ = machine.handle(.start(index: 0, offset: 0))
        guard case .skip = machine.handle(.failed(index: 0, TransferError(.fileAccess, "", from: .sender))) else {
            Issue.record("not skipped")
            return
        }
        _ = machine.handleIdle()
        let late = machine.handleRefused(index: 0, error: TransferError(.noSpace, ""))
        #expect(late.failure == nil && late.then == .none)
        #expect(machine.handleEndOfStream() == .complete)
    }

    /// A thousand bytes a file, and a million files: what a peer says is kept as far as there is room.
    @Test func reasonsAreKeptWithinALimit() throws {
        let count = 2000
        let offer = try Self.offer(Array(repeating: 1, count: count))
        var machine = TransferReceiverStateMachine()
        _ = machine.handle(Self.page(offer))
        _ = machine.handleAccepted(held: [], takesZeros: false)
        let reason = TransferError(.fileAccess, String(repeating: "r", count: 1000), from: .sender)
        var kept = 0
        for index in 0..<count - 1 {
            guard case .skip(let failure, _) = machine.handle(.failed(index: index, reason)) else {
                Issue.record("not skipped")
                return
            }
            if failure.error.message == reason.message { kept += reason.message.utf8.count }
            #expect(failure.error == reason && failure.error.isFromPeer)
        }
        #expect(kept <= TransferLimits.reasonsBytes && kept > TransferLimits.reasonsBytes / 2)
    }

    @Test func anEmptyPageOfClaimsIsAViolation() throws {
        var machine = TransferSenderStateMachine(offer: try Self.offer([1]))
        #expect(machine.handle(.accept(HeldPage(files: [], more: true))) == .fail(Self.violation))
    }

    @Test func onlyWhatIsHeldMayBeSkipped() throws {
        let offer = try Self.offer([3 << 20 + 5])
        let held = HeldFile(index: 0, content: .pieces(exponent: 20, [Self.root, Self.root]))
        let whole = HeldFile(index: 0, content: .pieces(exponent: 20, Array(repeating: Self.root, count: 4)))
        for (claim, offset, allowed) in [
            (held, 1 << 20, true), (held, 2 << 20, true), (held, 3 << 20, false), (held, 1, false),
            (held, .max, false), (held, 3 << 20 + 5, false), (whole, 3 << 20 + 5, true), (whole, 4 << 20, false),
        ] as [(HeldFile, UInt64, Bool)] {
            var machine = TransferReceiverStateMachine()
            _ = machine.handle(Self.page(offer))
            _ = machine.handleAccepted(held: [claim], takesZeros: true)
            let action = machine.handle(.start(index: 0, offset: offset))
            #expect(action == (allowed ? .start(index: 0, offset: offset) : .fail(Self.violation)), "\(offset)")
        }
    }

    @Test func zerosCountLikeBytesAndOnlyWhereTheyWereAskedFor() throws {
        let size = TransferLimits.fileSize
        let offer = try Self.offer([size])
        for (takesZeros, counts, last) in [
            (true, [size], TransferReceiverStateMachine.OnFrame.zeros(size)), (true, [size, 1], .fail(Self.violation)),
            (true, [size - 1, .max], .fail(Self.violation)), (false, [1], .fail(Self.violation)),
        ] as [(Bool, [UInt64], TransferReceiverStateMachine.OnFrame)] {
            var machine = TransferReceiverStateMachine()
            _ = machine.handle(Self.page(offer))
            _ = machine.handleAccepted(held: [], takesZeros: takesZeros)
            _ = machine.handle(.start(index: 0, offset: 0))
            var action = TransferReceiverStateMachine.OnFrame.none
            for count in counts { action = machine.handle(.zeros(count)) }
            #expect(action == last, "\(counts)")
        }
    }

    @Test func anOfferInPagesIsCountedToItsEnd() throws {
        let entry = TransferEntry(kind: .file, path: ["a"], size: 1)
        for (count, total, valid) in [(2, 2, true), (3, 2, false), (1, 2, false), (2, 3, false)]
            as [(Int, UInt64, Bool)]
        {
            var machine = TransferReceiverStateMachine()
            let first = machine.handle(.offer(OfferPage(entries: [entry], count: count, totalSize: total, more: true)))
            let last = machine.handle(.offer(OfferPage(entries: [entry], count: count, totalSize: total, more: false)))
            let isDecided = if case .decide = last { true } else { false }
            #expect(first == .none || !valid)
            #expect(isDecided == valid, "\(count) entries, \(total) bytes")
        }
    }

    /// Any sequence of frames: no trap, and after a failure always the same failure.
    @Test func randomFramesNeverTrap() throws {
        var generator = SplitMix64(seed: 41)
        for _ in 0..<3000 {
            let offer = try Self.offer([0, 5, 3 << 20])
            var receiver = TransferReceiverStateMachine(maximumSize: .random(in: 0...1 << 40, using: &generator))
            var sender = TransferSenderStateMachine(offer: offer)
            var failed = false
            for _ in 0..<12 {
                let action = receiver.handle(Self.senderFrame(offer, &generator))
                if case .decide = action {
                    _ = receiver.handleAccepted(
                        held: Self.held(&generator), takesZeros: .random(using: &generator))
                }
                if failed { #expect({ if case .fail = action { true } else { action == .none } }()) }
                if case .fail = action { failed = true }
                _ = sender.handle(Self.receiverFrame(&generator))
                sender.handleSent(
                    index: .random(in: 0...2, using: &generator), size: 5, root: Self.root, resumedFrom: 0)
            }
            _ = receiver.handleEndOfStream()
            _ = sender.handleEndOfStream()
        }
    }

    private static func number(_ generator: inout SplitMix64) -> UInt64 {
        [0, 1, 5, 1 << 20, 3 << 20, 1 << 62, .max].randomElement(using: &generator) ?? 0
    }

    private static func held(_ generator: inout SplitMix64) -> [HeldFile] {
        let pieces = Array(repeating: root, count: .random(in: 1...5, using: &generator))
        return [
            HeldFile(
                index: .random(in: 0...5, using: &generator),
                content: Bool.random(using: &generator)
                    ? .whole(root) : .pieces(exponent: .random(in: 0...63, using: &generator), pieces))
        ]
    }

    private static func senderFrame(_ offer: TransferOffer, _ generator: inout SplitMix64) -> TransferSenderFrame {
        let index = Int.random(in: 0...3, using: &generator)
        return switch Int.random(in: 0...7, using: &generator) {
        case 7: .zeros(number(&generator))
        case 0, 1: page(offer)
        case 2: .start(index: index, offset: number(&generator))
        case 3: .data(.random(in: 1...1 << 20, using: &generator))
        case 4: .end(index: index, size: number(&generator), root: root)
        case 5: .failed(index: index, TransferError(.fileAccess, ""))
        default: .working
        }
    }

    private static func receiverFrame(_ generator: inout SplitMix64) -> TransferReceiverFrame {
        let index = Int.random(in: 0...3, using: &generator)
        return switch Int.random(in: 0...6, using: &generator) {
        case 6: .refused(index: index, TransferError(.fileAccess, ""))
        case 0, 1: .accept(HeldPage(files: held(&generator), more: .random(using: &generator)))
        case 2: .receipt(index: index, root: root, path: ["a"])
        case 3: .mismatch(index: index, root: root)
        case 4: .done(files: index)
        default: .working(waiting: number(&generator))
        }
    }
}
