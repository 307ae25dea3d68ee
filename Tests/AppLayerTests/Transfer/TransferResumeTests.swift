import DeP2PIdentity
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PApp

/// Interrupted transfers, continued by sending the same again.
@Suite struct TransferResumeTests {
    private let scratch: Scratch
    private let inbox: String
    private let folder: ReceiveFolder

    init() throws {
        scratch = try Scratch()
        inbox = scratch.path + "/inbox"
        folder = try ReceiveFolder(path: inbox)
    }

    private func partial(_ name: String = "disk.img", in folder: String? = nil) throws -> String {
        let folder = folder ?? inbox
        let found = Scratch.names(in: folder).filter { $0.hasPrefix(".\(name)\(TransferName.partialMark)") }
        return folder + "/" + (try #require(found.first, "no partial file of \(name)"))
    }

    /// Leaves about `bytes` of `path` in the inbox.
    private func interrupt(_ path: String, after bytes: Int) async throws {
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder), cutAfter: bytes)
        #expect(outcome.sendError?.code == .connectionLost)
        #expect(outcome.receiveError?.code == .connectionLost)
    }

    private func complete(_ path: String) async throws -> (summary: TransferSummary, wire: Int) {
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
        try outcome.expectBothSidesAgree()
        return (try outcome.sent.get(), outcome.bytesOnTheWire)
    }

    @Test func aCutAnywhereResumesAndLosesLessThanAPiece() async throws {
        var generator = SplitMix64(seed: 11)
        for round in 0..<12 {
            let size = 5 << 20 + Int.random(in: 0..<1 << 20, using: &generator)
            let bytes = generator.bytes(size)
            let path = try scratch.file("disk \(round)", bytes)
            let cut = Int.random(in: 0..<size, using: &generator)
            try await interrupt(path, after: cut)
            #expect(!Scratch.names(in: inbox).contains("disk \(round)"))
            let (summary, wire) = try await complete(path)
            #expect(try read(inbox + "/disk \(round)") == bytes, "cut at \(cut) of \(size)")
            // Before the cut there were the offer, and what the disk had not taken yet when the stream broke.
            #expect(Int(summary.resumedBytes) <= cut && wire < size - Int(summary.resumedBytes) + 4096)
        }
        #expect(Scratch.names(in: inbox).allSatisfy { !$0.hasPrefix(".") })
    }

    /// A killed sender leaves bytes that are read long after it: its next try waits for the end of that, and goes on.
    @Test func whatADeadSenderLeftToReadIsNoSignOfLife() async throws {
        var generator = SplitMix64(seed: 21)
        let bytes = generator.bytes(12 << 20)
        let path = try scratch.file("disk.img", bytes)
        let sender = try #require(testSender)
        let dying = networkTask { [folder] in
            let clock = SystemNetworkClock.shared
            let (left, right) = LightStream.pair()
            let cut = CutStream(right, after: 8 << 20, peerHeardAt: clock.now)
            let source = try SendSource(paths: [path])
            let sending = networkTask {
                try await TransferSender(source: source).run(over: left, clock: clock)
            }
            _ = try? await TransferReceiver(destination: .folder(folder)).run(over: cut, from: sender, clock: clock)
            _ = await sending.result
        }
        while try Scratch.names(in: inbox).allSatisfy({ try read(inbox + "/" + $0).count < 1 << 20 }) {
            try await Task.sleep(for: .milliseconds(5))
        }
        let (summary, _) = try await complete(path)
        try await dying.value
        #expect(summary.resumedBytes >= 4 << 20)
        #expect(try read(inbox + "/disk.img") == bytes)
        #expect(Scratch.names(in: inbox) == ["disk.img"])
    }

    @Test func repeatedCutsGetThereInTheEnd() async throws {
        var generator = SplitMix64(seed: 12)
        let bytes = generator.bytes(12 << 20)
        let path = try scratch.file("disk.img", bytes)
        var rounds = 0
        while !Scratch.names(in: inbox).contains("disk.img") {
            rounds += 1
            try #require(rounds < 40)
            _ = try await transfer(
                try SendSource(paths: [path]), to: .folder(folder),
                cutAfter: Int.random(in: 1 << 20..<4 << 20, using: &generator))
        }
        #expect(rounds > 3)
        #expect(try read(inbox + "/disk.img") == bytes)
    }

    enum Damage: CaseIterable, Sendable {
        case flippedByte
        case truncated
        case garbageAppended
        case longerThanTheFile
        case zeroed
        case emptied
    }

    @Test(arguments: Damage.allCases)
    func aDamagedPartialFileCostsNoMoreThanItself(damage: Damage) async throws {
        var generator = SplitMix64(seed: 13)
        let bytes = generator.bytes(6 << 20 + 77)
        let path = try scratch.file("disk.img", bytes)
        try await interrupt(path, after: 5 << 20)
        let held = try partial()
        var content = try read(held)
        switch damage {
        case .flippedByte: content[2 << 20 + 5] ^= 1
        case .truncated: content = Array(content.prefix(1 << 20 + 3))
        case .garbageAppended: content = content.prefix(2 << 20) + generator.bytes(1 << 20)
        case .longerThanTheFile: content = bytes + generator.bytes(1 << 20)
        case .zeroed: content = Array(repeating: 0, count: content.count)
        case .emptied: content = []
        }
        try write(content, to: held)
        let summary = try await complete(path).summary
        #expect(try read(inbox + "/disk.img") == bytes)
        switch damage {
        case .flippedByte, .garbageAppended: #expect(summary.resumedBytes == 2 << 20)
        case .truncated: #expect(summary.resumedBytes == 1 << 20)
        case .longerThanTheFile: #expect(summary.resumedBytes == UInt64(bytes.count))
        case .zeroed, .emptied: #expect(summary.resumedBytes == 0)
        }
    }

    @Test func anotherVersionOfTheFileReplacesWhatIsHeld() async throws {
        var generator = SplitMix64(seed: 14)
        var bytes = generator.bytes(4 << 20)
        let path = try scratch.file("disk.img", bytes)
        try await interrupt(path, after: 3 << 20)
        bytes.replaceSubrange(1 << 20..<1 << 20 + 4, with: [1, 2, 3, 4])
        try write(bytes, to: path)
        let summary = try await complete(path).summary
        #expect(summary.resumedBytes == 1 << 20)
        #expect(try read(inbox + "/disk.img") == bytes)
    }

    @Test func whatOneSenderLeftIsNotShownToAnother() async throws {
        var generator = SplitMix64(seed: 15)
        let path = try scratch.file("disk.img", generator.bytes(4 << 20))
        try await interrupt(path, after: 3 << 20)
        let other = IdentityKey.generate().nodeID
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder), from: other)
        #expect(try outcome.sent.get().resumedBytes == 0)
        _ = try partial()
    }

    @Test func aFolderContinuesWithoutDuplicates() async throws {
        var generator = SplitMix64(seed: 16)
        let all = try scratch.folder("all")
        for number in 0..<6 { try scratch.file("all/\(number)", generator.bytes(1 << 20)) }
        try scratch.file("all/empty", [])
        let first = try await transfer(try SendSource(paths: [all]), to: .folder(folder), cutAfter: 9 << 19)
        #expect(first.receiveError?.code == .connectionLost)
        let stored = Scratch.names(in: inbox + "/all").filter { !$0.hasPrefix(".") }
        // Files become durable beside the transfer, so how many were when it broke is not known.
        #expect((0...5).contains(stored.count))
        let outcome = try await transfer(try SendSource(paths: [all]), to: .folder(folder))
        #expect(try outcome.sent.get().resumedBytes >= UInt64(max(stored.count, 2)) << 20)
        #expect(outcome.bytesOnTheWire < (7 - stored.count) << 20)
        #expect(Scratch.names(in: inbox + "/all") == ["0", "1", "2", "3", "4", "5", "empty"])
        #expect(Scratch.names(in: inbox) == ["all"])
        for number in 0..<6 { #expect(try read(inbox + "/all/\(number)") == read(all + "/\(number)")) }
    }

    /// Whoever let go of it may live a moment longer.
    @Test func whatATransferHasNotedIsTheNextOnesAtOnce() throws {
        let handle = try folder.open()
        let first = try #require(ResumeJournal.open(in: handle, of: [[1]]))
        let root = try #require(MerkleRoot(bytes: [UInt8](repeating: 7, count: 32)))
        let line = ResumeJournal.Line(path: ["a"], storedPath: ["a"], size: 1, root: root, inode: 2, modified: 3)
        first.append([line])
        first.close(confirmed: false)
        let second = try #require(ResumeJournal.open(in: handle, of: [[1]]))
        #expect(second.lines() == [line])
        withExtendedLifetime(first) {}
    }

    @Test func aStoredFileThatChangedSinceIsNotTakenForTheSame() async throws {
        var generator = SplitMix64(seed: 17)
        let all = try scratch.folder("all")
        for number in 0..<3 { try scratch.file("all/\(number)", generator.bytes(1 << 20)) }
        _ = try await transfer(try SendSource(paths: [all]), to: .folder(folder), cutAfter: 5 << 19)
        let stored = inbox + "/all/0"
        let mine = generator.bytes(1 << 20)
        try write(mine, to: stored)
        _ = try await transfer(try SendSource(paths: [all]), to: .folder(folder))
        #expect(try read(stored) == mine)
        #expect(try read(inbox + "/all/0 (1)") == read(all + "/0"))
    }

    @Test func aStreamContinuesToo() async throws {
        var generator = SplitMix64(seed: 18)
        let bytes = generator.bytes(5 << 20 + 9)
        let path = try scratch.file("content", bytes)
        func send(cutAfter: Int) async throws -> TransferOutcome {
            let input = open(path, O_RDONLY)
            defer { close(input) }
            return try await transfer(try SendSource(stream: input), to: .folder(folder), cutAfter: cutAfter)
        }
        _ = try await send(cutAfter: 4 << 20)
        let outcome = try await send(cutAfter: .max)
        #expect(try read(inbox + "/stdin") == bytes)
        #expect(try outcome.sent.get().resumedBytes >= 1 << 20)
        #expect(outcome.bytesOnTheWire < 4 << 20 + 9)
    }

    @Test func aSparePartialLongerThanAStreamIsCutOff() async throws {
        var generator = SplitMix64(seed: 19)
        let bytes = generator.bytes(3 << 20)
        let path = try scratch.file("content", bytes)
        let cut = open(path, O_RDONLY)
        _ = try await transfer(try SendSource(stream: cut), to: .folder(folder), cutAfter: 5 << 19)
        close(cut)
        try write(Array(bytes.prefix(1 << 20 + 4)), to: path)
        let input = open(path, O_RDONLY)
        defer { close(input) }
        let outcome = try await transfer(try SendSource(stream: input), to: .folder(folder))
        #expect(try outcome.sent.get().bytes == 1 << 20 + 4)
        #expect(try read(inbox + "/stdin") == Array(bytes.prefix(1 << 20 + 4)))
    }

    /// The disk takes no more bytes in the middle: a clear error on both sides, and the rest later.
    @Test func aFullDiskKeepsWhatCame() async throws {
        let mount = try scratch.folder("small")
        guard Glibc.mount("tmpfs", mount, "tmpfs", 0, "size=8m") == 0 else {
            Issue.record("mounting a small tmpfs failed (\(String(cString: strerror(errno)))): run this test as root")
            return
        }
        defer { umount2(mount, Int32(MNT_DETACH)) }
        let small = try ReceiveFolder(path: mount)
        var generator = SplitMix64(seed: 20)
        let bytes = generator.bytes(6 << 20)
        let path = try scratch.file("disk.img", bytes)
        // Room there is when the offer comes, and gone while the bytes arrive.
        let filler = mount + "/filler"
        let outcome = try await transfer(
            try SendSource(paths: [path]), to: .folder(small),
            policy: ReceivePolicy(),
            receiverEvents: { event in
                if case .accepted = event { try? write(Array(repeating: 1, count: 5 << 20), to: filler) }
            })
        #expect(outcome.sendError?.code == .noSpace)
        #expect(outcome.receiveError?.code == .noSpace)
        #expect(!Scratch.names(in: mount).contains("disk.img"))
        unlink(filler)
        let again = try await transfer(try SendSource(paths: [path]), to: .folder(small))
        #expect(try again.sent.get().resumedBytes >= 1 << 20)
        #expect(try read(mount + "/disk.img") == bytes)
    }
}
