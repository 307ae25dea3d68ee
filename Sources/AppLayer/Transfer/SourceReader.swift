internal import DeP2PQUIC
internal import Synchronization

/// The files that the receiver has said it cannot store, for the thread that reads them.
final class RefusedFiles: Sendable {
    private let indices = Mutex<Set<Int>>([])

    func insert(_ index: Int) { indices.withLock { _ = $0.insert(index) } }

    func contains(_ index: Int) -> Bool { indices.withLock { $0.contains(index) } }
}

/// What one turn of a ``SourceReader`` produced.
struct SourceBatch: Sendable {
    /// Bytes for the stream, in order: frames and data.
    var chunks: [Chunk] = []
    var events: [SourceEvent] = []
    /// Bytes of files among them.
    var payload: UInt64 = 0
    /// Bytes that need not be sent because the receiver holds them.
    var resumed: UInt64 = 0
    /// Zeros that are sent as a number.
    var zeros: UInt64 = 0
    /// Nothing follows.
    var isLast = false
}

enum SourceEvent: Sendable {
    case sent(index: Int, size: UInt64, root: MerkleRoot, resumedFrom: UInt64)
    case unsent(index: Int, TransferError)
}

/// Reads the files of a ``SendSource`` once, hashes them on the way and lays them out for the wire.
///
/// Runs in ``offload(_:)``: call ``nextBatch()`` there until a batch says that it is the last. A batch may be empty:
/// standard input had nothing, or the beginning that the receiver holds is still being hashed.
final class SourceReader: @unchecked Sendable {
    // Proof for @unchecked: its owner awaits each call of nextBatch before the next, so calls never overlap.

    private enum Stage {
        case betweenFiles
        /// Hashing what the receiver claims to hold.
        case comparing(SourceFile, PieceComparison)
        case sending(SourceFile)
    }

    private let source: SendSource
    private var folders: SourceFolders
    private let held: TransferSenderStateMachine.Held
    /// Whether the receiver takes zeros as a number.
    private let takesZeros: Bool
    private let refused: RefusedFiles
    private var stage = Stage.betweenFiles
    /// Of the file that is being sent: here, where nothing else refers to its buffers, which change in place.
    private var hasher = MerkleHasher()
    private var next = 0
    private var output = WireWriter()
    private var batch = SourceBatch()
    /// Bytes hashed in this turn.
    private var hashed = 0

    init(
        source: SendSource, held: TransferSenderStateMachine.Held, takesZeros: Bool = false,
        refused: RefusedFiles = RefusedFiles()
    ) {
        self.source = source
        self.held = held
        self.takesZeros = takesZeros
        self.refused = refused
        folders = SourceFolders(tops: source.tops)
    }

    /// Reads about ``TransferLimits/batch`` bytes, or compares about ``TransferLimits/hashSlice``.
    ///
    /// - Throws: ``TransferError`` only where a frame cannot be encoded; trouble with a file is an event.
    func nextBatch() throws(TransferError) -> SourceBatch {
        batch = SourceBatch()
        hashed = 0
        var isIdle = false
        while !isIdle, output.count < TransferLimits.batch, hashed < TransferLimits.hashSlice, !batch.isLast,
            batch.events.count < TransferLimits.filesPerBatch
        {
            isIdle = try step()
        }
        batch.chunks = output.take()
        return batch
    }

    /// - Returns: whether there is nothing to do until more bytes arrive.
    private func step() throws(TransferError) -> Bool {
        switch stage {
        case .betweenFiles:
            while next < source.offer.entries.count, source.offer.entries.kind(at: next) == .directory { next += 1 }
            guard next < source.offer.entries.count else {
                batch.isLast = true
                return false
            }
            next += 1
            try begin(next - 1)
            return false
        case .comparing(let file, _) where refused.contains(file.index): return try fail(file, Self.unwanted)
        case .sending(let file) where refused.contains(file.index): return try fail(file, Self.unwanted)
        case .comparing(let file, let comparison): return try compare(file, comparison)
        case .sending(let file): return try send(file)
        }
    }

    private static let unwanted = TransferError(.cancelled, "the receiver cannot store it")

    private func begin(_ index: Int) throws(TransferError) {
        let file: SourceFile
        do throws(TransferError) {
            file = try SourceFile(source.offer.entries[index], source.origins[index], index: index, in: &folders)
        } catch {
            return try giveUp(index, error)
        }
        if let claim = held[index] {
            stage = .comparing(file, PieceComparison(claim: claim, size: file.size))
        } else if let size = file.size, size <= TransferLimits.unnamedFile, !file.mayHaveHoles {
            try sendWhole(file, size)
        } else {
            try start(file, at: 0, hasher: MerkleHasher())
        }
    }

    private func start(_ file: SourceFile, at offset: UInt64, hasher: MerkleHasher) throws(TransferError) {
        var file = file
        file.offset = offset
        file.position = offset
        self.hasher = hasher
        try output.append(.start(index: file.index, offset: offset))
        batch.resumed += offset
        stage = .sending(file)
    }

    /// A small file at once, which need not be kept from one step to the next.
    private func sendWhole(_ file: SourceFile, _ size: UInt64) throws(TransferError) {
        guard !refused.contains(file.index) else { return try giveUp(file.index, Self.unwanted) }
        var file = file
        hasher = MerkleHasher()
        try output.append(.start(index: file.index, offset: 0))
        guard size > 0 else { return try end(file) }
        let (piece, failure) = readData(of: &file, atMost: size)
        if let failure { return try giveUp(file.index, failure) }
        if file.position == size {
            // Most often: then there is no tree to build.
            return try end(file, root: output.chunk.withBytes { MerkleTree.root(of: $0.extracting(piece)) })
        }
        hash(piece)
        while file.position < size {
            if let failure = sendData(of: &file, atMost: size - file.position) {
                return try giveUp(file.index, failure)
            }
        }
        try end(file)
    }

    private func giveUp(_ index: Int, _ error: TransferError) throws(TransferError) {
        try output.append(.failed(index: index, error))
        batch.events.append(.unsent(index: index, error))
        stage = .betweenFiles
    }

    // MARK: Comparing

    private func compare(_ file: SourceFile, _ comparison: PieceComparison) throws(TransferError) -> Bool {
        var (file, comparison) = (file, comparison)
        guard let wanted = comparison.wanted(at: file.position) else { return try decide(file, comparison) }
        switch file.run(of: wanted) {
        case .zeros(let count):
            file.position += count
            hashed += MerkleHasher.blockSize
            comparison.add(zeros: count)
        case .data(let count):
            let chunk = Chunk(capacity: Chunk.pooledCapacity)
            switch file.read(into: chunk, limit: Int(min(count, UInt64(chunk.capacity))), waiting: batchIsEmpty) {
            case .failure(let error): return try fail(file, error)
            case .success(nil):
                stage = .comparing(file, comparison)
                return true
            case .success(0):
                guard file.isStream else { return try fail(file, SourceFile.shrunk(source.offer.entries[file.index])) }
                return try decide(file, comparison)
            case .success(let count?):
                hashed += count
                comparison.add(chunk, keep: file.isStream)
            }
        }
        guard comparison.isDecided else {
            stage = .comparing(file, comparison)
            return false
        }
        return try decide(file, comparison)
    }

    private func decide(_ file: SourceFile, _ comparison: PieceComparison) throws(TransferError) -> Bool {
        let (offset, hasher) = comparison.outcome
        try start(file, at: offset, hasher: hasher)
        // A pipe cannot be read again: the piece that did not match is sent from memory.
        guard case .sending(var started) = stage else { return false }
        for chunk in comparison.kept { try append(chunk, of: &started) }
        stage = .sending(started)
        return false
    }

    private var batchIsEmpty: Bool { output.count == 0 && batch.events.isEmpty }

    // MARK: Sending

    private func send(_ file: SourceFile) throws(TransferError) -> Bool {
        file.isStream ? try sendStream(file) : try sendFile(file)
    }

    private func sendFile(_ file: SourceFile) throws(TransferError) -> Bool {
        var file = file
        let remaining = (file.size ?? 0) - min(file.position, file.size ?? 0)
        guard remaining > 0 else {
            try end(file)
            return false
        }
        switch takesZeros ? file.run(of: remaining) : .data(remaining) {
        case .zeros(let count):
            try output.append(.zeros(count))
            file.position += count
            hasher.append(zeros: count)
            batch.zeros += count
        case .data(let count):
            if let failure = sendData(of: &file, atMost: count) { return try fail(file, failure) }
        }
        stage = .sending(file)
        return false
    }

    /// Sends as much as fits the chunk at hand.
    private func sendData(of file: inout SourceFile, atMost remaining: UInt64) -> TransferError? {
        let (piece, failure) = readData(of: &file, atMost: remaining)
        if failure == nil { hash(piece) }
        return failure
    }

    private func hash(_ piece: Range<Int>) {
        output.chunk.withBytes { hasher.update($0.extracting(piece)) }
    }

    /// Announces and reads as much as fits the chunk at hand.
    ///
    /// - Returns: where it is in that chunk.
    private func readData(
        of file: inout SourceFile, atMost remaining: UInt64
    ) -> (piece: Range<Int>, failure: TransferError?) {
        let length = output.reserveData(remaining: remaining)
        let chunk = output.chunk
        let start = chunk.count
        var failure: TransferError?
        while chunk.count - start < length, failure == nil {
            switch file.read(into: chunk, limit: length - (chunk.count - start), waiting: false) {
            case .success(let count?) where count > 0: break
            case .success: failure = SourceFile.shrunk(source.offer.entries[file.index])
            case .failure(let error): failure = error
            }
        }
        if failure != nil {
            // The announced bytes are owed: zeros, which the receiver's next comparison finds.
            chunk.append([UInt8](repeating: 0, count: length - (chunk.count - start)))
        } else {
            batch.payload += UInt64(length)
        }
        return (start..<chunk.count, failure)
    }

    private func sendStream(_ file: SourceFile) throws(TransferError) -> Bool {
        var file = file
        let chunk = Chunk(capacity: Chunk.pooledCapacity)
        var isEnd = false
        var isIdle = false
        while chunk.available > 0, !isEnd, !isIdle {
            switch file.read(into: chunk, limit: .max, waiting: chunk.count == 0 && batchIsEmpty) {
            case .success(nil): isIdle = true
            case .success(let count?): isEnd = count == 0
            case .failure(let error):
                try append(chunk, of: &file)
                return try fail(file, error)
            }
        }
        try append(chunk, of: &file)
        stage = .sending(file)
        if isEnd { try end(file) }
        return isIdle
    }

    private func append(_ chunk: Chunk, of file: inout SourceFile) throws(TransferError) {
        guard chunk.count > 0 else { return }
        chunk.withBytes { hasher.update($0) }
        output.append(data: chunk)
        file.sent += UInt64(chunk.count)
        batch.payload += UInt64(chunk.count)
    }

    /// - Parameter root: the file's, where its tree does not have it.
    private func end(_ file: SourceFile, root: MerkleRoot? = nil) throws(TransferError) {
        if let error = file.changeSinceOpening(source.offer.entries[file.index]) {
            return try giveUp(file.index, error)
        }
        let size = file.size ?? file.offset + file.sent
        let root = root ?? hasher.root()
        try output.append(.end(index: file.index, size: size, root: root))
        batch.events.append(.sent(index: file.index, size: size, root: root, resumedFrom: file.offset))
        stage = .betweenFiles
    }

    private func fail(_ file: SourceFile, _ error: TransferError) throws(TransferError) -> Bool {
        try giveUp(file.index, error)
        return false
    }
}
