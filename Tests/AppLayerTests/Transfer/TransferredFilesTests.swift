import Testing

@testable import DeP2PApp

@Suite struct TransferredFilesTests {
    /// "é" as one scalar and as two: equal as text, two names on a disk.
    private static let (composed, decomposed) = ("\u{e9}", "e\u{301}")

    private func utf8(_ path: [String]) -> [[UInt8]] { path.map { Array($0.utf8) } }

    @Test func pathsAreKeptByteByByte() throws {
        let (composed, decomposed) = (Self.composed, Self.decomposed)
        let root = MerkleHasher().root()
        let entry = TransferEntry(kind: .file, path: [decomposed], size: 0)
        var files = TransferredFiles(of: TransferEntries([entry]))
        let file = TransferredFile(
            index: 0, path: [decomposed], storedPath: [composed], size: 0, root: root, folder: Array("in".utf8))
        files.append(file)
        let kept = try #require(files.first)
        #expect(utf8(kept.path) == utf8([decomposed]) && utf8(kept.storedPath) == utf8([composed]))
        #expect(kept.location == Array("in/\(composed)".utf8))
    }

    @Test func anEntrysPathIsComparedWithoutMakingIt() {
        let (composed, decomposed) = (Self.composed, Self.decomposed)
        let long = String(repeating: "x", count: 200)
        let paths = [["a"], ["a", "b"], [decomposed, "b"], [long, long], []]
        let entries = TransferEntries(paths.map { TransferEntry(kind: .file, path: $0, size: 0) })
        let others = paths + [["ab"], ["a", "b", "c"], [composed, "b"], [long, long + "x"], ["a", ""], [""]]
        for (position, path) in paths.enumerated() {
            for other in others {
                #expect(entries.isPath(other, at: position) == (utf8(other) == utf8(path)), "\(path) and \(other)")
            }
        }
        #expect(!entries.isPath([], at: paths.count) && !entries.isPath([], at: -1))
    }
}
