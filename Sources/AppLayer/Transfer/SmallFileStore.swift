internal import DeP2PQUIC
internal import Glibc
internal import Synchronization

/// Stores small files that came whole: each is hashed, made, synchronized and named by one worker in one go, where large
/// ones go from one that writes to another that makes durable.
///
/// Calls of ``store(_:)`` run beside one another. Each has one file and its folder open.
final class SmallFileStore: Sendable {
    enum Outcome: Sendable {
        case stored(TransferredFile)
        case mismatch(index: Int, root: MerkleRoot)
        /// This file cannot be stored here, the others can.
        case refused(index: Int, TransferError)
    }

    private struct LastFolder {
        let path: ArraySlice<String>
        let place: FolderHandle.Place
    }

    private let folder: FolderHandle
    private let offer: TransferOffer
    private let journal: ResumeJournal?
    private let maker: PartialMaker
    private let reservation: RoomLedger.ID
    private let mayRefuseFiles: Bool
    private let held: Set<Int>
    /// The folder of the file before, which most often is the next one's too.
    private let lastFolder = Mutex<LastFolder?>(nil)

    /// - Parameters:
    ///   - held: files of which something is held: they are continued, and not stored here.
    ///   - mayRefuseFiles: whether a file that cannot be stored leaves the others alone.
    init(
        in folder: FolderHandle, of offer: TransferOffer, journal: ResumeJournal?, maker: PartialMaker,
        reservation: RoomLedger.ID, held: Set<Int>, mayRefuseFiles: Bool
    ) {
        (self.folder, self.offer, self.journal, self.maker) = (folder, offer, journal, maker)
        (self.reservation, self.held, self.mayRefuseFiles) = (reservation, held, mayRefuseFiles)
    }

    /// Whether a file may be stored here.
    func takes(_ index: Int) -> Bool { held.isEmpty || !held.contains(index) }

    /// Stores files that ``takes(_:)`` let pass. Blocks.
    func store(_ files: [SmallFile]) throws(TransferError) -> [Outcome] {
        let bytes = files.reduce(0) { $0 + UInt64($1.range.count) }
        try RoomLedger.shared.leaveOthersTheirRoom(bytes, for: reservation, in: folder)
        var results: [Outcome] = []
        results.reserveCapacity(files.count)
        var batch = CommitBatch(in: folder)
        var last = lastFolder.withLock { $0 }
        // Whatever fails meanwhile: what is stored must be known as stored when the same comes again.
        defer { journal?.append(batch.lines) }
        for file in files {
            let entry = offer.entries[file.index]
            if let open = last, open.path != entry.path.dropLast() {
                // Each folder is closed before the next is opened: there may be as many as files.
                try batch.synchronizeFolders()
                last = nil
            }
            do throws(TransferError) {
                results.append(try store(file, entry, &batch, &last))
            } catch {
                guard mayRefuseFiles, error.concernsOneFile else { throw error }
                results.append(.refused(index: file.index, error))
            }
        }
        lastFolder.withLock { $0 = last }
        RoomLedger.shared.wrote(bytes, for: reservation)
        try batch.synchronizeFolders()
        return results
    }

    private func store(
        _ file: SmallFile, _ entry: TransferEntry, _ batch: inout CommitBatch, _ last: inout LastFolder?
    ) throws(TransferError) -> Outcome {
        let root = file.chunk.withBytes { MerkleTree.root(of: $0.extracting(file.range)) }
        guard root == file.root else { return .mismatch(index: file.index, root: root) }
        let (partial, folder) = try make(entry, &last)
        do throws(TransferError) {
            if case .failure(let error) = file.chunk.write(to: partial.descriptor.number, at: 0, range: file.range) {
                throw .writing(entry.name, error)
            }
            return .stored(
                try batch.store(
                    partial, as: entry, index: file.index, below: folder, size: UInt64(file.range.count), root: root))
        } catch {
            partial.removeName()
            throw error
        }
    }

    private func make(
        _ entry: TransferEntry, _ last: inout LastFolder?
    ) throws(TransferError) -> (PartialFile, [String]) {
        do throws(TransferError) {
            let place = try directory(of: entry, &last)
            return (try maker.makeEmpty(entry, in: place), place.path)
        } catch {
            guard (error.underlying as? FileError)?.errno == ENOENT else { throw error }
            // The folder was removed since it was opened.
            last = nil
            let place = try directory(of: entry, &last)
            return (try maker.makeEmpty(entry, in: place), place.path)
        }
    }

    private func directory(
        of entry: TransferEntry, _ last: inout LastFolder?
    ) throws(TransferError) -> FolderHandle.Place {
        if let last { return last.place }
        let path = entry.path.dropLast()
        let place = try folder.made(path)
        last = LastFolder(path: path, place: place)
        return place
    }
}
