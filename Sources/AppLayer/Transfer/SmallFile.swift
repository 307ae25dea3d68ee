internal import DeP2PIdentity
internal import DeP2PQUIC

/// A small file that came whole: of a folder of small files, most do, hundreds in one chunk.
struct SmallFile: Sendable {
    let index: Int
    let root: MerkleRoot
    let chunk: Chunk
    /// Its bytes, in `chunk`.
    let range: Range<Int>
}

extension SmallFile {
    /// The file whose frames begin at `position`, when all of them are there.
    ///
    /// - Returns: `nil` for anything else, which ``FrameSplitter`` then takes frame by frame.
    init?(in chunk: Chunk, at position: Int, end: inout Int) {
        guard let frames = chunk.withBytes({ SmallFileFrames(in: $0, at: position) }) else { return nil }
        self.init(index: frames.index, root: frames.root, chunk: chunk, range: frames.data)
        end = frames.end
    }
}
