import DeP2PSimulation
import Testing

@testable import DeP2PApp

/// The journal of what is stored: whoever can write the folder can write it, and a crash cuts it off anywhere.
@Suite struct ResumeJournalTests {
    private let scratch: Scratch
    private let folder: FolderHandle

    init() throws {
        scratch = try Scratch()
        folder = try ReceiveFolder(path: scratch.path + "/inbox").open()
    }

    private static func line(_ number: Int, path: [String]? = nil) -> ResumeJournal.Line {
        ResumeJournal.Line(
            path: path ?? ["folder", "file \(number)"], storedPath: ["folder", "file \(number) (1)"],
            size: UInt64(number), root: MerkleHasher().root(), inode: UInt64.max - UInt64(number),
            modified: -Int64(number))
    }

    private var file: String {
        get throws {
            let inbox = scratch.path + "/inbox"
            let names = Scratch.names(in: inbox).filter { $0.hasPrefix(TransferName.resumePrefix) }
            return inbox + "/" + (try #require(names.first))
        }
    }

    @Test func whatWasWrittenIsReadInTheNextRun() throws {
        let lines = (0..<300).map { Self.line($0) } + [Self.line(1, path: ["ünïcode", "名前", "a b"])]
        do {
            let journal = try #require(ResumeJournal.open(in: folder, of: [[1]]))
            journal.append(Array(lines[..<100]))
            journal.append(Array(lines[100...]))
            #expect(journal.lines() == lines)
            journal.close(confirmed: false)
        }
        #expect(try #require(ResumeJournal.open(in: folder, of: [[1]])).lines() == lines)
        #expect(try #require(ResumeJournal.open(in: folder, of: [[2]])).lines().isEmpty, "another transfer's")
    }

    @Test func aLineThatWasCutOffIsNone() throws {
        let journal = try #require(ResumeJournal.open(in: folder, of: [[1]]))
        journal.append([Self.line(1), Self.line(2)])
        let bytes = try read(file)
        let first = try #require(bytes.firstIndex(of: 0x0a)) + 1
        for count in [0, 1, first - 1, first, first + 1, bytes.count - 1] {
            try write(Array(bytes[..<count]), to: file)
            #expect(journal.lines() == (count < first ? [] : [Self.line(1)]), "\(count) of \(bytes.count) bytes")
        }
    }

    /// What names no file that a peer could have named, or is no line at all, is passed over; the rest counts.
    @Test func linesOfSomebodyElsesAreCheckedLikeAPeers() throws {
        let journal = try #require(ResumeJournal.open(in: folder, of: [[1]]))
        journal.append([Self.line(1)])
        let good = try read(file)
        let text = String(decoding: good, as: UTF8.self)
        let hostile = [
            text.replacing("folder/file 1\t", with: "../../etc/passwd\t"), text.replacing("folder/", with: "/"),
            text.replacing("file 1 (1)", with: ".."), text.replacing("1\t", with: "-1\t", maxReplacements: 1),
            text.replacing("1\t", with: "99999999999999999999999\t", maxReplacements: 1), "\n", "a\tb\n",
            String(text.dropFirst(4)), text.replacing("\n", with: "\tmore\n"),
            text.replacing("folder", with: "fol\0der"),
        ]
        let noText: [UInt8] = [0xff, 0xfe, 0x0a]
        try write(hostile.flatMap { Array($0.utf8) } + noText + good, to: file)
        #expect(journal.lines() == [Self.line(1)])
        var random = SplitMix64(seed: 51)
        for _ in 0..<200 {
            var bytes = good
            for _ in 0..<3 { bytes[.random(in: bytes.indices, using: &random)] = .random(in: 0...255, using: &random) }
            try write(bytes + good, to: file)
            for line in journal.lines() {
                #expect(throws: Never.self) { try TransferName.checked(path: line.storedPath) }
            }
        }
    }

    @Test func twoTransfersOfTheSameThingsHaveEachTheirOwn() throws {
        var journals: [ResumeJournal] = []
        for number in 0..<TransferLimits.partialsPerName {
            let journal = try #require(ResumeJournal.open(in: folder, of: [[1]]))
            journal.append([Self.line(number)])
            journals.append(journal)
        }
        #expect(ResumeJournal.open(in: folder, of: [[1]]) == nil, "as many as may arrive at once")
        #expect(journals.enumerated().allSatisfy { $1.lines() == [Self.line($0)] })
        journals[3].close(confirmed: true)
        #expect(try #require(ResumeJournal.open(in: folder, of: [[1]])).lines().isEmpty)
    }

    @Test(arguments: [true, false], [true, false])
    func itStaysOnlyWhileSomethingInItIsNeeded(isConfirmed: Bool, isEmpty: Bool) throws {
        let journal = try #require(ResumeJournal.open(in: folder, of: [[1]]))
        if !isEmpty { journal.append([Self.line(1)]) }
        journal.close(confirmed: isConfirmed)
        let names = Scratch.names(in: scratch.path + "/inbox")
        #expect(names.isEmpty == (isConfirmed || isEmpty), "\(names)")
    }
}
