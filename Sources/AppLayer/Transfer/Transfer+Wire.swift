internal import DeP2PIdentity
internal import DeP2PWire
internal import FoundationEssentials  // the generated code's `bytes` are its Data; the runtime links it anyway
internal import SwiftProtobuf

/// What a sender says. Raw bytes of a file follow each ``data(_:)``.
enum TransferSenderFrame: Equatable {
    case offer(OfferPage)
    case start(index: Int, offset: UInt64)
    /// This many raw bytes follow: 1 … ``TransferLimits/frame``.
    case data(Int)
    /// So many zeros, which do not follow: ``TransferLimits/leastZeros`` at least.
    case zeros(UInt64)
    case end(index: Int, size: UInt64, root: MerkleRoot)
    case failed(index: Int, TransferError)
    case cancel(TransferError)
    case working
}

/// What a receiver says.
enum TransferReceiverFrame: Equatable {
    case accept(HeldPage)
    case refuse(TransferError)
    case receipt(index: Int, root: MerkleRoot, path: [String])
    case mismatch(index: Int, root: MerkleRoot)
    /// The receiver cannot store this file; the others it can.
    case refused(index: Int, TransferError)
    case done(files: Int)
    case cancel(TransferError)
    /// Alive; with what has arrived and waits here before more is read, in bytes. Above 0 the next step is the
    /// receiver's, however long it takes: its disk, its pipe, a place for the transfer.
    case working(waiting: UInt64)
}

/// Part of an offer.
struct OfferPage: Equatable {
    var entries: TransferEntries
    /// Entries over all pages.
    var count: Int
    var totalSize: UInt64
    var more: Bool
    /// The receiver may refuse files one by one.
    var takesRefusals = false

    init(entries: TransferEntries, count: Int, totalSize: UInt64, more: Bool, takesRefusals: Bool = false) {
        (self.entries, self.count, self.totalSize) = (entries, count, totalSize)
        (self.more, self.takesRefusals) = (more, takesRefusals)
    }

    init(
        entries: some Sequence<TransferEntry>, count: Int, totalSize: UInt64, more: Bool, takesRefusals: Bool = false
    ) {
        self.init(
            entries: TransferEntries(entries), count: count, totalSize: totalSize, more: more,
            takesRefusals: takesRefusals)
    }
}

/// Part of what a receiver holds.
struct HeldPage: Equatable {
    var files: [HeldFile]
    var more: Bool
    /// Zeros may come as a number.
    var takesZeros = false
}

/// What a receiver holds of one file.
struct HeldFile: Equatable {
    enum Content: Equatable {
        /// The beginning: roots of its pieces of `1 << exponent` bytes; the last one may be the file's short tail.
        case pieces(exponent: Int, [MerkleRoot])
        /// All of it, under its final name.
        case whole(MerkleRoot)
    }

    var index: Int
    var content: Content
}

// MARK: Encoding

extension TransferSenderFrame {
    /// Length prefix and message.
    func encoded() throws(TransferError) -> [UInt8] {
        var bytes: [UInt8] = []
        if appendFileFrame(to: &bytes) { return bytes }
        return try encodedBySchema()
    }

    /// As the generated code does it, for any frame.
    func encodedBySchema() throws(TransferError) -> [UInt8] {
        var frame = Dep2p_Transfer_SenderFrame()
        switch self {
        case .offer(let page): frame.offer = Self.message(page)
        case .start(let index, let offset):
            frame.start = .with {
                $0.index = UInt64(index)
                $0.offset = offset
            }
        case .data(let length): frame.data = UInt64(length)
        case .zeros(let count): frame.zeros = count
        case .end(let index, let size, let root):
            frame.end = .with {
                $0.index = UInt64(index)
                $0.size = size
                $0.root = Data(root.bytes)
            }
        case .failed(let index, let error): frame.failed = error.failed(index)
        case .cancel(let error): frame.cancel = error.stop
        case .working: frame.working = .init()
        }
        return try prefixed(frame)
    }

    private static func message(_ page: OfferPage) -> Dep2p_Transfer_Offer {
        .with {
            $0.entries = page.entries.map(\.message)
            $0.count = UInt64(page.count)
            $0.totalSize = page.totalSize
            $0.more = page.more
            $0.refusals = page.takesRefusals
        }
    }
}

extension TransferReceiverFrame {
    /// Length prefix and message.
    func encoded() throws(TransferError) -> [UInt8] {
        var bytes: [UInt8] = []
        if appendFileFrame(to: &bytes) { return bytes }
        return try encodedBySchema()
    }

    /// As the generated code does it, for any frame.
    func encodedBySchema() throws(TransferError) -> [UInt8] {
        var frame = Dep2p_Transfer_ReceiverFrame()
        switch self {
        case .accept(let page):
            frame.accept = .with {
                $0.held = page.files.map(\.message)
                $0.more = page.more
                $0.zeros = page.takesZeros
            }
        case .refuse(let error): frame.refuse = error.stop
        case .receipt(let index, let root, let path):
            frame.receipt = .with {
                $0.index = UInt64(index)
                $0.root = Data(root.bytes)
                $0.path = path
            }
        case .mismatch(let index, let root):
            frame.mismatch = .with {
                $0.index = UInt64(index)
                $0.root = Data(root.bytes)
            }
        case .refused(let index, let error): frame.refused = error.failed(index)
        case .done(let files): frame.done = .with { $0.files = UInt64(files) }
        case .cancel(let error): frame.cancel = error.stop
        case .working(let waiting): frame.working = .with { $0.bytes = waiting }
        }
        return try prefixed(frame)
    }
}

private func prefixed(_ message: some Message) throws(TransferError) -> [UInt8] {
    // The decoder's own words say no more than the error does.
    guard let body: [UInt8] = try? message.serializedBytes(), body.count <= TransferLimits.frame else {
        throw TransferError(.badOffer, "a frame of a transfer would exceed \(TransferLimits.frame) bytes")
    }
    var bytes = Varint.encode(UInt64(body.count))
    bytes += body
    return bytes
}

extension TransferEntry {
    fileprivate var message: Dep2p_Transfer_Entry {
        .with {
            $0.kind =
                switch kind {
                case .file: .file
                case .directory: .directory
                case .stream: .stream
                }
            $0.path = path
            if kind == .file, let size { $0.size = size }
            $0.executable = isExecutable
            if let modified { $0.modified = modified }
            if let dataSize { $0.dataSize = dataSize }
        }
    }
}

extension TransferEntries {
    /// What an entry takes in a page, a little rounded up.
    func encodedSize(at position: Int) -> Int {
        components(at: position).reduce(60) { $0 + $1.count + 4 }
    }
}

extension HeldFile {
    fileprivate var message: Dep2p_Transfer_Held {
        .with {
            $0.index = UInt64(index)
            switch content {
            case .pieces(let exponent, let roots):
                $0.pieceExponent = UInt32(exponent)
                $0.pieces = Data(roots.flatMap(\.bytes))
            case .whole(let root): $0.root = Data(root.bytes)
            }
        }
    }

    /// What the file takes in a page, a little rounded up.
    var encodedSize: Int {
        switch content {
        case .pieces(_, let roots): 24 + 32 * roots.count
        case .whole: 56
        }
    }
}

extension TransferError {
    fileprivate var stop: Dep2p_Transfer_Stop {
        .with {
            $0.code = code.number
            $0.reason = wireReason
            $0.limit = limit ?? 0
            $0.available = available ?? 0
        }
    }

    fileprivate func failed(_ index: Int) -> Dep2p_Transfer_FileFailed {
        .with {
            $0.index = UInt64(index)
            $0.code = code.number
            $0.reason = wireReason
        }
    }

    fileprivate var wireReason: String { Self.bounded(message) }

    /// Cut to the limit at a character's boundary.
    static func bounded(_ text: String) -> String {
        guard text.utf8.count > TransferLimits.reasonBytes else { return text }
        var short = text.prefix(TransferLimits.reasonBytes)
        while short.utf8.count > TransferLimits.reasonBytes { short.removeLast() }
        return String(short)
    }
}

// MARK: Decoding

extension TransferSenderFrame {
    /// - Throws: ``TransferError`` `.protocolViolation`, or `.badOffer` for an entry beyond the limits.
    init(message bytes: [UInt8]) throws(TransferError) {
        if let frame = try Self(fileFrame: bytes) { self = frame } else { try self.init(schema: bytes) }
    }

    /// As the generated code reads it, any frame.
    init(schema bytes: [UInt8]) throws(TransferError) {
        // The decoder's own words say no more than the error does.
        guard let frame = (try? Dep2p_Transfer_SenderFrame(serializedBytes: bytes))?.frame else {
            throw .violation("a frame of the sender cannot be read")
        }
        switch frame {
        case .offer(let offer): self = .offer(try OfferPage(offer))
        case .start(let start):
            self = .start(
                index: try EntryIndex(wire: start.index).value, offset: try ByteCount(wire: start.offset).value)
        case .data(let length): self = .data(try DataLength(wire: length).value)
        case .zeros(let count): self = .zeros(try ZeroCount(wire: count).value)
        case .end(let end):
            self = .end(
                index: try EntryIndex(wire: end.index).value, size: try ByteCount(wire: end.size).value,
                root: try root(end.root))
        case .failed(let failed):
            self = .failed(index: try EntryIndex(wire: failed.index).value, TransferError(failed, from: .sender))
        case .cancel(let stop): self = .cancel(TransferError(stop, from: .sender))
        case .working: self = .working
        }
    }
}

extension TransferReceiverFrame {
    /// - Throws: ``TransferError`` `.protocolViolation`.
    init(message bytes: [UInt8]) throws(TransferError) {
        if let frame = try Self(fileFrame: bytes) { self = frame } else { try self.init(schema: bytes) }
    }

    /// As the generated code reads it, any frame.
    init(schema bytes: [UInt8]) throws(TransferError) {
        // The decoder's own words say no more than the error does.
        guard let frame = (try? Dep2p_Transfer_ReceiverFrame(serializedBytes: bytes))?.frame else {
            throw .violation("a frame of the receiver cannot be read")
        }
        switch frame {
        case .accept(let accept):
            var files: [HeldFile] = []
            for held in accept.held { files.append(try HeldFile(held)) }
            self = .accept(HeldPage(files: files, more: accept.more, takesZeros: accept.zeros))
        case .refuse(let stop): self = .refuse(TransferError(stop, from: .receiver))
        case .receipt(let receipt):
            self = .receipt(
                index: try EntryIndex(wire: receipt.index).value, root: try root(receipt.root), path: receipt.path)
        case .mismatch(let mismatch):
            self = .mismatch(index: try EntryIndex(wire: mismatch.index).value, root: try root(mismatch.root))
        case .refused(let refused):
            self = .refused(
                index: try EntryIndex(wire: refused.index).value, TransferError(refused, from: .receiver))
        case .done(let done): self = .done(files: try EntryIndex(wire: done.files).value)
        case .cancel(let stop): self = .cancel(TransferError(stop, from: .receiver))
        case .working(let working): self = .working(waiting: ByteCount(clamping: working.bytes).value)
        }
    }
}

extension OfferPage {
    fileprivate init(_ message: Dep2p_Transfer_Offer) throws(TransferError) {
        guard message.count <= UInt64(TransferLimits.entries) else {
            throw TransferError(
                .badOffer, "\(message.count) files and folders; one transfer takes \(TransferLimits.entries)")
        }
        var entries = TransferEntries()
        for entry in message.entries { entries.append(try TransferEntry(entry)) }
        self.init(
            entries: entries, count: try EntryIndex(wire: message.count).value,
            totalSize: try ByteCount(wire: message.totalSize, else: .badOffer).value, more: message.more,
            takesRefusals: message.refusals)
    }
}

extension TransferEntry {
    fileprivate init(_ message: Dep2p_Transfer_Entry) throws(TransferError) {
        let kind: Kind
        switch message.kind {
        case .file: kind = .file
        case .directory: kind = .directory
        case .stream: kind = .stream
        case .UNRECOGNIZED(let number): throw .violation("an offered entry has the unknown kind \(number)")
        }
        guard message.hasSize == (kind == .file) else {
            throw TransferError(.badOffer, "an offered entry has a size that its kind cannot have")
        }
        let size = try ByteCount(wire: message.size, else: .badOffer)
        guard !message.hasDataSize || (kind == .file && message.dataSize <= size.value) else {
            throw TransferError(.badOffer, "an offered entry has more data than bytes")
        }
        self.init(
            kind: kind, path: message.path, size: kind == .stream ? nil : size.value,
            isExecutable: message.executable, modified: message.hasModified ? message.modified : nil,
            dataSize: message.hasDataSize ? message.dataSize : nil)
    }
}

extension HeldFile {
    fileprivate init(_ message: Dep2p_Transfer_Held) throws(TransferError) {
        let index = try EntryIndex(wire: message.index).value
        guard message.root.isEmpty else {
            self.init(index: index, content: .whole(try root(message.root)))
            return
        }
        let bytes = [UInt8](message.pieces)
        guard !bytes.isEmpty, bytes.count % 32 == 0 else {
            throw .violation("a list of piece hashes has \(bytes.count) bytes")
        }
        var roots: [MerkleRoot] = []
        for start in stride(from: 0, to: bytes.count, by: 32) {
            if let root = MerkleRoot(bytes: bytes[start..<start + 32]) { roots.append(root) }
        }
        let exponent = try PieceExponent(wire: message.pieceExponent)
        self.init(index: index, content: .pieces(exponent: exponent.value, roots))
    }
}

extension TransferError {
    fileprivate init(_ stop: Dep2p_Transfer_Stop, from speaker: Side) {
        let code = Code(number: stop.code)
        self.init(
            code, Self.bounded(stop.reason), from: speaker,
            limit: [.tooLarge, .noSpace, .busy].contains(code) && stop.limit > 0
                ? ByteCount(clamping: stop.limit).value : nil,
            available: code == .noSpace ? ByteCount(clamping: stop.available).value : nil)
    }

    fileprivate init(_ failed: Dep2p_Transfer_FileFailed, from speaker: Side) {
        self.init(Code(number: failed.code), Self.bounded(failed.reason), from: speaker)
    }

    static func violation(_ message: String) -> TransferError { TransferError(.protocolViolation, message) }
}

private func root(_ bytes: Data) throws(TransferError) -> MerkleRoot {
    guard let root = MerkleRoot(bytes: [UInt8](bytes)) else {
        throw .violation("a root of \(bytes.count) bytes")
    }
    return root
}
