import DeP2PIdentity
import DeP2PQUIC
import DeP2PReactor
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PApp

/// What happens to the output folder, and to what lies in it, while a receiver runs.
@Suite struct ReceiveFolderTests {
    private let scratch: Scratch
    private let inbox: String
    private let folder: ReceiveFolder

    init() throws {
        scratch = try Scratch()
        inbox = scratch.path + "/inbox"
        folder = try ReceiveFolder(path: inbox)
    }

    private func send(_ name: String, _ content: String) async throws -> TransferredFile {
        let path = try scratch.file(name, Array(content.utf8))
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
        return try #require(try outcome.received.get().files.first)
    }

    // MARK: Small files

    /// A small file has no name until it is whole; a larger one is kept under its partial name, to be continued.
    @Test func whatIsCutOffLeavesNoSmallPartialFile() throws {
        let sender = try #require(testSender)
        for (size, isKept) in [(TransferLimits.unnamedFile, false), (TransferLimits.unnamedFile + 1, true)] {
            let offer = try TransferOffer(entries: [TransferEntry(kind: .file, path: ["x"], size: size)])
            let sink = FolderSink(
                folder: try folder.open(), offer: offer, sender: sender, partials: 1, pulse: TransferPulse(),
                mayRefuseFiles: false)
            try sink.prepare(PartialPatience(since: NetworkInstant(nanoseconds: 0), isOver: true))
            let results = try sink.write([.start(index: 0, offset: 0), .data(Chunk([1, 2, 3, 4]), 0..<4)])
            #expect(results.isEmpty)
            #expect(Scratch.names(in: inbox).contains { $0.hasPrefix(".x.dep2p-partial-") } == isKept)
            sink.finish(confirmed: false)
        }
    }

    /// Where a file system refuses the name that says what a partial file is of, it has none but its tag.
    @Test func whatWasCutOffIsFoundUnderItsTagAlone() throws {
        let sender = try #require(testSender)
        // Of which a whole piece is there.
        let (size, there) = (UInt64(3) << 20, 2 << 20)
        let offer = try TransferOffer(entries: [TransferEntry(kind: .file, path: ["x"], size: size)])
        let patience = PartialPatience(since: NetworkInstant(nanoseconds: 0), isOver: true)
        func open() throws -> FolderSink {
            let sink = FolderSink(
                folder: try folder.open(), offer: offer, sender: sender, partials: 1, pulse: TransferPulse(),
                mayRefuseFiles: false)
            try sink.prepare(patience)
            while try sink.hashHeld() {}
            return sink
        }
        let first = try open()
        let bytes = [UInt8](repeating: 7, count: there)
        _ = try first.write([.start(index: 0, offset: 0), .data(Chunk(bytes), 0..<there)])
        first.finish(confirmed: false)
        let name = try #require(Scratch.names(in: inbox).first { $0.hasPrefix(".x.dep2p-partial-") })
        #expect(rename("\(inbox)/\(name)", "\(inbox)/\(name.replacing(".x.", with: "..", maxReplacements: 1))") == 0)
        #expect(try open().claims.map(\.index) == [0])
    }

    /// Small files come to be as others do: numbered beside what has their name, executable, with their time.
    @Test func aSmallFileHasModeAndTimeAndIsNumbered() async throws {
        let path = try scratch.file("tool", Array("#!/bin/sh\n".utf8))
        chmod(path, 0o755)
        utimensat(AT_FDCWD, path, [timespec(tv_sec: 5, tv_nsec: 7), timespec(tv_sec: 5, tv_nsec: 7)], 0)
        for name in ["tool", "tool (1)", "tool (2)"] {
            let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
            #expect(try outcome.received.get().files.first?.storedPath == [name])
            var status = stat()
            #expect(stat(inbox + "/" + name, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o700 && status.st_mtim.tv_sec == 5 && status.st_mtim.tv_nsec == 7)
        }
        #expect(Scratch.names(in: inbox) == ["tool", "tool (1)", "tool (2)"])
    }

    /// Reading folders has an end: beyond so many names, each partial file is looked for by itself.
    @Test func partialFilesAreListedUpToALimit() throws {
        let handle = try folder.open()
        let name = ".x.dep2p-partial-0123456789abcdef"
        for other in ["a", "b", name] { try scratch.file("inbox/" + other, []) }
        let missing = ".y.dep2p-partial-0123456789abcdef"
        // Five with the folder itself and the one above.
        for (limit, mayBeThere) in [(5, false), (4, true)] {
            var listing = PartialListing(limit: limit)
            let (holdsName, holdsMissing) = (
                listing.mayHold(name, in: handle.descriptor), listing.mayHold(missing, in: handle.descriptor)
            )
            #expect(holdsName && holdsMissing == mayBeThere)
        }
    }

    // MARK: The folder's name

    @Test func aFolderMadeAnewIsTheOneThatIsReceivedInto() async throws {
        rmdir(inbox)
        mkdir(inbox, 0o700)
        let file = try await send("x", "one")
        #expect(file.location == Array((inbox + "/x").utf8))
        #expect(Scratch.names(in: inbox) == ["x"])
    }

    @Test func aFolderThatIsGoneIsMadeAgain() async throws {
        rmdir(inbox)
        _ = try await send("x", "one")
        #expect(Scratch.names(in: inbox) == ["x"])
    }

    @Test func aRenamedFolderIsNotTheOneOfItsOldName() async throws {
        _ = try await send("x", "one")
        rename(inbox, scratch.path + "/away")
        let file = try await send("y", "two")
        #expect(file.location == Array((inbox + "/y").utf8))
        #expect(Scratch.names(in: scratch.path + "/away") == ["x"] && Scratch.names(in: inbox) == ["y"])
    }

    @Test func aFolderRenamedMeanwhileIsNamedAsItIs() async throws {
        let path = try scratch.file("x", Array(repeating: 1, count: 4 << 20))
        let (from, to) = (inbox, scratch.path + "/away")
        let outcome = try await transfer(
            try SendSource(paths: [path]), to: .folder(folder),
            receiverEvents: { event in if case .accepted = event { rename(from, to) } })
        let file = try #require(try outcome.received.get().files.first)
        #expect(file.location == Array((to + "/x").utf8))
        #expect(Scratch.names(in: to) == ["x"])
    }

    @Test func somethingElseInTheFoldersPlaceIsAnErrorWithoutThePath() async throws {
        rmdir(inbox)
        try scratch.file("inbox", [1])
        let path = try scratch.file("x", [1])
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
        #expect(outcome.sendError?.code == .fileAccess && outcome.sendError?.speaker == .receiver)
        #expect(outcome.sendError?.message.contains(scratch.path) == false)
        unlink(inbox)
        _ = try await send("x", "one")
        #expect(Scratch.names(in: inbox) == ["x"])
    }

    @Test func aSubfolderRemovedMeanwhileIsMadeAgain() async throws {
        let all = try scratch.folder("all")
        for name in ["a", "b"] { try scratch.file("all/\(name)", Array(repeating: 7, count: 9 << 20)) }
        let target = inbox + "/all"
        let gone = scratch.path + "/gone"
        let outcome = try await transfer(
            try SendSource(paths: [all]), to: .folder(folder),
            receiverEvents: { event in if case .stored = event { rename(target, gone) } })
        #expect(try outcome.received.get().files.count == 2)
        #expect(Scratch.names(in: gone) + Scratch.names(in: target) == ["a", "b"])
    }

    // MARK: Partial files

    private func age(_ path: String, seconds: Int64) {
        let time = timespec(tv_sec: Int(PartialSweep.wallClockSeconds() - seconds), tv_nsec: 0)
        utimensat(AT_FDCWD, path, [time, time], 0)
    }

    private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    private func leave(_ name: String, in folder: String? = nil, bytes: Int = 1000, age seconds: Int64) throws -> String
    {
        let path = (folder ?? inbox) + "/.\(name).dep2p-partial-0123456789abcdef"
        try write(Array(repeating: 1, count: bytes), to: path)
        age(path, seconds: seconds)
        return path
    }

    @Test func partialFilesThatNobodyContinuesGo() async throws {
        mkdir(inbox + "/deep", 0o700)
        let old = try leave("old", age: TransferLimits.partialAge + 10)
        let deep = try leave("deep", in: inbox + "/deep", age: TransferLimits.partialAge + 10)
        let journal = inbox + "/.dep2p-resume-0123456789abcdef"
        try write([1], to: journal)
        age(journal, seconds: TransferLimits.partialAge + 10)
        let young = try leave("young", age: TransferLimits.partialAge - 3600)
        let foreign = inbox + "/.old.dep2p-partial-XYZ"
        try write([1], to: foreign)
        age(foreign, seconds: TransferLimits.partialAge + 10)
        _ = try await send("x", "one")
        #expect([old, deep, journal].filter { exists($0) } == [])
        #expect([young, foreign].filter { exists($0) } == [young, foreign])
    }

    @Test func aPartialFileInUseStays() throws {
        let handle = try folder.open()
        let path = try leave("used", age: TransferLimits.partialAge + 10)
        let name = String(path.split(separator: "/").last ?? "")
        let opened = try PartialFile.open(name, in: handle.descriptor, create: false, pulse: TransferPulse())
        PartialSweep.removeAged(from: handle)
        #expect(access(path, F_OK) == 0)
        withExtendedLifetime(opened) {}
    }

    /// An offer is only words: whoever has left something here may still come for it.
    @Test func anOfferThatDoesNotFitRemovesNothing() async throws {
        let left = try leave("left", bytes: 100_000, age: 3600)
        let entry = TransferEntry(kind: .file, path: ["huge"], size: 1 << 62)
        let sink = FolderSink(
            folder: try folder.open(), offer: try TransferOffer(entries: [entry]), sender: try #require(testSender),
            partials: 4, pulse: TransferPulse(), mayRefuseFiles: true)
        let patience = PartialPatience(since: NetworkInstant(nanoseconds: 0), isOver: false)
        #expect(throws: TransferError(.noSpace, "")) { try sink.prepare(patience) }
        sink.finish(confirmed: false)
        #expect(exists(left))
    }

    @Test func aNameThatManyHaveIsTakenAllTheSame() async throws {
        try write([1], to: inbox + "/x")
        for number in 1..<TransferLimits.numberedNames { try write([1], to: inbox + "/x (\(number))") }
        let file = try await send("x", "one")
        #expect(file.storedPath[0].hasPrefix("x (") && exists(inbox + "/" + file.storedPath[0]))
    }

    /// A changed source takes over what its earlier version left, whatever its size.
    @Test func theNextVersionOfAFileLeavesNoPartialFileOfTheLast() async throws {
        var generator = SplitMix64(seed: 91)
        let bytes = generator.bytes(6 << 20)
        let path = try scratch.file("log", bytes)
        _ = try await transfer(try SendSource(paths: [path]), to: .folder(folder), cutAfter: 4 << 20)
        try #require(Scratch.names(in: inbox).contains { $0.hasPrefix(".log.dep2p-partial-") })
        let grown = bytes + generator.bytes(100_000)
        try write(grown, to: path)
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
        #expect(try outcome.sent.get().resumedBytes >= 2 << 20)
        #expect(Scratch.names(in: inbox) == ["log"])
        #expect(try read(inbox + "/log") == grown)
    }

    /// A sender that goes while a million folders are made need not be waited for.
    @Test func whoGivesUpMakesNoMoreFolders() throws {
        let sender = try #require(testSender)
        let entries = (0..<50).map { TransferEntry(kind: .directory, path: ["top", "\($0)"], size: nil) }
        let offer = try TransferOffer(entries: entries)
        let sink = FolderSink(
            folder: try folder.open(), offer: offer, sender: sender, partials: 1, pulse: TransferPulse(),
            mayRefuseFiles: false)
        try sink.prepare(PartialPatience(since: NetworkInstant(nanoseconds: 0), isOver: true))
        sink.giveUp()
        let error = #expect(throws: TransferError.self) { try sink.makeFolders() }
        #expect(error?.code == .cancelled && !Scratch.names(in: inbox).contains("top"))
    }

    // MARK: One name, several at once

    @Test func filesOfOneNameFromOneSenderAtOnceAllArrive() async throws {
        var sources: [SendSource] = []
        for number in 0..<4 {
            _ = try scratch.folder("\(number)")
            let content = Array(repeating: UInt8(number), count: 3 << 20)
            sources.append(try SendSource(paths: [scratch.file("\(number)/x", content)]))
        }
        let outcomes = try await withThrowingTaskGroup(of: TransferOutcome.self) { group in
            for source in sources { group.addTask { [folder] in try await transfer(source, to: .folder(folder)) } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        for outcome in outcomes { _ = try outcome.received.get() }
        let names = Scratch.names(in: inbox)
        #expect(names == ["x", "x (1)", "x (2)", "x (3)"])
        let contents = try names.map { try read(inbox + "/" + $0)[0] }
        #expect(contents.sorted() == [0, 1, 2, 3])
    }

    @Test func streamsOfOneSenderAtOnceAllArrive() async throws {
        let outcomes = try await withThrowingTaskGroup(of: TransferOutcome.self) { group in
            for number in 0..<3 {
                let path = try scratch.file("\(number)", Array(repeating: UInt8(number), count: 2 << 20))
                let input = open(path, O_RDONLY)
                group.addTask { [folder] in
                    defer { close(input) }
                    return try await transfer(try SendSource(stream: input), to: .folder(folder))
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        for outcome in outcomes { _ = try outcome.received.get() }
        #expect(Scratch.names(in: inbox) == ["stdin", "stdin (1)", "stdin (2)"])
    }

    /// Two names that are made under one: neither is lost.
    @Test func namesThatEndUpAlikeAreKeptApart() async throws {
        let one = try scratch.file(".x", Array("1".utf8))
        let two = try scratch.file("_.x", Array("2".utf8))
        let outcome = try await transfer(try SendSource(paths: [one, two]), to: .folder(folder))
        #expect(try outcome.sent.get().files.count == 2)
        #expect(Scratch.names(in: inbox) == ["_ (1).x", "_.x"])
    }

    // MARK: Room

    private func withSmallDisk(_ body: (ReceiveFolder, String) async throws -> Void) async throws {
        let mount = try scratch.folder("small")
        guard Glibc.mount("tmpfs", mount, "tmpfs", 0, "size=16m") == 0 else {
            Issue.record("mounting a small tmpfs failed (\(String(cString: strerror(errno)))): run this test as root")
            return
        }
        defer { umount2(mount, Int32(MNT_DETACH)) }
        try await body(try ReceiveFolder(path: mount), mount)
    }

    @Test func ofTwoThatFitAloneOneArrives() async throws {
        let paths = try (0..<2).map { try scratch.file("big\($0)", Array(repeating: 1, count: 10 << 20)) }
        let sources = try paths.map { try SendSource(paths: [$0]) }
        try await withSmallDisk { small, mount in
            let outcomes = try await withThrowingTaskGroup(of: TransferOutcome.self) { group in
                for source in sources { group.addTask { try await transfer(source, to: .folder(small)) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            let errors = outcomes.compactMap(\.sendError)
            #expect(errors.map(\.code) == [.noSpace])
            #expect(errors.first?.message.contains("beside the") == true || errors.first?.available ?? 0 < 10 << 20)
            #expect(Scratch.names(in: mount).count == 1)
        }
    }

    @Test func whatNobodyFinishesIsNotInTheWay() async throws {
        let path = try scratch.file("big", Array(repeating: 1, count: 10 << 20))
        let source = try SendSource(paths: [path])
        try await withSmallDisk { small, mount in
            let older = try leave("older", in: mount, bytes: 5 << 20, age: 100)
            let newer = try leave("newer", in: mount, bytes: 4 << 20, age: 50)
            let outcome = try await transfer(source, to: .folder(small))
            _ = try outcome.received.get()
            // No more than had to go, the oldest first.
            #expect(access(older, F_OK) != 0 && access(newer, F_OK) == 0)
        }
    }
}
