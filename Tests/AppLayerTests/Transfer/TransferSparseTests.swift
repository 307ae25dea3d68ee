import DeP2PIdentity
import DeP2PQUIC
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PApp

/// Files with holes, and zeros that travel as a number (field fault D17).
@Suite struct TransferSparseTests {
    private let scratch: Scratch
    private let inbox: String
    private let folder: ReceiveFolder

    private static let mebibyte = 1 << 20

    init() throws {
        scratch = try Scratch()
        inbox = scratch.path + "/inbox"
        folder = try ReceiveFolder(path: inbox)
    }

    /// A file of so many bytes with `data` at its places and holes elsewhere.
    private func sparse(_ name: String, size: UInt64, data: [UInt64: [UInt8]] = [:]) throws -> String {
        let path = scratch.path + "/" + name
        let descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        try #require(ftruncate(descriptor, off_t(size)) == 0)
        for (offset, bytes) in data { try Chunk(bytes).write(to: descriptor, at: offset).get() }
        return path
    }

    private static func status(_ path: String) throws -> FileStatus {
        var status = stat()
        try #require(stat(path, &status) == 0, "\(path): \(String(cString: strerror(errno)))")
        return FileStatus(status)
    }

    private static func bytes(_ path: String, at offset: UInt64, count: Int) throws -> [UInt8] {
        let descriptor = open(path, O_RDONLY)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let chunk = Chunk(capacity: count)
        while case .success(let read) = chunk.read(from: descriptor, at: offset + UInt64(chunk.count)), read > 0 {}
        return chunk.array()
    }

    private func mounted(_ size: String, _ body: (String) async throws -> Void) async throws {
        let mount = try scratch.folder("small")
        guard Glibc.mount("tmpfs", mount, "tmpfs", 0, "size=\(size)") == 0 else {
            Issue.record("mounting a small tmpfs failed (\(String(cString: strerror(errno)))): run this test as root")
            return
        }
        defer { umount2(mount, Int32(MNT_DETACH)) }
        try await body(mount)
    }

    // MARK: End to end

    @Test func aFileMuchLargerThanTheDiskArrivesWithItsHoles() async throws {
        var generator = SplitMix64(seed: 51)
        let size: UInt64 = 1 << 40
        let places: [UInt64] = [0, 12_345_678_901, size - 70_000]
        var data: [UInt64: [UInt8]] = [:]
        for place in places { data[place] = generator.bytes(70_000) }
        let path = try sparse("disk.img", size: size, data: data)
        try await mounted("4m") { mount in
            let outcome = try await transfer(
                try SendSource(paths: [path]), to: .folder(try ReceiveFolder(path: mount)))
            #expect(try outcome.sent.get().files.first?.size == size)
            #expect(outcome.bytesOnTheWire < 300_000)
            let arrived = mount + "/disk.img"
            #expect(try Self.status(arrived).size == size)
            #expect(try Self.status(arrived).allocated < 1 << 20)
            for (place, bytes) in data { #expect(try Self.bytes(arrived, at: place, count: 70_000) == bytes) }
            #expect(try Self.bytes(arrived, at: 1 << 39, count: 100_000).allSatisfy { $0 == 0 })
        }
    }

    @Test(arguments: [[0, 1, 0], [1, 0], [0], [0, 1]])
    func holesStayHoles(pattern: [UInt8]) async throws {
        var generator = SplitMix64(seed: 52)
        var data: [UInt64: [UInt8]] = [:]
        for (place, kind) in pattern.enumerated() where kind == 1 {
            data[UInt64(place) << 21] = generator.bytes(2 << 20)
        }
        let path = try sparse("image", size: UInt64(pattern.count) << 21, data: data)
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
        #expect(try outcome.sent.get().bytes == UInt64(pattern.count) << 21)
        #expect(try read(inbox + "/image") == read(path))
        #expect(outcome.bytesOnTheWire < data.count * (2 << 20) + 10_000)
        #expect(try Self.status(inbox + "/image").allocated <= UInt64(data.count * (2 << 20) + 10_000))
    }

    /// As cp(1) does: who has given a file its room wants to keep it.
    @Test func whatWasWrittenIsWritten() async throws {
        let path = try scratch.file("zeros", Array(repeating: 0, count: 4 << 20))
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
        #expect(try outcome.sent.get().bytes == 4 << 20)
        #expect(try Self.status(inbox + "/zeros").allocated >= 4 << 20)
    }

    /// Random holes and zeros of every length: what arrives is what was there.
    @Test func anyMixtureArrives() async throws {
        var generator = SplitMix64(seed: 53)
        for round in 0..<20 {
            var (bytes, data, position) = ([UInt8](), [UInt64: [UInt8]](), 0)
            for _ in 0..<Int.random(in: 1...12, using: &generator) {
                let count = [1, 500, 4096, 16_384, 20_000, 70_000, 300_000].randomElement(using: &generator) ?? 1
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes += Array(repeating: 0, count: count)
                case 1:
                    data[UInt64(position)] = Array(repeating: 0, count: count)
                    bytes += Array(repeating: 0, count: count)
                default:
                    let random = generator.bytes(count)
                    data[UInt64(position)] = random
                    bytes += random
                }
                position += count
            }
            let path = try sparse("mixed \(round)", size: UInt64(bytes.count), data: data)
            let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
            #expect(try outcome.sent.get().bytes == UInt64(bytes.count))
            #expect(try read(inbox + "/mixed \(round)") == bytes, "round \(round)")
        }
    }

    @Test func aFolderOfThemArrives() async throws {
        let folder = try scratch.folder("disks")
        for number in 0..<20 {
            _ = try sparse("disks/\(number)", size: 1 << 33, data: [UInt64(number) << 20: [1, 2, 3]])
        }
        let outcome = try await transfer(try SendSource(paths: [folder]), to: .folder(self.folder))
        #expect(try outcome.sent.get().files.count == 20)
        for number in 0..<20 {
            #expect(try Self.bytes(inbox + "/disks/\(number)", at: UInt64(number) << 20, count: 4) == [1, 2, 3, 0])
        }
    }

    /// In a pipe they are bytes like any others.
    @Test func aPipeGetsItsZeros() async throws {
        let path = try sparse("image", size: 3 << 20, data: [1 << 20: [7]])
        let (output, target) = (open(scratch.path + "/out", O_RDWR | O_CREAT, 0o600), try read(path))
        defer { close(output) }
        let outcome = try await transfer(try SendSource(paths: [path]), to: .descriptor(output))
        #expect(try outcome.received.get().bytes == 3 << 20)
        #expect(try read(scratch.path + "/out") == target)
    }

    @Test func progressCountsThem() async throws {
        let path = try sparse("image", size: 1 << 40, data: [1 << 30: [7]])
        nonisolated(unsafe) var last: [TransferProgress] = []  // both closures run on the network thread
        let outcome = try await transfer(
            try SendSource(paths: [path]), to: .folder(folder),
            senderEvents: { if case .progress(let progress) = $0 { last.append(progress) } },
            receiverEvents: { if case .progress(let progress) = $0 { last.append(progress) } })
        #expect(try outcome.sent.get().bytes == 1 << 40)
        #expect(last.count >= 2)
        for progress in last where progress.bytes == 1 << 40 { #expect(progress.zeroBytes > (1 << 40) - (1 << 20)) }
        #expect(last.allSatisfy { $0.bytes <= 1 << 40 && $0.total == 1 << 40 })
    }

    // MARK: Resuming

    @Test func aCutAnywhereResumes() async throws {
        var generator = SplitMix64(seed: 54)
        for round in 0..<6 {
            let size: UInt64 = 3 << 30
            var data: [UInt64: [UInt8]] = [:]
            for number in 0..<6 as Range<UInt64> { data[number << 29] = generator.bytes(Self.mebibyte) }
            let path = try sparse("disk \(round)", size: size, data: data)
            let cut = Int.random(in: 1000..<6 * Self.mebibyte, using: &generator)
            let broken = try await transfer(
                try SendSource(paths: [path]), to: .folder(folder), cutAfter: cut)
            #expect(broken.receiveError?.code == .connectionLost)
            let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
            let resumed = try outcome.sent.get().resumedBytes
            // What lay before the cut, less what the disk had not taken.
            if cut > 5 * Self.mebibyte { #expect(resumed >= 1 << 29, "cut at \(cut)") }
            #expect(outcome.bytesOnTheWire < 6 * Self.mebibyte + 200_000)
            let arrived = inbox + "/disk \(round)"
            #expect(try Self.status(arrived).size == size)
            for (place, bytes) in data {
                #expect(try Self.bytes(arrived, at: place, count: Self.mebibyte) == bytes, "cut at \(cut), \(place)")
            }
            #expect(try Self.status(arrived).allocated < 8 << 20)
        }
    }

    /// The source has a hole where the partial file has data: there it has to read as zeros.
    @Test func aHoleOverWhatIsHeldReadsAsZeros() async throws {
        var generator = SplitMix64(seed: 55)
        let bytes = generator.bytes(6 << 20)
        let path = try scratch.file("disk.img", bytes)
        let broken = try await transfer(try SendSource(paths: [path]), to: .folder(folder), cutAfter: 5 << 20)
        #expect(broken.receiveError?.code == .connectionLost)
        let head = Array(bytes.prefix(1 << 20))
        _ = try sparse("disk.img", size: 6 << 20, data: [0: head])
        let outcome = try await transfer(try SendSource(paths: [path]), to: .folder(folder))
        #expect(try outcome.sent.get().resumedBytes == 1 << 20)
        #expect(try read(inbox + "/disk.img") == head + Array(repeating: 0, count: 5 << 20))
    }

    // MARK: Files that change

    @Test func aHoleThatIsFilledMeanwhileIsAFailureOfThatFile() async throws {
        let path = try sparse("a", size: 64 << 20, data: [0: Array(repeating: 2, count: 3 << 20)])
        let other = try scratch.file("b", [1, 2, 3])
        let reader = SourceReader(source: try SendSource(paths: [path, other]), held: [:], takesZeros: true)
        var events = try reader.nextBatch().events
        let descriptor = open(path, O_WRONLY)
        pwrite(descriptor, "x", 1, 32 << 20)
        close(descriptor)
        while true {
            let batch = try reader.nextBatch()
            events += batch.events
            if batch.isLast { break }
        }
        guard events.count == 2, case .unsent(0, let error) = events[0], case .sent(1, _, _, _) = events[1] else {
            Issue.record("\(events)")
            return
        }
        #expect(error.code == .changedWhileSending)
    }

    /// The disk has room for what was offered, and the file has got more data since.
    @Test func moreDataThanOfferedTakesNoRoomOfOthers() async throws {
        try await mounted("8m") { mount in
            let path = try sparse("disk.img", size: 64 << 20, data: [0: [1]])
            let source = try SendSource(paths: [path])
            #expect(source.offer.entries[0].dataSize ?? .max < 65_536)
            var generator = SplitMix64(seed: 56)
            let descriptor = open(path, O_WRONLY)
            try Chunk(generator.bytes(6 << 20)).write(to: descriptor, at: 1 << 20).get()
            close(descriptor)
            let small = try ReceiveFolder(path: mount)
            let other = RoomLedger.shared.makeID()
            #expect(RoomLedger.shared.reserve((5 << 20) + 4096, for: other, in: try small.open()) == .reserved)
            RoomLedger.shared.wrote(4096, for: other)  // what vouches for the rest
            let outcome = try await transfer(source, to: .folder(small))
            #expect(outcome.sendError?.code == .noSpace && outcome.receiveError?.code == .noSpace)
            #expect(outcome.sendError?.speaker == .receiver)
            #expect(outcome.sendError?.message.contains("other transfers") == true)
            let left = try #require(small.open().room()).freeBytes
            #expect(left >= 5 << 20)
            // Without the others there is room for it.
            RoomLedger.shared.release(other)
            let again = try await transfer(source, to: .folder(small))
            #expect(try again.sent.get().bytes == 64 << 20)
        }
    }

    @Test func aDiskThatFillsUpMeanwhileNamesItsSide() async throws {
        try await mounted("8m") { mount in
            var generator = SplitMix64(seed: 57)
            let path = try sparse("disk.img", size: 1 << 35, data: [1 << 30: generator.bytes(6 << 20)])
            let outcome = try await transfer(
                try SendSource(paths: [path]), to: .folder(try ReceiveFolder(path: mount)),
                receiverEvents: { event in
                    guard case .accepted = event else { return }
                    try? write(Array(repeating: 1, count: 5 << 20), to: mount + "/filler")
                })
            #expect(outcome.sendError?.code == .noSpace && outcome.sendError?.speaker == .receiver)
            unlink(mount + "/filler")
            let again = try await transfer(
                try SendSource(paths: [path]), to: .folder(try ReceiveFolder(path: mount)))
            #expect(try again.sent.get().resumedBytes >= 1 << 30)
        }
    }
}
