internal import DeP2PQUIC
internal import Glibc

/// Receives one file or stream into a descriptor, such as standard output. Nothing is held, and bytes are passed on
/// before their root is known: whoever reads them must wait for the outcome before believing them.
final class DescriptorSink: TransferSink, @unchecked Sendable {
    // Proof for @unchecked: its owner awaits each call but `commit` and `giveUp` before the next (TransferSink's calling
    // order); `commit`, which runs beside `write` and beside itself, touches only constants, and `giveUp` the writer,
    // which is Sendable.

    private let writer: PipeWriter
    private let offer: TransferOffer
    private var current: IncomingFile?

    init(descriptor: Int32, offer: TransferOffer) {
        writer = PipeWriter(descriptor)
        self.offer = offer
    }

    let claims: [HeldFile] = []

    /// In a pipe a zero costs its reader what any byte does: it has to cost the sender the same.
    let takesZeros = false

    func prepare(_ patience: PartialPatience) throws(TransferError) {
        guard offer.entries.count == 1, offer.entries.kind(at: 0) != .directory else {
            throw TransferError(.oneFileOnly, "it takes one file at a time, without folders")
        }
    }

    func hashHeld() throws(TransferError) -> Bool { false }

    func makeFolders() -> [TransferFailure] { [] }

    /// What comes goes out in its order.
    func smallFileStore() -> SmallFileStore? { nil }

    func write(_ operations: [WriteOperation]) throws(TransferError) -> [WriteResult] {
        var results: [WriteResult] = []
        for operation in operations {
            switch operation {
            case .start(let index, _):
                current = IncomingFile(index: index, offset: 0, position: 0, hasher: MerkleHasher(), partial: nil)
            case .data(let chunk, let range):
                try write(chunk, range)
                chunk.withBytes { current?.hasher.update($0.extracting(range)) }
                current?.position += UInt64(range.count)
            case .end(let index, let root): end(index, root).map { results.append($0) }
            // The state machine lets no zeros pass that nobody asked for.
            case .zeros: throw .violation("zeros as a number for a pipe")
            case .abandon: current = nil
            }
        }
        return results
    }

    private func write(_ chunk: Chunk, _ range: Range<Int>) throws(TransferError) {
        do {
            try writer.write(chunk, range)
        } catch let error as FileError {
            if error.errno == EPIPE {
                throw TransferError(.fileAccess, "whoever reads standard output has left", underlying: error)
            }
            throw .writing("standard output", error)
        } catch {
            throw TransferError(.cancelled, "the transfer was cancelled", underlying: error)
        }
    }

    private func end(_ index: Int, _ root: MerkleRoot) -> WriteResult? {
        guard let file = current else { return nil }
        current = nil
        guard file.hasher.root() == root else { return .mismatch(index: index, root: file.hasher.root()) }
        return .written(
            WrittenFile(
                index: index, size: file.position, root: root, resumedFrom: 0, partial: nil,
                storedPath: offer.entries[index].path))
    }

    func commit(_ files: [WrittenFile]) throws(TransferError) -> [CommitResult] {
        files.map {
            .stored(
                TransferredFile(
                    index: $0.index, path: offer.entries[$0.index].path, storedPath: $0.storedPath, size: $0.size,
                    root: $0.root), resumedFrom: $0.resumedFrom)
        }
    }

    func finish(confirmed: Bool) {}

    func giveUp() { writer.giveUp() }

    var passedOn: UInt64 { writer.bytesWritten }
}
