import DeP2PQUIC
import Glibc
import Testing

@testable import DeP2PApp

/// What is found and sent, and what is named as not sent (issue 8: success without the work, all or nothing).
@Suite struct SendSourceTests {
    private let scratch: Scratch
    private let inbox: String
    private let folder: ReceiveFolder

    init() throws {
        scratch = try Scratch()
        inbox = scratch.path + "/inbox"
        folder = try ReceiveFolder(path: inbox)
    }

    private func make(_ name: [UInt8], in folder: String) throws {
        let path = Array(folder.utf8) + [UInt8(ascii: "/")] + name
        let descriptor = path.withCString { open($0, O_WRONLY | O_CREAT, 0o644) }
        try #require(descriptor >= 0)
        close(descriptor)
    }

    @Test func namesThatCannotTravelAreFailuresAndTheRestArrives() async throws {
        let names: [[UInt8]] = [
            Array("two\nlines".utf8), Array("tab\ttab".utf8), Array("latin-".utf8) + [0xe9],
            Array("bidi\u{202e}".utf8), Array(".dep2p-resume-x".utf8), Array("e\u{301}".utf8), Array("\u{e9}".utf8),
        ]
        let path = try scratch.folder("d")
        for name in names { try make(name, in: path) }
        try scratch.file("d/plain", [1])
        let source = try SendSource(paths: [path])
        #expect(source.skipped.isEmpty)
        #expect(source.unsent.allSatisfy { $0.error.code == .badName })
        // Of the twins, the first arrives.
        let expected = names.dropLast(2) + [names[6]]
        let prefix = Array(path.utf8) + [UInt8(ascii: "/")]
        #expect(Set(source.unsent.map(\.path)) == Set(expected.map { prefix + $0 }))
        let sent = try await transfer(source, to: .folder(folder)).sent.get()
        #expect(sent.files.count == 2 && sent.unsent == source.unsent)
        #expect(Scratch.names(in: inbox + "/d") == ["plain", "\u{e9}"])
    }

    @Test func whatLiesTooDeepIsAFailure() throws {
        var path = try scratch.folder("deep")
        for _ in 1..<70 {
            path += "/d"
            try #require(mkdir(path, 0o700) == 0)
        }
        try write([1], to: path + "/f")
        let source = try SendSource(paths: [scratch.path + "/deep"])
        #expect(source.offer.entries.count == TransferLimits.depth)
        #expect(source.unsent.map(\.error.code) == [.badName])
        #expect(source.unsent.first?.error.message.contains("more than 64 folders deep") == true)
    }

    @Test func oneNameThatIsMissingDoesNotKeepTheOthers() throws {
        let file = try scratch.file("here", [1])
        let link = scratch.path + "/link"
        symlink("here", link)
        let source = try SendSource(paths: [scratch.path + "/none", file, link, "/dev/null", ""])
        #expect(source.offer.entries.map(\.path) == [["here"]])
        #expect(source.unsent.map(\.error.code) == [.notFound, .notAFile, .notAFile, .notFound])
        let (nothing, unsent) = try SendSource.find([Array("/dev/null".utf8), Array("/nowhere".utf8)])
        #expect(nothing == nil && unsent.count == 2)
    }

    /// A file that turned into something else between finding and opening stands for one that may not be read: tests run
    /// as root, who may read all.
    @Test func aFileThatCannotBeOpenedDoesNotKeepTheOthers() async throws {
        let path = try scratch.folder("d")
        for number in 1...9 { try scratch.file("d/\(number)", [UInt8(number)]) }
        let source = try SendSource(paths: [path])
        try #require(unlink(path + "/5") == 0 && symlink("/etc/passwd", path + "/5") == 0)
        let outcome = try await transfer(source, to: .folder(folder))
        #expect(try outcome.sent.get().failed.map(\.error.code) == [.fileAccess])
        #expect(Scratch.names(in: inbox + "/d").count == 8)
    }

    @Test func aFolderThatIsReplacedIsNotRead() async throws {
        let path = try scratch.folder("d")
        try scratch.file("d/a", [1])
        let source = try SendSource(paths: [path])
        try #require(rename(path, path + "-before") == 0)
        _ = try scratch.folder("d")
        try scratch.file("d/a", [2])
        let outcome = try await transfer(source, to: .folder(folder))
        #expect(try outcome.sent.get().failed.map(\.error.code) == [.fileAccess])
    }

    @Test func filesOfTheKernelArriveWhole() async throws {
        let paths = [
            "/proc/cpuinfo", "/proc/self/limits", "/sys/kernel/mm/transparent_hugepage/enabled", "/proc/version",
        ]
        let outcome = try await transfer(try SendSource(paths: paths), to: .folder(folder))
        #expect(try outcome.sent.get().files.count == 4)
        for name in ["limits", "enabled", "version"] {
            let source = try #require(paths.first { $0.hasSuffix("/" + name) })
            let chunk = Chunk(capacity: 65536)
            let descriptor = open(source, O_RDONLY)
            defer { close(descriptor) }
            #expect(try chunk.read(from: descriptor, at: nil).get() > 0)
            #expect(try read(inbox + "/" + name) == chunk.array(), "\(name)")
        }
        #expect(try read(inbox + "/cpuinfo").count > 100)
    }

    @Test func aLargeOneOfThemIsAStreamAndASecondIsNamed() throws {
        var sizes = UnknownSizes()
        let large = try scratch.file("large", Array(repeating: 1, count: UnknownSizes.mostBytes + 1))
        let bytes = Array(large.utf8)
        guard case .stream = try sizes.read(bytes, in: nil, shown: "") else {
            Issue.record("not a stream")
            return
        }
        #expect(throws: TransferError(.fileAccess, "")) { try sizes.read(bytes, in: nil, shown: "") }
    }

    @Test func aThousandFoldersOnOneLineTakeNoDescriptors() async throws {
        let paths = try (0..<1000).map { number in
            let path = try scratch.folder("\(number)")
            try scratch.file("\(number)/f", Array("\(number)".utf8))
            return path
        }
        let before = Scratch.names(in: "/proc/self/fd").count
        let source = try SendSource(paths: paths)
        #expect(Scratch.names(in: "/proc/self/fd").count - before < 100)
        let outcome = try await transfer(source, to: .folder(folder))
        #expect(try outcome.sent.get().files.count == 1000)
        #expect(try read(inbox + "/777/f") == Array("777".utf8))
    }

    // MARK: Files that change

    @Test func aGrowingLogIsSentAsLongAsItWas() async throws {
        let path = try scratch.file("log", Array(repeating: 7, count: 3 << 20))
        let source = try SendSource(paths: [path])
        let append: @Sendable () -> Void = {
            let descriptor = open(path, O_WRONLY | O_APPEND)
            _ = Chunk([9, 9, 9]).write(to: descriptor, at: nil)
            close(descriptor)
        }
        append()
        let outcome = try await transfer(
            source, to: .folder(folder), receiverEvents: { if case .accepted = $0 { append() } })
        #expect(try outcome.sent.get().failed.isEmpty)
        #expect(try read(inbox + "/log") == Array(repeating: 7, count: 3 << 20))
    }

    @Test func aFileWrittenToInPlaceIsReported() throws {
        let path = try scratch.file("data", Array(repeating: 7, count: 3 << 20))
        let past = timespec(tv_sec: 1_000_000_000, tv_nsec: 0)
        try #require(utimensat(AT_FDCWD, path, [past, past], 0) == 0)
        let reader = SourceReader(source: try SendSource(paths: [path]), held: [:])
        var batch = try reader.nextBatch()
        let descriptor = open(path, O_WRONLY)
        defer { close(descriptor) }
        try Chunk([9]).write(to: descriptor, at: 0).get()
        var events = batch.events
        while !batch.isLast {
            batch = try reader.nextBatch()
            events += batch.events
        }
        guard case .unsent(0, let error)? = events.first else {
            Issue.record("the file was sent")
            return
        }
        #expect(error.code == .changedWhileSending && events.count == 1)
    }
}
