import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Synchronization
import Testing

@testable import DeP2PApp

/// Small files that come whole are read, hashed, stored and made durable in one go; nobody can tell by the result.
@Suite struct SmallFileTests {
    // MARK: Frames

    private static func frames(
        _ index: Int, _ bytes: [UInt8], offset: UInt64 = 0, endIndex: Int? = nil, size: UInt64? = nil, pieces: Int = 1
    ) throws -> [UInt8] {
        var frames = try TransferSenderFrame.start(index: index, offset: offset).encoded()
        let length = max(1, (bytes.count + pieces - 1) / pieces)
        for start in stride(from: 0, to: bytes.count, by: length) {
            let piece = bytes[start..<min(start + length, bytes.count)]
            frames += try TransferSenderFrame.data(piece.count).encoded() + piece
        }
        let end = TransferSenderFrame.end(
            index: endIndex ?? index, size: size ?? UInt64(bytes.count), root: SHA256.hash(bytes))
        return frames + (try end.encoded())
    }

    private static func parse(_ bytes: [UInt8], at position: Int = 0) -> SmallFileFrames? {
        SmallFileFrames(in: bytes.span.bytes, at: position)
    }

    @Test(arguments: [0, 1, 20, 127, 128, 16_384, 65_536])
    func framesOfASmallFileAreReadInOneGo(count: Int) throws {
        var generator = SplitMix64(seed: UInt64(count))
        for index in [0, 1, 127, 128, 16_383, 16_384, TransferLimits.entries - 1] {
            let bytes = generator.bytes(count)
            let frames = try Self.frames(index, bytes)
            let around = [1, 2, 3] + frames + [4]
            let read = try #require(Self.parse(around, at: 3))
            #expect(read.index == index && read.root == SHA256.hash(bytes) && read.end == 3 + frames.count)
            #expect(Array(around[read.data]) == bytes)
            // Of what is not all there nothing is taken.
            for missing in [1, 32, 33, 40, frames.count] where missing <= frames.count {
                #expect(Self.parse(Array(frames.dropLast(missing))) == nil, "\(missing) missing")
            }
        }
    }

    @Test func whatIsNoWholeSmallFileIsLeftToTheFrames() throws {
        let bytes: [UInt8] = [1, 2, 3, 4]
        let large = [UInt8](repeating: 7, count: Int(TransferLimits.unnamedFile) + 1)
        for frames in [
            try Self.frames(5, bytes, offset: 4), try Self.frames(5, bytes, endIndex: 6),
            try Self.frames(5, bytes, size: 5), try Self.frames(5, bytes, pieces: 2), try Self.frames(5, [], size: 1),
            try Self.frames(5, large), try TransferSenderFrame.working.encoded() + Self.frames(5, bytes),
            try TransferSenderFrame.start(index: 5, offset: 0).encoded()
                + TransferSenderFrame.failed(index: 5, TransferError(.fileAccess, "")).encoded(),
        ] {
            #expect(Self.parse(frames) == nil)
        }
    }

    /// Damaged in every way: what is read as a small file is what the frames one by one say.
    @Test func damagedFramesReadAsTheyDoOneByOne() throws {
        var generator = SplitMix64(seed: 34)
        let whole = try Self.frames(300, [UInt8](repeating: 0x12, count: 20))
        for _ in 0..<20_000 {
            var bytes = whole
            bytes[Int.random(in: bytes.indices, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            if Bool.random(using: &generator) { bytes.removeLast(Int.random(in: 0...3, using: &generator)) }
            guard let read = Self.parse(bytes) else { continue }
            let chunk = Chunk(bytes)
            var splitter = FrameSplitter()
            var position = 0
            var frames: [TransferSenderFrame] = []
            var data = 0..<0
            while position < read.end, let piece = try splitter.next(in: chunk, from: &position) {
                switch piece {
                case .data(let range): data = range
                case .frame(let message):
                    let frame = try TransferSenderFrame(message: message)
                    if case .data(let count) = frame { splitter.expectData(count) }
                    frames.append(frame)
                }
            }
            #expect(frames.first == .start(index: read.index, offset: 0))
            #expect(frames.last == .end(index: read.index, size: UInt64(read.data.count), root: read.root))
            #expect(position == read.end && data == read.data)
        }
    }

    // MARK: Order

    private static func machine(
        _ entries: [TransferEntry], held: [HeldFile] = []
    ) throws -> TransferReceiverStateMachine {
        var machine = TransferReceiverStateMachine()
        let offer = try TransferOffer(entries: entries)
        for page in offer.pages() { _ = machine.handle(.offer(page)) }
        _ = machine.handleAccepted(held: held, takesZeros: true)
        return machine
    }

    @Test func onlyTheNextFileWithItsSizeComesWhole() throws {
        let root = SHA256.hash([1])
        let entries = [
            TransferEntry(kind: .directory, path: ["d"], size: 0),
            TransferEntry(kind: .file, path: ["d", "a"], size: 4),
            TransferEntry(kind: .file, path: ["d", "b"], size: 4), TransferEntry(kind: .stream, path: ["s"], size: nil),
        ]
        var machine = try Self.machine(entries, held: [HeldFile(index: 2, content: .whole(root))])
        // A folder, another file, another size: nothing has changed.
        for (index, size) in [(0, 0), (2, 4), (1, 3), (9, 4), (-1, 4)] {
            #expect(machine.handleWhole(index: index, size: UInt64(size)) == false)
        }
        #expect(machine.handleWhole(index: 1, size: 4) == true)
        #expect(machine.handleWhole(index: 1, size: 4) == false, "twice")
        // Something is held of it: the sender may begin where it likes.
        #expect(machine.handleWhole(index: 2, size: 4) == false)
        #expect(machine.handle(.start(index: 2, offset: 4)) == .start(index: 2, offset: 4))
        #expect(machine.handleWhole(index: 3, size: 0) == false, "in the middle of another")
        #expect(machine.handle(.end(index: 2, size: 4, root: root)) == .end(index: 2, size: 4, root: root))
        #expect(machine.handleWhole(index: 3, size: 0) == false, "a stream")
        #expect(machine.handle(.start(index: 3, offset: 0)) == .start(index: 3, offset: 0))
        #expect(machine.handle(.end(index: 3, size: 0, root: root)) == .end(index: 3, size: 0, root: root))
        for (index, path) in [(1, ["d", "a"]), (2, ["d", "b"]), (3, ["s"])] {
            let file = TransferredFile(index: index, path: path, storedPath: path, size: 0, root: root)
            let action = machine.handleStored(file, resumedFrom: 0)
            if index == 3, case .done(let summary) = action {
                #expect(summary.files.count == 3)
            } else {
                #expect(index < 3 && action == .none)
            }
        }
    }

    @Test func nothingComesWholeBeforeItIsAcceptedOrAfterTheEnd() throws {
        var early = TransferReceiverStateMachine()
        #expect(early.handleWhole(index: 0, size: 1) == false)
        let entries = [TransferEntry(kind: .file, path: ["a"], size: 1)]
        for page in try TransferOffer(entries: entries).pages() { _ = early.handle(.offer(page)) }
        #expect(early.handleWhole(index: 0, size: 1) == false)
        var failed = try Self.machine(entries)
        _ = failed.handle(.data(1))
        #expect(failed.handleWhole(index: 0, size: 1) == false)
    }

    // MARK: The disk

    /// A folder, and the store of an offer into it.
    private struct Receiving {
        let scratch: Scratch
        let inbox: String
        let sink: FolderSink
        let store: SmallFileStore
        let offer: TransferOffer

        init(_ paths: [[String]], bytes: [[UInt8]], mayRefuseFiles: Bool = true) throws {
            scratch = try Scratch()
            inbox = scratch.path + "/inbox"
            let entries = zip(paths, bytes).map {
                TransferEntry(kind: .file, path: $0, size: UInt64($1.count), isExecutable: true, modified: 5)
            }
            offer = try TransferOffer(entries: entries)
            sink = FolderSink(
                folder: try ReceiveFolder(path: inbox).open(), offer: offer, sender: try #require(testSender),
                partials: 1, pulse: TransferPulse(), mayRefuseFiles: mayRefuseFiles)
            try sink.prepare(PartialPatience(since: NetworkInstant(nanoseconds: 0), isOver: true))
            while try sink.hashHeld() {}
            store = try #require(sink.smallFileStore())
        }

        func files(_ bytes: [[UInt8]]) -> [SmallFile] {
            bytes.enumerated().map {
                SmallFile(index: $0, root: MerkleTree.root(of: $1.span.bytes), chunk: Chunk($1), range: 0..<$1.count)
            }
        }
    }

    @Test func smallFilesAreStoredAsTheyWereSent() throws {
        var generator = SplitMix64(seed: 35)
        let bytes = [0, 1, 20, 16_384, 16_385, 65_536].map { generator.bytes($0) }
        let paths = bytes.indices.map { $0 < 3 ? ["d", "\($0)"] : ["\($0)"] }
        // Let go of below, and with it the lock of the journal.
        var first: Receiving? = try Receiving(paths, bytes: bytes)
        let receiving = (
            scratch: try #require(first?.scratch), inbox: try #require(first?.inbox), offer: try #require(first?.offer)
        )
        let outcomes = try #require(try first.map { try $0.store.store($0.files(bytes)) })
        for (index, outcome) in outcomes.enumerated() {
            guard case .stored(let file) = outcome else {
                Issue.record("\(outcome)")
                continue
            }
            var hasher = MerkleHasher()
            let sent = bytes[index]
            hasher.update(sent.span.bytes)
            #expect(file.index == index && file.root == hasher.root() && file.storedPath == paths[index])
            let path = receiving.inbox + "/" + paths[index].joined(separator: "/")
            #expect(try read(path) == bytes[index])
            var status = stat()
            #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o700 && status.st_mtim.tv_nsec == 5)
        }
        // Known as stored when the transfer breaks off now: the same again costs nothing.
        first?.sink.finish(confirmed: false)
        first = nil
        let again = FolderSink(
            folder: try ReceiveFolder(path: receiving.inbox).open(), offer: receiving.offer,
            sender: try #require(testSender), partials: 1, pulse: TransferPulse(), mayRefuseFiles: true)
        try again.prepare(PartialPatience(since: NetworkInstant(nanoseconds: 0), isOver: true))
        while try again.hashHeld() {}
        #expect(again.claims.map(\.index) == Array(bytes.indices))
        let store = try #require(again.smallFileStore())
        #expect(bytes.indices.allSatisfy { !store.takes($0) })
    }

    @Test func oneThatCannotBeStoredLeavesTheOthersAlone() throws {
        let bytes: [[UInt8]] = [[1], [2, 2], [3, 3, 3], [4]]
        let receiving = try Receiving([["a"], ["in the way", "b"], ["c"], ["d"]], bytes: bytes)
        try write([9], to: receiving.inbox + "/in the way")
        try write([9], to: receiving.inbox + "/d")
        var files = receiving.files(bytes)
        files[2] = SmallFile(index: 2, root: .zero, chunk: files[2].chunk, range: files[2].range)
        let outcomes = try receiving.store.store(files)
        guard case .stored = outcomes[0], case .refused(1, let error) = outcomes[1],
            case .mismatch(2, let root) = outcomes[2], case .stored(let numbered) = outcomes[3]
        else {
            Issue.record("\(outcomes)")
            return
        }
        #expect(error.code == .badName && root == SHA256.hash(bytes[2]) && numbered.storedPath == ["d (1)"])
        #expect(try read(receiving.inbox + "/d") == [9] && read(receiving.inbox + "/d (1)") == [4])
        let names = Scratch.names(in: receiving.inbox).filter { !$0.hasPrefix(TransferName.resumePrefix) }
        #expect(names.sorted() == ["a", "d", "d (1)", "in the way"])
    }

    @Test func withoutLeaveToRefuseOneEndsAll() throws {
        let receiving = try Receiving([["in the way", "b"]], bytes: [[1]], mayRefuseFiles: false)
        try write([9], to: receiving.inbox + "/in the way")
        #expect(throws: TransferError(.badName, "")) { try receiving.store.store(receiving.files([[1]])) }
    }

    private final class Flag: Sendable {
        let isUp = Atomic<Bool>(false)
    }

    /// As many folders as files: those that are done are closed.
    @Test func manyFoldersTakeFewDescriptors() async throws {
        let count = 500
        let bytes = (0..<count).map { [UInt8(truncatingIfNeeded: $0)] }
        let receiving = try Receiving((0..<count).map { ["d\($0)", "f"] }, bytes: bytes)
        let before = Scratch.names(in: "/proc/self/fd").count
        let flag = Flag()
        let watching = Task.detached {
            var most = 0
            while !flag.isUp.load(ordering: .relaxed) { most = max(most, Scratch.names(in: "/proc/self/fd").count) }
            return most
        }
        let outcomes = try receiving.store.store(receiving.files(bytes))
        flag.isUp.store(true, ordering: .relaxed)
        #expect(await watching.value - before < 50)
        #expect(outcomes.count == count)
        for outcome in outcomes {
            guard case .stored = outcome else {
                Issue.record("\(outcome)")
                return
            }
        }
    }

    @Test func aFolderRemovedMeanwhileIsMadeAgain() throws {
        let receiving = try Receiving([["d", "a"], ["d", "b"]], bytes: [[1], [2]])
        let files = receiving.files([[1], [2]])
        _ = try receiving.store.store([files[0]])
        unlink(receiving.inbox + "/d/a")
        rmdir(receiving.inbox + "/d")
        guard case .stored = try receiving.store.store([files[1]])[0] else {
            Issue.record("not stored")
            return
        }
        #expect(try read(receiving.inbox + "/d/b") == [2])
    }
}
