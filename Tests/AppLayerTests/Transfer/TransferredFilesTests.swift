import Testing

@testable import AppLayer

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
}
