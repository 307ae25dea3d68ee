internal import DeP2PIdentity
internal import DeP2PQUIC
internal import Glibc

/// What a receiving folder holds of an offer: files that an interrupted transfer has stored already, and partial files.
///
/// A partial file is `.NAME.dep2p-partial-<16 hex>` in the file's folder, mode 0600 and locked; the digits stand for
/// sender and path, so the next version of a file takes over what came of the last one, and nobody else's does. Where
/// several of one name arrive at once each has one of its own.
///
/// Calling order: ``find(_:)`` until it does not throw `.busy`; ``hash()`` until false; then ``claims``.
struct HeldFiles {
    private struct Held {
        let file: PartialFile
        let folder: [String]
        let length: UInt64
        let allocated: UInt64
        var extents: FileExtents
        var pieces: [MerkleRoot] = []
    }

    /// Up to so many entries, a partial file is looked for under every name that it may have; of more, under the first.
    private static let thoroughEntries = 64

    private let folder: FolderHandle
    private let offer: TransferOffer
    private let maker: PartialMaker
    private let pulse: TransferPulse
    private let journal: ResumeJournal?
    /// The most partial files that are held open.
    private let limit: Int
    private var held: [Int: Held] = [:]
    private var unhashed: [Int] = []
    private var piece = MerkleHasher()
    private(set) var stored: [Int: ResumeJournal.Line] = [:]
    private(set) var claims: [HeldFile] = []
    private var claimed: [Int: HeldFile.Content] = [:]
    /// Whether what is in the way of one file is left for when that file comes.
    var passesOverWhatCannotBeStored = false

    init(
        of offer: TransferOffer, in folder: FolderHandle, journal: ResumeJournal?, limit: Int, maker: PartialMaker,
        pulse: TransferPulse
    ) {
        (self.offer, self.maker, self.folder, self.journal, self.pulse) = (offer, maker, folder, journal, pulse)
        self.limit = limit
    }

    // MARK: Finding

    /// - Throws: ``TransferError`` `.busy` when another transfer has a partial file and may soon give it back.
    mutating func find(_ patience: PartialPatience) throws(TransferError) {
        (held, stored, unhashed) = ([:], [:], [])
        findStored()
        // Only the last one is kept: an offer may name more folders than there are descriptors.
        var last: (path: ArraySlice<String>, place: FolderHandle.Place?)?
        var listing = PartialListing()
        for index in offer.entries.indices where stored[index] == nil {
            do throws(TransferError) {
                try find(index, patience, &listing, &last)
            } catch {
                guard passesOverWhatCannotBeStored, error.concernsOneFile, error.code != .busy else { throw error }
            }
        }
    }

    private mutating func find(
        _ index: Int, _ patience: PartialPatience, _ listing: inout PartialListing,
        _ last: inout (path: ArraySlice<String>, place: FolderHandle.Place?)?
    ) throws(TransferError) {
        let entry = offer.entries[index]
        let parent = entry.path.dropLast()
        if entry.kind == .directory {
            _ = try folder.directory(entry.path[...], create: false)
            return
        }
        if last?.path != parent {
            last = nil
            last = (parent, try folder.directory(parent, create: false))
        }
        guard let place = last?.place, held.count < limit,
            let (file, status) = try existing(entry, in: place, &listing, patience)
        else { return }
        held[index] = Held(
            file: file, folder: place.path, length: status.size, allocated: status.allocated,
            extents: FileExtents(of: file.descriptor))
        unhashed.append(index)
    }

    private mutating func findStored() {
        guard let lines = journal?.lines(), !lines.isEmpty else { return }
        var known: [[String]: ResumeJournal.Line] = [:]
        for line in lines { known[line.path] = line }
        for (index, entry) in offer.entries.enumerated() where entry.kind == .file {
            // What can't be looked at is not known to be stored: it comes again, under a name of its own.
            guard let line = known[entry.path], line.size == entry.size, let name = line.storedPath.last,
                // Gone, or another's: not known to be stored.
                let parent = try? folder.directory(line.storedPath.dropLast(), create: false),
                case .success(let status) = parent.descriptor.status(of: Array(name.utf8)), status.kind == .file,
                (status.inode, status.size, status.modified ?? 0) == (line.inode, line.size, line.modified)
            else { continue }
            stored[index] = line
        }
    }

    private func existing(
        _ entry: TransferEntry, in place: FolderHandle.Place, _ listing: inout PartialListing,
        _ patience: PartialPatience
    ) throws(TransferError) -> (PartialFile, FileStatus)? {
        let isThorough = offer.entries.count <= Self.thoroughEntries
        for slot in 0..<TransferLimits.partialsPerName {
            switch try existing(entry, slot: slot, in: place, &listing) {
            case .partial(let file, let status): return (file, status)
            case .missing: guard isThorough else { return nil }
            case .busy(let holder):
                guard holder === pulse || patience.isKept(by: holder) else {
                    throw TransferError(.busy, "\(entry.name) is being received already")
                }
            }
        }
        return nil
    }

    /// Looks for the name that ``PartialMaker`` gives, and where the file system refuses that, for the other one.
    private func existing(
        _ entry: TransferEntry, slot: Int, in place: FolderHandle.Place, _ listing: inout PartialListing
    ) throws(TransferError) -> PartialFile.Opened {
        let (name, plain) = (
            { maker.name(of: entry, slot: slot) }, { maker.name(of: entry, slot: slot, withoutItsName: true) }
        )
        var isRefused = false
        if listing.mayHold(name(), in: place.descriptor) {
            do throws(TransferError) {
                let opened = try maker.open(name(), in: place.descriptor, create: false)
                guard case .missing = opened else { return opened }
            } catch {
                guard PartialMaker.isRefusedName(error) else { throw error }
                isRefused = true
            }
        }
        // A folder that is not listed is not searched twice for every file.
        guard isRefused || listing.holds(plain(), in: place.descriptor) else { return .missing }
        return try maker.open(plain(), in: place.descriptor, create: false)
    }

    // MARK: Hashing

    /// Hashes some of what is held; false when there is nothing left to hash.
    mutating func hash() -> Bool {
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
            let count = hash(&file, at: position, atMost: min(inPiece, end - min(position, end)))
            hashed += Int(min(count, UInt64(Chunk.pooledCapacity)))
            let isFull = piece.byteCount == 1 << UInt64(exponent)
            let isTail = size != nil && position + count == size && piece.byteCount > 0
            if isFull || isTail {
                file.pieces.append(HeldPrefix.pieceRoot(piece, exponent: exponent, size: size))
                piece = MerkleHasher()
            }
            if count == 0 || isTail || position + count == end {
                piece = MerkleHasher()
                unhashed.removeLast()
                break
            }
        }
        held[index] = file
        return true
    }

    /// Hashes what comes next of a file.
    ///
    /// - Returns: its bytes; 0 at the end.
    private mutating func hash(_ file: inout Held, at position: UInt64, atMost limit: UInt64) -> UInt64 {
        guard limit > 0 else { return 0 }
        switch file.extents.run(at: position, below: position + limit) {
        case .zeros(let count):
            piece.append(zeros: count)
            return count
        case .data(let count):
            let chunk = Chunk(capacity: Chunk.pooledCapacity)
            let wanted = Int(min(count, UInt64(chunk.capacity)))
            // A partial file that cannot be read to its end is worth what could be read.
            guard case .success(let read) = chunk.read(from: file.file.descriptor.number, at: position, limit: wanted),
                read > 0
            else { return 0 }
            chunk.withBytes { piece.update($0) }
            return UInt64(read)
        }
    }

    private func collectClaims() -> [HeldFile] {
        var claims: [HeldFile] = []
        var pieces = 0
        for index in Set(stored.keys).union(held.keys).sorted() {
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

    // MARK: Taking

    /// Bytes of an entry that have to be written still, when its holes need not be.
    func bytesMissing(of index: Int, keepingHoles: Bool) -> UInt64 {
        guard stored[index] == nil else { return 0 }
        let size = offer.entries.size(at: index)
        let missing = size - min(held[index]?.length ?? 0, size)
        guard keepingHoles, let data = offer.entries.dataSize(at: index) else { return missing }
        return min(missing, data - min(held[index]?.allocated ?? 0, data))
    }

    /// The names of the partial files that are held, which must not be removed to make room.
    var names: Set<String> { Set(held.values.compactMap(\.file.name)) }

    /// Entries of which something is held, claimed or not.
    var indices: Set<Int> { Set(held.keys).union(stored.keys) }

    /// The partial file of an entry, which from now on is the caller's.
    mutating func take(_ index: Int) -> (file: PartialFile, folder: [String])? {
        held.removeValue(forKey: index).map { ($0.file, $0.folder) }
    }

    mutating func forgetStored(_ index: Int) { stored[index] = nil }

    /// The tree over the first `offset` bytes of what was claimed of an entry.
    func tree(of index: Int, offset: UInt64) -> MerkleHasher {
        HeldPrefix.tree(of: claimed[index], offset: offset, size: offer.entries[index].size)
    }

    mutating func forgetAll() { held = [:] }
}
