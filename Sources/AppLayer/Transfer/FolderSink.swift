internal import Glibc
internal import Identity
internal import QUIC

/// Receives one transfer into a folder.
///
/// A file is written to `.NAME.dep2p-partial-<16 hex>` in its final folder, mode 0600 and locked; the digits stand for
/// sender, path and size, so the same file from the same sender continues where it stopped, and nobody else's does.
final class FolderSink: TransferSink, @unchecked Sendable {
    // Proof for @unchecked: its owner awaits each call but `commit` before the next (TransferSink's calling order), and
    // `commit`, which runs beside `write` and beside itself, touches only constants and the journal, which is Sendable.

    private struct Held {
        let partial: WrittenFile.Partial
        let length: UInt64
        var pieces: [MerkleRoot] = []
    }

    private let folder: ReceiveFolder
    private let offer: TransferOffer
    private let sender: NodeID
    private let journal: ResumeJournal?
    private var held: [Int: Held] = [:]
    private var stored: [Int: ResumeJournal.Line] = [:]
    private var unhashed: [Int] = []
    private var piece = MerkleHasher()
    private(set) var claims: [HeldFile] = []
    private var claimed: [Int: HeldFile.Content] = [:]
    private var current: IncomingFile?
    private var madeFolders = false
    /// The folder of the file before, which most often is the next one's too.
    private var lastFolder: (path: ArraySlice<String>, descriptor: Descriptor)?

    private let partials: Int

    /// - Parameters:
    ///   - offer: with names that ``TransferName`` let pass.
    ///   - partials: the most partial files that are held open.
    init(folder: ReceiveFolder, offer: TransferOffer, sender: NodeID, partials: Int) {
        self.partials = partials
        self.folder = folder
        self.offer = offer
        self.sender = sender
        var names: Set<String> = []
        for entry in offer.entries { names.insert(entry.path[0]) }
        let tag = TransferName.tag([sender.bytes] + names.sorted().map { Array($0.utf8) })
        journal = ResumeJournal(folder: folder.descriptor, tag: tag)
    }

    // MARK: What is held

    func prepare() throws(TransferError) {
        (held, stored, unhashed) = ([:], [:], [])
        findStored()
        try findPartials()
        var needed = offer.totalSize
        for (index, held) in held { needed -= min(needed, min(held.length, offer.entries[index].size ?? 0)) }
        for index in stored.keys { needed -= min(needed, offer.entries[index].size ?? 0) }
        if let free = folder.freeBytes(), free < needed {
            throw TransferError(
                .noSpace, "\(needed) bytes are needed and \(free) are free", limit: needed, available: free)
        }
    }

    private func findStored() {
        guard let lines = journal?.lines(), !lines.isEmpty else { return }
        var known: [[String]: ResumeJournal.Line] = [:]
        for line in lines { known[line.path] = line }
        for (index, entry) in offer.entries.enumerated() where entry.kind == .file {
            guard let line = known[entry.path], line.size == entry.size, let name = line.storedPath.last,
                let parent = try? folder.directory(line.storedPath.dropLast(), create: false),
                case .success(let status) = parent.status(of: Array(name.utf8)), status.kind == .file,
                (status.inode, status.size, status.modified) == (line.inode, line.size, line.modified)
            else { continue }
            stored[index] = line
        }
    }

    private func findPartials() throws(TransferError) {
        // Only the last one is kept: an offer may name more folders than there are descriptors.
        var last: (path: ArraySlice<String>, descriptor: Descriptor?)?
        for (index, entry) in offer.entries.enumerated() {
            let parent = entry.path.dropLast()
            if entry.kind == .directory {
                _ = try folder.directory(entry.path[...], create: false)
                continue
            }
            guard stored[index] == nil else { continue }
            if last?.path != parent { last = (parent, try folder.directory(parent, create: false)) }
            guard let directory = last?.descriptor, held.count < partials else { continue }
            switch try WrittenFile.Partial.open(partialName(of: entry), in: directory, create: false) {
            case .missing: break
            case .busy: throw TransferError(.busy, "\(entry.name) is being received already")
            case .partial(let partial, let status):
                held[index] = Held(partial: partial, length: status.size)
                unhashed.append(index)
            }
        }
    }

    func hashHeld() throws(TransferError) -> Bool {
        guard let index = unhashed.last, var file = held[index] else {
            claims = collectClaims()
            claimed = Dictionary(claims.map { ($0.index, $0.content) }, uniquingKeysWith: { first, _ in first })
            return false
        }
        let size = offer.entries[index].size
        let exponent = size.map(MerkleTree.pieceExponent(size:)) ?? TransferLimits.leastPieceExponent
        let end = min(file.length, size ?? UInt64(TransferLimits.piecesPerFile) << UInt64(exponent))
        var hashed = 0
        while hashed < TransferLimits.hashSlice {
            let position = UInt64(file.pieces.count) << UInt64(exponent) + piece.byteCount
            let inPiece = (1 << UInt64(exponent)) - piece.byteCount
            let chunk = Chunk(capacity: Chunk.pooledCapacity)
            let wanted = Int(min(inPiece, end - min(position, end), UInt64(chunk.capacity)))
            // A partial file that cannot be read to its end is worth what could be read.
            var count = 0
            if case .success(let read) = chunk.read(from: file.partial.descriptor.number, at: position, limit: wanted) {
                count = read
            }
            if count > 0 { chunk.withBytes { piece.update($0) } }
            hashed += count
            let isFull = piece.byteCount == 1 << UInt64(exponent)
            let isTail = size != nil && position + UInt64(count) == size && piece.byteCount > 0
            if isFull || isTail {
                file.pieces.append(HeldPrefix.pieceRoot(piece, exponent: exponent, size: size))
                piece = MerkleHasher()
            }
            if count == 0 || isTail || position + UInt64(count) == end {
                piece = MerkleHasher()
                unhashed.removeLast()
                break
            }
        }
        held[index] = file
        return true
    }

    private func collectClaims() -> [HeldFile] {
        var claims: [HeldFile] = []
        var pieces = 0
        for index in offer.entries.indices {
            if let line = stored[index] {
                pieces += 1
                guard pieces <= TransferLimits.pieces else { break }
                claims.append(HeldFile(index: index, content: .whole(line.root)))
            } else if let file = held[index], !file.pieces.isEmpty {
                pieces += file.pieces.count
                guard pieces <= TransferLimits.pieces else { break }
                let exponent =
                    offer.entries[index].size.map(MerkleTree.pieceExponent(size:)) ?? TransferLimits.leastPieceExponent
                claims.append(HeldFile(index: index, content: .pieces(exponent: exponent, file.pieces)))
            }
        }
        return claims
    }

    // MARK: Writing

    func write(_ operations: [WriteOperation]) throws(TransferError) -> [WriteResult] {
        if !madeFolders { try makeFolders() }
        var results: [WriteResult] = []
        for operation in operations {
            switch operation {
            case .start(let index, let offset): try start(index, offset)
            case .data(let chunk, let range): try write(chunk, range)
            case .end(let index, let root): if let result = try end(index, root) { results.append(result) }
            case .abandon: current = nil
            }
        }
        return results
    }

    private func makeFolders() throws(TransferError) {
        madeFolders = true
        for entry in offer.entries where entry.kind == .directory {
            _ = try directory(entry.path[...])
        }
    }

    private func directory(_ path: ArraySlice<String>) throws(TransferError) -> Descriptor {
        if let lastFolder, lastFolder.path == path { return lastFolder.descriptor }
        guard let descriptor = try folder.directory(path, create: true) else {
            throw TransferError(.fileAccess, "\(path.joined(separator: "/")): cannot be made")
        }
        lastFolder = (path, descriptor)
        return descriptor
    }

    private func start(_ index: Int, _ offset: UInt64) throws(TransferError) {
        let entry = offer.entries[index]
        if let line = stored[index], offset == entry.size {
            current = IncomingFile(
                index: index, offset: offset, position: offset, hasher: MerkleHasher(pieces: [line.root], level: 0),
                descriptor: nil, partial: nil)
            return
        }
        stored[index] = nil
        let partial: WrittenFile.Partial
        if let file = held.removeValue(forKey: index) {
            partial = file.partial
        } else {
            partial = try newPartial(entry)
        }
        if ftruncate(partial.descriptor.number, off_t(clamping: offset)) != 0 {
            throw .writing(entry.name, FileError(errno: errno))
        }
        current = IncomingFile(
            index: index, offset: offset, position: offset,
            hasher: HeldPrefix.tree(of: claimed[index], offset: offset, size: entry.size),
            descriptor: partial.descriptor,
            partial: partial)
    }

    private func newPartial(_ entry: TransferEntry) throws(TransferError) -> WrittenFile.Partial {
        let directory = try directory(entry.path.dropLast())
        switch try WrittenFile.Partial.open(partialName(of: entry), in: directory, create: true) {
        case .partial(let partial, _): return partial
        case .busy, .missing: throw TransferError(.busy, "\(entry.name) is being received already")
        }
    }

    private func write(_ chunk: Chunk, _ range: Range<Int>) throws(TransferError) {
        guard var file = current, let descriptor = file.descriptor else { return }
        current = nil  // gives up the reference, so that the hasher changes in place
        if case .failure(let error) = chunk.write(to: descriptor.number, at: file.position, range: range) {
            throw .writing(offer.entries[file.index].name, error)
        }
        chunk.withBytes { file.hasher.update($0.extracting(range)) }
        file.position += UInt64(range.count)
        current = file
    }

    private func end(_ index: Int, _ root: MerkleRoot) throws(TransferError) -> WriteResult? {
        guard let file = current, file.index == index else { return nil }
        current = nil
        guard file.hasher.root() == root else { return .mismatch(index: index, root: file.hasher.root()) }
        return .written(
            WrittenFile(
                index: index, size: file.position, root: root, resumedFrom: file.offset, partial: file.partial,
                storedPath: stored[index]?.storedPath ?? offer.entries[index].path))
    }

    /// At most 255 bytes, whatever the name's length.
    private func partialName(of entry: TransferEntry) -> String {
        let size = entry.size.map { Array(String($0).utf8) } ?? []
        let tag = TransferName.tag([sender.bytes, Array(entry.name.utf8), size])
        let room = TransferLimits.nameBytes - TransferName.partialMark.utf8.count - tag.utf8.count - 1
        return "." + TransferName.shortened(entry.path.last ?? "", to: room) + TransferName.partialMark + tag
    }

    // MARK: Committing

    func commit(_ files: [WrittenFile]) throws(TransferError) -> [TransferredFile] {
        var transferred: [TransferredFile] = []
        var lines: [ResumeJournal.Line] = []
        var folders: [Descriptor] = []
        for file in files {
            let entry = offer.entries[file.index]
            var storedPath = file.storedPath
            if let partial = file.partial {
                storedPath = entry.path.dropLast() + [try partial.store(as: entry.path.last ?? "", entry: entry)]
                if folders.last !== partial.directory { folders.append(partial.directory) }
                if entry.kind == .file, case .success(let status) = partial.descriptor.status() {
                    lines.append(
                        .init(
                            path: entry.path, storedPath: storedPath, size: file.size, root: file.root,
                            inode: status.inode, modified: status.modified))
                }
            }
            transferred.append(
                TransferredFile(
                    index: file.index, path: entry.path, storedPath: storedPath, size: file.size, root: file.root))
        }
        for folder in folders {
            if case .failure(let error) = folder.synchronize() { throw .writing("the folder", error) }
        }
        journal?.append(lines)
        return transferred
    }

    func finish(confirmed: Bool) {
        if let file = current, file.position == 0, let partial = file.partial {
            partial.directory.remove(Array(partial.name.utf8))
        }
        current = nil
        held = [:]
        journal?.close(confirmed: confirmed)
    }
}
