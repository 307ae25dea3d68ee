import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PApp

/// Whole transfers over a pipe, with real files.
@Suite struct TransferTests {
    private let scratch: Scratch
    private let inbox: String
    private let folder: ReceiveFolder

    init() throws {
        scratch = try Scratch()
        inbox = scratch.path + "/inbox"
        folder = try ReceiveFolder(path: inbox)
    }

    @Test(arguments: [0, 1, 16_384, 16_385, 1 << 20, 3 << 20 + 5])
    func aFileArrives(size: Int) async throws {
        var generator = SplitMix64(seed: UInt64(size))
        let bytes = generator.bytes(size)
        let path = try scratch.file("disk.img", bytes)
        chmod(path, 0o755)
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
        let sent = try outcome.sent.get()
        #expect(try read(inbox + "/disk.img") == bytes)
        try outcome.expectBothSidesAgree()
        #expect(outcome.wasReadInBulk)
        #expect(sent.bytes == UInt64(size) && sent.files.count == 1 && sent.resumedBytes == 0)
        var hasher = MerkleHasher()
        Chunk(bytes).withBytes { hasher.update($0) }
        #expect(sent.root == hasher.root())
        #expect(Scratch.names(in: inbox) == ["disk.img"])
        var status = stat()
        #expect(stat(inbox + "/disk.img", &status) == 0 && status.st_mode & 0o777 == 0o700)
    }

    @Test func aFolderArrivesWithEverythingInIt() async throws {
        let notes = try scratch.folder("notes")
        _ = try scratch.folder("notes/deep")
        _ = try scratch.folder("notes/empty")
        try scratch.file("notes/a.txt", Array("a".utf8))
        try scratch.file("notes/.hidden", Array("h".utf8))
        try scratch.file("notes/deep/étude", Array("e".utf8))
        symlink("/etc/passwd", notes + "/link")
        mkfifo(notes + "/pipe", 0o600)
        let source = try SendSource(paths: [notes + "/"])
        #expect(source.skipped.map(\.reason) == ["a symlink", "a named pipe"])
        let outcome = try await transfer(source, to: .folder(folder))
        let sent = try outcome.sent.get()
        #expect(sent.files.count == 3 && sent.directories == 3 && sent.skipped.count == 2)
        #expect(Scratch.names(in: inbox) == ["notes"])
        #expect(Scratch.names(in: inbox + "/notes") == [".hidden", "a.txt", "deep", "empty"])
        #expect(try read(inbox + "/notes/deep/étude") == Array("e".utf8))
    }

    @Test func manySmallFilesDoNotWaitForEachOther() async throws {
        let many = try scratch.folder("many")
        for number in 0..<2000 { try scratch.file("many/\(number)", Array("\(number)".utf8)) }
        let outcome = try await transfer(try SendSource(paths: [many]), to: .folder(folder))
        #expect(try outcome.sent.get().files.count == 2000)
        #expect(Scratch.names(in: inbox + "/many").count == 2000)
        #expect(try read(inbox + "/many/1234") == Array("1234".utf8))
    }

    @Test(arguments: [0, 5, 700_000])
    func aStreamArrives(size: Int) async throws {
        var generator = SplitMix64(seed: 3)
        let bytes = generator.bytes(size)
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let (readEnd, writeEnd) = (ends[0], ends[1])
        defer { close(readEnd) }
        let writer = Task.detached {
            _ = Chunk(bytes).write(to: writeEnd, at: nil, range: 0..<size)
            close(writeEnd)
        }
        let outcome = try await transfer(try SendSource(stream: readEnd, name: "stdin"), to: .folder(folder))
        await writer.value
        #expect(try outcome.sent.get().bytes == UInt64(size))
        #expect(try read(inbox + "/stdin") == bytes)
    }

    @Test func anExistingFileIsNeverOverwritten() async throws {
        for round in 0..<3 {
            let path = try scratch.file("disk.img", Array("round \(round)".utf8))
            let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
            let name = round == 0 ? "disk.img" : "disk (\(round)).img"
            #expect(try outcome.sent.get().files.first?.storedPath == [name])
            #expect(try read(inbox + "/" + name) == Array("round \(round)".utf8))
        }
        #expect(Scratch.names(in: inbox) == ["disk (1).img", "disk (2).img", "disk.img"])
    }

    @Test func twoSendersOfOneNameBothArrive() async throws {
        let (first, second) = (try Scratch(), try Scratch())
        let sources = [
            try SendSource(paths: [try first.file("x", Array(repeating: 1, count: 3 << 20))]),
            try SendSource(paths: [try second.file("x", Array(repeating: 2, count: 3 << 20))]),
        ]
        let other = IdentityKey.generate().nodeID
        async let one = transfer(sources[0], to: .folder(folder))
        async let two = transfer(sources[1], to: .folder(folder), from: other)
        let outcomes = try await [one, two]
        let names = try outcomes.map { try #require(try $0.received.get().files.first).storedPath[0] }
        #expect(Set(names) == ["x", "x (1)"])
        for (name, byte) in zip(names, [1, 2]) {
            #expect(try read(inbox + "/" + name) == Array(repeating: UInt8(byte), count: 3 << 20))
        }
    }

    /// Another process has the partial file and does not give it back: this transfer takes one of its own.
    @Test func aPartialFileInUseIsWaitedForAndThenLeftAlone() async throws {
        let path = try scratch.file("x", Array(repeating: 1, count: 1 << 20))
        let sender = try #require(testSender)
        let name = ".x.dep2p-partial-" + TransferName.tag([sender.bytes, Array("x".utf8)])
        let inbox = try folder.open()
        guard
            case .partial(let lock, _) = try PartialFile.open(
                name, in: inbox.descriptor, create: true, pulse: TransferPulse())
        else {
            Issue.record("the partial file could not be locked")
            return
        }
        var timing = TransferTiming()
        timing.busy = .milliseconds(300)
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder), timing: timing)
        #expect(try outcome.sent.get().files.first?.storedPath == ["x"])
        #expect(try read(self.inbox + "/x") == Array(repeating: 1, count: 1 << 20))
        #expect(Scratch.names(in: self.inbox) == [name, "x"].sorted() && lock.name == name)
    }

    @Test func caseOnlyDiffersIsKeptApart() async throws {
        let both = try scratch.folder("both")
        try scratch.file("both/README", Array("1".utf8))
        try scratch.file("both/readme", Array("2".utf8))
        let outcome = try await transfer(try SendSource(paths: [both]), to: .folder(folder))
        #expect(try outcome.sent.get().files.count == 2)
        #expect(try read(inbox + "/both/README") == Array("1".utf8))
        #expect(try read(inbox + "/both/readme") == Array("2".utf8))
    }

    // MARK: Refusing

    @Test func tooLargeIsRefusedWithTheLimit() async throws {
        let path = try scratch.file("x", Array(repeating: 1, count: 1001))
        let outcome = try await transfer(
            try SendSource(paths: [path]), to: .folder(folder), policy: ReceivePolicy(maximumSize: 1000))
        #expect(outcome.sendError?.code == .tooLarge)
        #expect(outcome.sendError?.limit == 1000)
        #expect(Scratch.names(in: inbox).isEmpty)
    }

    @Test func aStreamIsStoppedAtTheLimit() async throws {
        let zero = open("/dev/zero", O_RDONLY)
        defer { close(zero) }
        let outcome = try await transfer(
            try SendSource(stream: zero), to: .folder(folder), policy: ReceivePolicy(maximumSize: 1 << 20))
        #expect(outcome.sendError?.code == .tooLarge)
        #expect(outcome.receiveError?.code == .tooLarge)
        #expect(!Scratch.names(in: inbox).contains("stdin"))
    }

    @Test func theOwnersRefusalReachesTheSender() async throws {
        let path = try scratch.file("x", [1])
        let policy = ReceivePolicy { offer, _ in .refuse(.notAllowed, "no \(offer.entries[0].name) from you") }
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder), policy: policy)
        #expect(outcome.sendError?.code == .notAllowed)
        #expect(outcome.sendError?.message == "no x from you")
        #expect(!outcome.wasReadInBulk)
    }

    @Test func moreThanTheDiskHoldsIsRefusedBeforehand() async throws {
        // Of nothing but data: of a hole the disk would hold as much.
        let entry = TransferEntry(kind: .file, path: ["huge"], size: 1 << 43)
        let page = OfferPage(entries: [entry], count: 1, totalSize: 1 << 43, more: false)
        let outcome = try await receive(try TransferSenderFrame.offer(page).encoded(), into: folder)
        #expect(outcome.error?.code == .noSpace)
        #expect(outcome.error?.limit == 1 << 43)
        #expect((outcome.error?.available ?? .max) < 1 << 43)
        #expect(Scratch.names(in: inbox).isEmpty)
    }

    // MARK: Sources

    @Test func whatCannotBeSentIsNamed() throws {
        let link = scratch.path + "/link"
        symlink("/etc/passwd", link)
        #expect(throws: TransferError(.notAFile, "")) { try SendSource(paths: [link]) }
        #expect(throws: TransferError(.notAFile, "")) { try SendSource(paths: ["/dev/null"]) }
        #expect(throws: TransferError(.notFound, "")) { try SendSource(paths: [scratch.path + "/none"]) }
        #expect(throws: TransferError(.notFound, "")) { try SendSource(paths: [""]) }
        let bad = try scratch.file("a\nb", [1])
        #expect(throws: TransferError(.badName, "")) { try SendSource(paths: [bad]) }
        let same = try scratch.file("x", [1])
        let twice = try SendSource(paths: [same, inbox + "/../x"])
        #expect(twice.unsent.map(\.error.code) == [.badName])
    }

    @Test func aFileThatChangesIsReportedAndTheOthersArrive() async throws {
        let all = try scratch.folder("all")
        try scratch.file("all/a", Array(repeating: 1, count: 100))
        try scratch.file("all/b", Array(repeating: 2, count: 100))
        try scratch.file("all/c", Array(repeating: 3, count: 100))
        let source = try SendSource(paths: [all])
        try #require(truncate(all + "/b", 50) == 0)
        let outcome = try await transfer(source, to: .folder(folder))
        let sent = try outcome.sent.get()
        #expect(sent.files.map(\.path) == [["all", "a"], ["all", "c"]])
        #expect(sent.failed.map(\.error.code) == [.changedWhileSending])
        #expect(try outcome.received.get().failed.map(\.error.code) == [.changedWhileSending])
        #expect(Scratch.names(in: inbox + "/all") == ["a", "c"])
    }

    @Test func aFileThatShrinksWhileBeingSentIsReported() async throws {
        let path = try scratch.file("log", Array(repeating: 7, count: 24 << 20))
        let source = try SendSource(paths: [path])
        let outcome = try await transfer(
            source, to: .folder(folder),
            receiverEvents: { event in
                if case .accepted = event { truncate(path, 20 << 20) }
            })
        #expect(try outcome.sent.get().failed.map(\.error.code) == [.changedWhileSending])
        #expect(!Scratch.names(in: inbox).contains("log"))
    }

    /// It has read the receipts, and is gone: that it says so may be lost, or come behind the end of the connection.
    @Test func aSenderThatClosesTheConnectionBehindTheReceiptsHasSent() async throws {
        let path = try scratch.file("x", Array("hello".utf8))
        let outcome = try await transfer(
            try SendSource(paths: [path]), to: .folder(folder), closesAtTheEnd: true)
        try outcome.expectBothSidesAgree()
        #expect(try read("\(inbox)/x") == Array("hello".utf8))
    }

    // MARK: Cancelling

    @Test(arguments: [true, false])
    func cancellingEitherSideTellsTheOther(senderCancels: Bool) async throws {
        let path = try scratch.file("x", Array(repeating: 9, count: 16 << 20))
        let source = try SendSource(paths: [path])
        let (left, right) = await LightStreamPair.make()
        let clock = await SystemNetworkClock.shared
        let accepted = await Waiter<Void>()
        let sender = try #require(testSender)
        let sending = networkTask {
            try await TransferSender(source: source).run(over: left, clock: clock)
        }
        let receiving = networkTask { [folder] in
            try await TransferReceiver(destination: .folder(folder)).run(over: right, from: sender, clock: clock) {
                if case .accepted = $0 { accepted.resume(returning: ()) }
            }
        }
        try await accepted.value()
        if senderCancels { sending.cancel() } else { receiving.cancel() }
        await #expect(throws: TransferError(.cancelled, "")) { try await sending.value }
        await #expect(throws: TransferError(.cancelled, "")) { try await receiving.value }
        #expect(!Scratch.names(in: inbox).contains("x"))
    }

    // MARK: To a descriptor

    @Test func oneFileGoesToADescriptor() async throws {
        let path = try scratch.file("x", Array("hello\n".utf8))
        let out = open(scratch.path + "/out", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        defer { close(out) }
        let outcome = try await transfer(try SendSource(paths: [path]), to: .descriptor(out))
        #expect(try outcome.sent.get().bytes == 6)
        #expect(try read(scratch.path + "/out") == Array("hello\n".utf8))
        let two = try await transfer(try SendSource(paths: [path, scratch.path + "/out"]), to: .descriptor(out))
        #expect(two.sendError?.code == .oneFileOnly)
    }

    @Test func aFullDeviceIsAClearError() async throws {
        let path = try scratch.file("x", Array(repeating: 1, count: 3 << 20))
        let full = open("/dev/full", O_WRONLY)
        defer { close(full) }
        let outcome = try await transfer(try SendSource(paths: [path]), to: .descriptor(full))
        #expect(outcome.sendError?.code == .noSpace)
        #expect(outcome.receiveError?.code == .noSpace)
    }
}

@NetworkActor
enum LightStreamPair {
    static func make() -> (LightStream, LightStream) { LightStream.pair() }
}
