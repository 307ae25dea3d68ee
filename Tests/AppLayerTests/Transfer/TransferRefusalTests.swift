import DeP2PIdentity
import DeP2PQUIC
import DeP2PSimulation
import DeP2PTestSupport
import Glibc
import Testing

@testable import DeP2PApp

/// What the receiver cannot store of a transfer whose rest it can (issue 8, all or nothing).
@Suite struct TransferRefusalTests {
    private let scratch: Scratch
    private let inbox: String
    private let folder: ReceiveFolder

    init() throws {
        scratch = try Scratch()
        inbox = scratch.path + "/inbox"
        folder = try ReceiveFolder(path: inbox)
    }

    /// Both sides tell of the same, and each in its words.
    private func failures(_ outcome: TransferOutcome, _ code: TransferError.Code) throws -> [String] {
        let (sent, received) = (try outcome.sent.get().failed, try outcome.received.get().failed)
        for failure in sent { #expect(failure.error.code == code && failure.error.speaker == .receiver) }
        for failure in received { #expect(failure.error.code == code && !failure.error.isFromPeer) }
        let paths = { (failures: [TransferFailure]) in failures.map { $0.path.joined(separator: "/") }.sorted() }
        #expect(paths(sent) == paths(received))
        return paths(sent)
    }

    @Test func aFileInTheWayOfAFolderCostsThatFolder() async throws {
        let top = try scratch.folder("top")
        for name in ["d", "e"] {
            _ = try scratch.folder("top/\(name)")
            for number in 0..<3 { try scratch.file("top/\(name)/\(number)", [UInt8(number)]) }
        }
        mkdir(inbox + "/top", 0o700)
        try write([9], to: inbox + "/top/d")
        let outcome = try await transfer(try SendSource(paths: [top]), to: .folder(folder))
        #expect(try failures(outcome, .badName) == ["top/d", "top/d/0", "top/d/1", "top/d/2"])
        #expect(try outcome.sent.get().files.count == 3 && outcome.sent.get().directories == 2)
        #expect(try outcome.received.get().files.count == 3 && outcome.received.get().directories == 2)
        #expect(Scratch.names(in: inbox + "/top/e") == ["0", "1", "2"])
        #expect(try read(inbox + "/top/d") == [9])
        #expect(Scratch.names(in: inbox) == ["top"])
    }

    /// Nothing but folders: there is no file with which it could be told.
    @Test func aFolderAloneIsRefused() async throws {
        let top = try scratch.folder("top")
        _ = try scratch.folder("top/d")
        mkdir(inbox + "/top", 0o700)
        try write([9], to: inbox + "/top/d")
        let outcome = try await transfer(try SendSource(paths: [top]), to: .folder(folder))
        #expect(try failures(outcome, .badName) == ["top/d"])
    }

    /// Longer than the file system of the receiver can have it; the one of the sender can.
    @Test func aFileThatIsTooLongHereCostsThatFile() async throws {
        let path = "/dev/shm/dep2p-long-\(getpid())"
        let descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC, 0o600)
        defer {
            close(descriptor)
            unlink(path)
        }
        try #require(ftruncate(descriptor, 1 << 60) == 0)
        let others = try (0..<3).map { try scratch.file("\($0)", [1, 2, 3]) }
        let source = try SendSource(paths: [others[0], path, others[1], others[2]])
        let outcome = try await transfer(source, to: .folder(folder))
        #expect(try failures(outcome, .noSpace).count == 1)
        #expect(try outcome.sent.get().files.count == 3)
        #expect(try outcome.sent.get().failed.first?.error.message.contains("too large") == true)
        #expect(Scratch.names(in: inbox) == ["0", "1", "2"])
    }

    /// What has been refused is not read to its end.
    @Test func aRefusedFileIsGivenUp() throws {
        let first = try scratch.file("a", Array(repeating: 1, count: 16 << 20))
        let second = try scratch.file("b", [1])
        let refused = RefusedFiles()
        let reader = SourceReader(source: try SendSource(paths: [first, second]), held: [:], refused: refused)
        let head = try reader.nextBatch()
        #expect(head.events.isEmpty && head.payload >= 1 << 20)
        refused.insert(0)
        let rest = try reader.nextBatch()
        guard rest.isLast, rest.events.count == 2, case .unsent(0, _) = rest.events[0],
            case .sent(1, _, _, _) = rest.events[1]
        else {
            Issue.record("\(rest.events)")
            return
        }
        #expect(rest.payload == 1)
    }

    // MARK: The machines

    private static let root = SHA256.hash([1])
    private static let error = TransferError(.fileAccess, "closed")

    private static func offer(_ count: Int) throws -> TransferOffer {
        try TransferOffer(
            entries: (0..<count).map { TransferEntry(kind: .file, path: ["\($0)"], size: 1) }
                + [TransferEntry(kind: .directory, path: ["d"], size: 0)])
    }

    @Test func aSenderTakesEachRefusalOnce() throws {
        var machine = TransferSenderStateMachine(offer: try Self.offer(4))
        _ = machine.handle(.accept(HeldPage(files: [], more: false)))
        machine.handleSent(index: 0, size: 1, root: Self.root, resumedFrom: 0)
        func isRefused(_ index: Int) -> Bool {
            if case .fileRefused(let failure) = machine.handle(.refused(index: index, Self.error)) {
                failure.index == index
            } else {
                false
            }
        }
        // One that was sent, one under way, a folder.
        #expect(isRefused(0) && isRefused(1) && isRefused(4))
        machine.handleSent(index: 1, size: 1, root: Self.root, resumedFrom: 0)
        #expect(machine.handleUnsent(index: 2, error: Self.error) != nil)
        // Given up here before the refusal came.
        #expect(machine.handle(.refused(index: 2, Self.error)) == .progress)
        machine.handleSent(index: 3, size: 1, root: Self.root, resumedFrom: 0)
        machine.handleSourceEnd()
        var twice = machine
        #expect(twice.handle(.refused(index: 0, Self.error)) == .fail(.violation("")))
        var unknown = machine
        #expect(unknown.handle(.refused(index: 5, Self.error)) == .fail(.violation("")))
        _ = machine.handle(.receipt(index: 3, root: Self.root, path: ["3"]))
        guard case .finish(let summary) = machine.handle(.done(files: 1)) else {
            Issue.record("not finished")
            return
        }
        #expect(summary.failed.map(\.index) == [0, 1, 4, 2] && summary.directories == 0)
    }

    /// As a receiver does with a sender's.
    @Test func wordsOfRefusalsAreKeptWithinALimit() throws {
        var machine = TransferSenderStateMachine(offer: try Self.offer(2000))
        _ = machine.handle(.accept(HeldPage(files: [], more: false)))
        let reason = TransferError(.fileAccess, String(repeating: "r", count: 1000), from: .receiver)
        var kept = 0
        for index in 0..<2000 {
            guard case .fileRefused(let failure) = machine.handle(.refused(index: index, reason)) else {
                Issue.record("not refused")
                return
            }
            if failure.error.message == reason.message { kept += reason.message.utf8.count }
            #expect(failure.error == reason && failure.error.isFromPeer)
        }
        #expect(kept <= TransferLimits.reasonsBytes && kept > TransferLimits.reasonsBytes / 2)
    }

    @Test func aReceiverIsDoneWithoutWhatItRefused() throws {
        let offer = try Self.offer(3)
        var machine = TransferReceiverStateMachine()
        var page = Array(offer.pages())[0]
        #expect(page.takesRefusals)
        #expect(machine.handle(.offer(page)) == .decide(offer) && machine.takesRefusals)
        _ = machine.handleAccepted(held: [], takesZeros: false)
        // One under way, whose end comes all the same; one whose rest the sender gives up; one that has ended.
        _ = machine.handle(.start(index: 0, offset: 0))
        #expect(machine.handleRefused(index: 0, error: Self.error).failure?.index == 0)
        #expect(machine.handleRefused(index: 0, error: Self.error).failure == nil)
        #expect(machine.handle(.data(1)) == .expectData(1))
        #expect(machine.handle(.end(index: 0, size: 1, root: Self.root)) == .none)
        _ = machine.handle(.start(index: 1, offset: 0))
        #expect(machine.handleRefused(index: 1, error: Self.error).failure?.index == 1)
        #expect(machine.handle(.failed(index: 1, Self.error)) == .none)
        _ = machine.handle(.start(index: 2, offset: 0))
        _ = machine.handle(.data(1))
        _ = machine.handle(.end(index: 2, size: 1, root: Self.root))
        let (failure, action) = machine.handleRefused(index: 2, error: Self.error)
        #expect(failure?.index == 2)
        guard case .done(let summary) = action else {
            Issue.record("\(action)")
            return
        }
        #expect(summary.failed.map(\.index) == [0, 1, 2] && summary.files.isEmpty)
        page.takesRefusals = false
        var old = TransferReceiverStateMachine()
        _ = old.handle(.offer(page))
        #expect(!old.takesRefusals)
    }
}
