import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PApp

/// A receiver whose sender is not ours, and a folder that holds traps.
@Suite struct TransferHostileTests {
    private let scratch: Scratch
    private let inbox: String
    private let folder: ReceiveFolder

    init() throws {
        scratch = try Scratch()
        inbox = scratch.path + "/inbox"
        folder = try ReceiveFolder(path: inbox)
    }

    private static func offer(_ entries: [TransferEntry]) throws -> [UInt8] {
        let total = entries.reduce(0 as UInt64) { $0 &+ ($1.size ?? 0) }
        return try TransferSenderFrame.offer(
            OfferPage(entries: entries, count: entries.count, totalSize: total, more: false)
        ).encoded()
    }

    private static func file(_ path: [String], size: UInt64 = 1) -> TransferEntry {
        TransferEntry(kind: .file, path: path, size: size)
    }

    @Test(arguments: [
        ["..", "escaped"], ["/tmp/escaped"], ["a", "..", "..", "escaped"], [".ssh\u{0}x"], ["\u{202e}gpj.exe"],
        [".x.dep2p-partial-0123456789abcdef"],
    ])
    func hostileNamesAreRefusedBeforeAnythingIsMade(path: [String]) async throws {
        let outcome = try await receive(try Self.offer([Self.file(path)]), into: folder)
        #expect(outcome.error?.code == .badName)
        guard case .refuse(let error)? = outcome.frames.last else {
            Issue.record("no refusal: \(outcome.frames)")
            return
        }
        #expect(error.code == .badName)
        #expect(Scratch.names(in: inbox).isEmpty)
    }

    @Test func aSymlinkedFolderIsNotEntered() async throws {
        let outside = try scratch.folder("outside")
        symlink(outside, inbox + "/notes")
        let notes = try scratch.folder("notes")
        try scratch.file("notes/a", [1])
        let outcome = try await transfer(try SendSource(paths: [notes]), to: .folder(folder))
        #expect(try outcome.sent.get().failed.map(\.error.code) == [.badName, .badName])
        #expect(Scratch.names(in: outside).isEmpty)
    }

    @Test func aSymlinkInTheWayOfAFileIsLeftAlone() async throws {
        let victim = try scratch.file("victim", Array("mine".utf8))
        symlink(victim, inbox + "/x")
        let path = try scratch.file("x", Array("theirs".utf8))
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
        #expect(try outcome.sent.get().files.first?.storedPath == ["x (1)"])
        #expect(try read(victim) == Array("mine".utf8))
    }

    @Test func aSymlinkInPlaceOfThePartialFileIsNotFollowed() async throws {
        let victim = try scratch.file("victim", Array("mine".utf8))
        let sender = try #require(testSender)
        let tag = TransferName.tag([sender.bytes, Array("x".utf8)])
        symlink(victim, inbox + "/.x\(TransferName.partialMark)\(tag)")
        // A smaller file has no partial name.
        let theirs = Array(repeating: UInt8(ascii: "t"), count: Int(TransferLimits.unnamedFile) + 1)
        let path = try scratch.file("x", theirs)
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
        #expect(try outcome.sent.get().failed.map(\.error.code) == [.badName])
        #expect(try read(victim) == Array("mine".utf8))
        unlink(inbox + "/.x\(TransferName.partialMark)\(tag)")
        link(victim, inbox + "/.x\(TransferName.partialMark)\(tag)")
        let hardLinked = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
        #expect(try hardLinked.sent.get().files.first?.storedPath == ["x"])
        #expect(try read(inbox + "/x") == theirs)
        #expect(try read(victim) == Array("mine".utf8))
    }

    @Test func sizesThatOverflowAreRefused() async throws {
        for sizes in [[UInt64.max], [1 << 63], [1 << 62, 1 << 62], [UInt64.max, 2]] {
            let entries = sizes.enumerated().map { Self.file(["f\($0)"], size: $1) }
            let outcome = try await receive(try Self.offer(entries), into: folder)
            #expect([.badOffer, .noSpace].contains(outcome.error?.code), "\(sizes)")
        }
        #expect(Scratch.names(in: inbox).isEmpty)
    }

    private static let start = try? TransferSenderFrame.start(index: 0, offset: 0).encoded()
    private static let data = try? TransferSenderFrame.data(4).encoded() + [1, 2, 3, 4]

    @Test func stepsBeforeTheOfferAreViolations() async throws {
        let (start, data) = (try #require(Self.start), try #require(Self.data))
        let offer = try Self.offer([Self.file(["a"], size: 4)])
        let sequences: [[UInt8]] = [
            start, data, offer + offer, offer + start, [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
            [0xff, 0xff, 0xff, 0x7f], [0x80, 0x00], [3, 1, 2, 3], [0],
        ]
        for (number, sequence) in sequences.enumerated() {
            let outcome = try await receive(sequence, into: folder)
            #expect(outcome.error?.code == .protocolViolation, "sequence \(number): \(outcome)")
        }
        #expect(Scratch.names(in: inbox).isEmpty)
    }

    @Test func stepsOutOfOrderAreViolations() async throws {
        let (start, data) = (try #require(Self.start), try #require(Self.data))
        let offer = try Self.offer([Self.file(["a"], size: 4), Self.file(["b"], size: 4)])
        let sequences: [[UInt8]] = [
            data, start + start, try start + TransferSenderFrame.data(5).encoded() + [1, 2, 3, 4, 5],
            try TransferSenderFrame.start(index: 1, offset: 0).encoded(),
            try TransferSenderFrame.start(index: 7, offset: 0).encoded(),
            try TransferSenderFrame.start(index: 0, offset: 4).encoded(),
            try start + data + TransferSenderFrame.end(index: 1, size: 4, root: .zero).encoded(),
            try start + data + TransferSenderFrame.end(index: 0, size: 3, root: .zero).encoded(),
            start + data + start, start + data + [0xff, 0xff, 0xff, 0x7f],
        ]
        for (number, sequence) in sequences.enumerated() {
            let outcome = try await receive(offer, then: sequence, into: folder)
            #expect(outcome.error?.code == .protocolViolation, "sequence \(number): \(outcome)")
        }
        #expect(Scratch.names(in: inbox).allSatisfy { $0.hasPrefix(".") })
    }

    /// Unknown fields are skipped, but not without end: each small file keeps in memory what it was read with.
    @Test(arguments: [(1_000, false), (5_000, true)])
    func framesAmongTheFilesHaveNoRoomForPadding(padding: Int, isViolation: Bool) async throws {
        let (start, data) = (try #require(Self.start), try #require(Self.data))
        let message =
            start.dropFirst() + [15 << 3 | 2] + Varint.encode(UInt64(padding)) + [UInt8](repeating: 0, count: padding)
        let padded = Varint.encode(UInt64(message.count)) + message
        let offer = try Self.offer([Self.file(["a"], size: 4)])
        let root = SHA256.hash([1, 2, 3, 4])
        let end = try TransferSenderFrame.end(index: 0, size: 4, root: root).encoded()
        let outcome = try await receive(offer, then: padded + data + end, into: folder)
        #expect((outcome.error?.code == .protocolViolation) == isViolation, "\(outcome)")
        #expect(Scratch.names(in: inbox).contains("a") != isViolation)
    }

    @Test func zerosOutOfPlaceAreViolations() async throws {
        let start = try #require(Self.start)
        func zeros(_ count: UInt64) throws -> [UInt8] { try TransferSenderFrame.zeros(count).encoded() }
        let size: UInt64 = 1 << 20
        let file = try Self.offer([Self.file(["a"], size: size)])
        let stream = try Self.offer([TransferEntry(kind: .stream, path: ["s"], size: nil)])
        let sequences: [([UInt8], [UInt8])] = [
            (file, try zeros(size)), (file, try start + zeros(size + 1)),
            (file, try start + zeros(size) + zeros(16_384)),
            (file, try start + zeros(16_383)), (file, try start + zeros(0)), (file, try start + zeros(1 << 63)),
            (file, try start + zeros(.max)), (stream, try start + zeros(size)),
            (file, try start + zeros(size) + TransferSenderFrame.data(1).encoded() + [0]),
        ]
        for (number, (offer, rest)) in sequences.enumerated() {
            let outcome = try await receive(offer, then: rest, into: folder)
            #expect(outcome.error?.code == .protocolViolation, "sequence \(number): \(outcome)")
        }
        #expect(Scratch.names(in: inbox).allSatisfy { $0.hasPrefix(".") })
    }

    /// More than any disk holds: neither the disk nor the processor has work with it.
    @Test func asManyZerosAsAFileCanHaveCostNothing() async throws {
        let mount = try scratch.folder("small")
        guard Glibc.mount("tmpfs", mount, "tmpfs", 0, "size=1m") == 0 else {
            Issue.record("mounting a small tmpfs failed (\(String(cString: strerror(errno)))): run this test as root")
            return
        }
        defer { umount2(mount, Int32(MNT_DETACH)) }
        let size = TransferLimits.fileSize
        let entry = TransferEntry(kind: .file, path: ["a"], size: size, dataSize: 0)
        var tree = MerkleHasher()
        tree.append(zeros: size)
        let outcome = try await receive(
            try Self.offer([entry]),
            then: try #require(Self.start) + TransferSenderFrame.zeros(size).encoded()
                + TransferSenderFrame.end(index: 0, size: size, root: tree.root()).encoded(),
            into: try ReceiveFolder(path: mount))
        #expect(outcome.error == nil, "\(outcome)")
        var status = stat()
        #expect(stat(mount + "/a", &status) == 0 && UInt64(status.st_size) == size && status.st_blocks < 16)
    }

    @Test(arguments: [(5, 4, TransferEntry.Kind.file), (0, 0, .directory), (.max, 4, .file)])
    func moreDataThanBytesIsNoOffer(data: UInt64, size: UInt64, kind: TransferEntry.Kind) async throws {
        let entry = TransferEntry(kind: kind, path: ["a"], size: size, dataSize: data)
        let outcome = try await receive(try Self.offer([entry]), into: folder)
        #expect(outcome.error?.code == .badOffer)
        #expect(Scratch.names(in: inbox).isEmpty)
    }

    @Test func bytesWithoutTheRootAreNotKeptUnderTheName() async throws {
        let outcome = try await receive(
            try Self.offer([Self.file(["a"], size: 4)]),
            then: try #require(Self.start) + #require(Self.data)
                + TransferSenderFrame.end(index: 0, size: 4, root: .zero).encoded(), into: folder)
        #expect(outcome.frames.contains { if case .mismatch(0, _) = $0 { true } else { false } })
        #expect(outcome.error == nil)
        #expect(!Scratch.names(in: inbox).contains("a"))
    }

    @Test func truncatedAtEveryByteNothingIsMade() async throws {
        let offer = try Self.offer([Self.file(["a"], size: 4)])
        let rest = try #require(Self.start) + #require(Self.data)
        for length in 0..<offer.count {
            let outcome = try await receive(Array(offer.prefix(length)), ending: true, into: folder)
            #expect(outcome.error?.code == .connectionLost, "\(length) bytes of the offer")
        }
        for length in 0...rest.count {
            let outcome = try await receive(offer, then: Array(rest.prefix(length)), ending: true, into: folder)
            #expect(outcome.error?.code == .connectionLost, "\(length) bytes behind the offer")
        }
        #expect(!Scratch.names(in: inbox).contains("a"))
    }

    @Test func randomBytesEndInAnError() async throws {
        var generator = SplitMix64(seed: 21)
        let offer = try Self.offer([Self.file(["a"], size: 1 << 20)])
        for round in 0..<60 {
            let noise = generator.bytes(Int.random(in: 1...4000, using: &generator))
            let first = round.isMultiple(of: 2) ? noise : offer
            let outcome = try await receive(
                first, then: round.isMultiple(of: 2) ? nil : noise, ending: true, into: folder)
            #expect(outcome.error != nil, "round \(round)")
        }
        #expect(!Scratch.names(in: inbox).contains("a"))
    }

    @Test func anUnboundedOfferIsRefused() throws {
        var machine = TransferReceiverStateMachine()
        let name = String(repeating: "x", count: 250)
        var refused: TransferError?
        for page in 0..<TransferLimits.entries / 1000 where refused == nil {
            let entries = (0..<1000).map { Self.file(["\(page)-\($0)-\(name)"], size: 0) }
            let frame = TransferSenderFrame.offer(
                OfferPage(entries: entries, count: TransferLimits.entries, totalSize: 0, more: true))
            if case .fail(let error) = machine.handle(frame) { refused = error }
        }
        #expect(refused?.code == .badOffer)
        var deep = TransferReceiverStateMachine()
        let path = Array(repeating: "d", count: 65)
        #expect(
            deep.handle(.offer(OfferPage(entries: [Self.file(path)], count: 1, totalSize: 1, more: false)))
                == .fail(TransferError(.badOffer, "")))
    }
}
