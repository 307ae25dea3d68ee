internal import DeP2PIdentity
internal import DeP2PQUIC
internal import Glibc
internal import Synchronization

/// Receives one transfer into a folder.
final class FolderSink: TransferSink, @unchecked Sendable {
    // Proof for @unchecked: its owner awaits each call but `commit` and `giveUp` before the next (TransferSink's calling
    // order); `commit`, which runs beside `write` and beside itself, touches only constants and the journal, which is
    // Sendable, and `giveUp` a flag that is atomic.

    private let folder: FolderHandle
    private let offer: TransferOffer
    private let journal: ResumeJournal?
    private var held: HeldFiles
    private var current: IncomingFile?
    private let mayRefuseFiles: Bool
    /// Whether the holes that were offered take no room here.
    private var keepsHoles = false
    /// The folder of the file before, which most often is the next one's too.
    private var lastFolder: (path: ArraySlice<String>, place: FolderHandle.Place)?
    private let room = RoomLedger.shared
    private let reservation: RoomLedger.ID
    private let maker: PartialMaker
    private let isGivenUp = Atomic<Bool>(false)
    /// Whether there is room only once others' unfinished files go.
    private var countsOnLeftovers = false

    /// - Parameters:
    ///   - offer: with names that ``TransferName`` let pass.
    ///   - partials: the most partial files that are held open.
    ///   - mayRefuseFiles: whether a file that cannot be stored leaves the others alone.
    init(
        folder: FolderHandle, offer: TransferOffer, sender: NodeID, partials: Int, pulse: TransferPulse,
        mayRefuseFiles: Bool
    ) {
        self.mayRefuseFiles = mayRefuseFiles
        self.folder = folder
        self.offer = offer
        journal = ResumeJournal.open(in: folder, of: [sender.bytes] + offer.tops.sorted().map { Array($0.utf8) })
        maker = PartialMaker(in: folder, for: sender, pulse: pulse)
        held = HeldFiles(of: offer, in: folder, journal: journal, limit: partials, maker: maker, pulse: pulse)
        held.passesOverWhatCannotBeStored = mayRefuseFiles
        reservation = room.makeID()
    }

    deinit { room.release(reservation) }

    // MARK: What is held

    var claims: [HeldFile] { held.claims }

    let takesZeros = true

    func prepare(_ patience: PartialPatience) throws(TransferError) {
        PartialSweep.removeAged(from: folder)
        try held.find(patience)
        keepsHoles = offer.entries.haveHoles && folder.keepsHoles()
        try reserveRoom()
    }

    func hashHeld() throws(TransferError) -> Bool { held.hash() }

    /// Bytes that the transfer will write, each file rounded up to what it takes.
    private func bytesNeeded(in place: FileSystemRoom) -> UInt64 {
        var needed: UInt64 = 0
        for index in offer.entries.indices {
            let missing = held.bytesMissing(of: index, keepingHoles: keepsHoles)
            let (sum, overflow) = needed.addingReportingOverflow(place.taken(by: missing))
            needed = overflow ? .max : sum
        }
        return needed
    }

    private func reserveRoom() throws(TransferError) {
        guard let place = folder.room() else { return }
        let needed = bytesNeeded(in: place)
        guard room.reserve(needed, for: reservation, in: folder) != .reserved else { return }
        // What nobody finishes must not be in the way of what comes. It goes when its room is written to, not before: an
        // offer is only words, and others may still come for what they left.
        let left = PartialSweep.leftoverBytes(in: folder, keeping: held.names)
        let outcome = room.reserve(needed, for: reservation, in: folder, adding: left)
        countsOnLeftovers = outcome == .reserved
        guard case .refused(let available, let reserved) = outcome else { return }
        let beside = reserved > 0 ? " beside the \(reserved) that other transfers will take" : ""
        throw TransferError(
            .noSpace, "\(needed) bytes are needed and \(available) are free\(beside)", limit: needed,
            available: available)
    }

    // MARK: Writing

    func write(_ operations: [WriteOperation]) throws(TransferError) -> [WriteResult] {
        if countsOnLeftovers { makeRoom() }
        let bytes = operations.reduce(0) { $0 + UInt64($1.byteCount) }
        try room.leaveOthersTheirRoom(bytes, for: reservation, in: folder)
        var results: [WriteResult] = []
        for operation in operations {
            do throws(TransferError) {
                if let result = try step(operation) { results.append(result) }
            } catch {
                let index = if case .start(let index, _) = operation { index as Int? } else { current?.index }
                guard mayRefuseFiles, error.concernsOneFile, let index else { throw error }
                results.append(.refused(index: index, error))
                current?.partial?.removeName()
                current = nil
            }
        }
        return results
    }

    private func makeRoom() {
        let wanted = min(room.outstanding(reservation), TransferLimits.roomAhead)
        func isEnough() -> Bool { (folder.room()?.freeBytes ?? .max) >= wanted }
        guard !isEnough() else { return }
        PartialSweep.makeRoom(in: folder, keeping: held.names, until: isEnough)
        countsOnLeftovers = isEnough()
    }

    private func step(_ operation: WriteOperation) throws(TransferError) -> WriteResult? {
        switch operation {
        case .start(let index, let offset): try start(index, offset)
        case .data(let chunk, let range): try write(chunk, range)
        case .zeros(let count): try skip(count)
        case .end(let index, let root): return try end(index, root)
        case .abandon: current = nil
        }
        return nil
    }

    func makeFolders() throws(TransferError) -> [TransferFailure] {
        var failures: [TransferFailure] = []
        for index in offer.entries.indices where offer.entries.kind(at: index) == .directory {
            // There may be a million of them, on a slow disk.
            guard !isGivenUp.load(ordering: .relaxed) else {
                throw TransferError(.cancelled, "given up while its folders were made")
            }
            let path = offer.entries[index].path
            do throws(TransferError) {
                _ = try directory(path[...])
            } catch {
                guard mayRefuseFiles, error.concernsOneFile else { throw error }
                failures.append(TransferFailure(index: index, path: path, error: error))
            }
        }
        return failures
    }

    private func directory(_ path: ArraySlice<String>) throws(TransferError) -> FolderHandle.Place {
        if let lastFolder, lastFolder.path == path { return lastFolder.place }
        let place = try folder.made(path)
        lastFolder = (path, place)
        return place
    }

    private func start(_ index: Int, _ offset: UInt64) throws(TransferError) {
        let entry = offer.entries[index]
        if let line = held.stored[index], offset == entry.size {
            current = IncomingFile(
                index: index, offset: offset, position: offset, hasher: MerkleHasher(pieces: [line.root], level: 0),
                partial: nil)
            return
        }
        held.forgetStored(index)
        let (file, folder): (PartialFile, [String])
        if let taken = held.take(index) { (file, folder) = taken } else { (file, folder) = try newPartial(entry) }
        if file.name != nil, ftruncate(file.descriptor.number, off_t(clamping: offset)) != 0 {
            let error = FileError(errno: errno)
            // Of nothing there is nothing to go on from.
            if offset == 0 { file.removeName() }
            throw .writing(entry.name, error)
        }
        current = IncomingFile(
            index: index, offset: offset, position: offset, hasher: held.tree(of: index, offset: offset), partial: file,
            folder: folder)
    }

    private func newPartial(_ entry: TransferEntry) throws(TransferError) -> (PartialFile, [String]) {
        do throws(TransferError) {
            return try makePartial(entry)
        } catch {
            guard (error.underlying as? FileError)?.errno == ENOENT else { throw error }
            // The folder was removed since it was opened.
            lastFolder = nil
            return try makePartial(entry)
        }
    }

    private func makePartial(_ entry: TransferEntry) throws(TransferError) -> (PartialFile, [String]) {
        let place = try directory(entry.path.dropLast())
        return (try maker.makeEmpty(entry, in: place), place.path)
    }

    private func write(_ chunk: Chunk, _ range: Range<Int>) throws(TransferError) {
        guard var file = current, let descriptor = file.partial?.descriptor else { return }
        current = nil  // gives up the reference, so that the hasher changes in place
        if case .failure(let error) = chunk.write(to: descriptor.number, at: file.position, range: range) {
            current = file
            throw .writing(offer.entries[file.index].name, error)
        }
        room.wrote(UInt64(range.count), for: reservation)
        chunk.withBytes { file.hasher.update($0.extracting(range)) }
        file.position += UInt64(range.count)
        current = file
    }

    /// Leaves zeros out. What lies behind the bytes written reads as zeros: ``start(_:_:)`` has cut the file off there.
    private func skip(_ count: UInt64) throws(TransferError) {
        guard var file = current, let descriptor = file.partial?.descriptor else { return }
        current = nil
        file.hasher.append(zeros: count)
        file.position += count
        if ftruncate(descriptor.number, off_t(clamping: file.position)) != 0 {
            let error = FileError(errno: errno)
            current = file
            throw .writing(offer.entries[file.index].name, error)
        }
        // Room was kept for those that were not offered as a hole.
        if offer.entries[file.index].dataSize == nil || !keepsHoles { room.spare(count, for: reservation) }
        current = file
    }

    private func end(_ index: Int, _ root: MerkleRoot) throws(TransferError) -> WriteResult? {
        guard let file = current, file.index == index else { return nil }
        current = nil
        guard file.hasher.root() == root else { return .mismatch(index: index, root: file.hasher.root()) }
        return .written(
            WrittenFile(
                index: index, size: file.position, root: root, resumedFrom: file.offset, partial: file.partial,
                folder: file.folder,
                storedPath: file.partial == nil ? held.stored[index]?.storedPath ?? offer.entries[index].path : []))
    }

    // MARK: Small files

    func smallFileStore() -> SmallFileStore? {
        // What others left has to go first, which the thread that writes does.
        guard !countsOnLeftovers else { return nil }
        return SmallFileStore(
            in: folder, of: offer, journal: journal, maker: maker, reservation: reservation, held: held.indices,
            mayRefuseFiles: mayRefuseFiles)
    }

    // MARK: Committing

    func commit(_ files: [WrittenFile]) throws(TransferError) -> [CommitResult] {
        var results: [CommitResult] = []
        var batch = CommitBatch(in: folder)
        var lastParent: ArraySlice<String>?
        // Whatever fails meanwhile: what is stored must be known as stored when the same comes again.
        defer { journal?.append(batch.lines) }
        for file in files {
            do throws(TransferError) {
                let stored = try commit(file, &batch, &lastParent)
                results.append(.stored(stored, resumedFrom: file.resumedFrom))
            } catch {
                guard mayRefuseFiles, error.concernsOneFile else { throw error }
                file.partial?.removeName()
                results.append(.refused(index: file.index, error))
            }
        }
        try batch.synchronizeFolders()
        return results
    }

    private func commit(
        _ file: WrittenFile, _ batch: inout CommitBatch, _ lastParent: inout ArraySlice<String>?
    ) throws(TransferError) -> TransferredFile {
        let entry = offer.entries[file.index]
        if let partial = file.partial {
            return try batch.store(
                partial, as: entry, index: file.index, below: file.folder, size: file.size, root: file.root)
        }
        if lastParent != file.storedPath.dropLast() {
            // Stored by a transfer that broke off: perhaps before its folder was synchronized.
            lastParent = file.storedPath.dropLast()
            batch.add(try storedFolder(of: file.storedPath))
        }
        return TransferredFile(
            index: file.index, path: entry.path, storedPath: file.storedPath, size: file.size, root: file.root,
            folder: batch.base)
    }

    /// A receipt says that the file is durable: the folder that can't be synchronized has none.
    private func storedFolder(of path: [String]) throws(TransferError) -> Descriptor {
        guard let place = try folder.directory(path.dropLast(), create: false) else {
            throw TransferError(.fileAccess, "\(path.joined(separator: "/")): its folder has gone since it was stored")
        }
        return place.descriptor
    }

    func finish(confirmed: Bool) {
        if let file = current, file.position == 0 { file.partial?.removeName() }
        current = nil
        held.forgetAll()
        room.release(reservation)
        journal?.close(confirmed: confirmed)
    }

    func giveUp() { isGivenUp.store(true, ordering: .relaxed) }

    let passedOn: UInt64 = 0
}
