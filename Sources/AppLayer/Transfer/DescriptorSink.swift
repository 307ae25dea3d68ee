internal import QUIC

/// Receives one file or stream into a descriptor, such as standard output. Nothing is held, and bytes are passed on
/// before their root is known: whoever reads them must wait for the outcome before believing them.
final class DescriptorSink: TransferSink, @unchecked Sendable {
    // Proof for @unchecked: its owner awaits each call but `commit` before the next (TransferSink's calling order), and
    // `commit`, which runs beside `write` and beside itself, touches only constants.

    private let descriptor: Int32
    private let offer: TransferOffer
    private var current: IncomingFile?

    init(descriptor: Int32, offer: TransferOffer) {
        self.descriptor = descriptor
        self.offer = offer
    }

    let claims: [HeldFile] = []

    func prepare() throws(TransferError) {
        guard offer.entries.count == 1, offer.entries[0].kind != .directory else {
            throw TransferError(.oneFileOnly, "the receiver takes one file at a time, without folders")
        }
    }

    func hashHeld() throws(TransferError) -> Bool { false }

    func write(_ operations: [WriteOperation]) throws(TransferError) -> [WriteResult] {
        var results: [WriteResult] = []
        for operation in operations {
            switch operation {
            case .start(let index, _):
                current = IncomingFile(
                    index: index, offset: 0, position: 0, hasher: MerkleHasher(), descriptor: nil, partial: nil)
            case .data(let chunk, let range):
                if case .failure(let error) = chunk.write(to: descriptor, at: nil, range: range) {
                    throw .writing("standard output", error)
                }
                chunk.withBytes { current?.hasher.update($0.extracting(range)) }
                current?.position += UInt64(range.count)
            case .end(let index, let root): end(index, root).map { results.append($0) }
            case .abandon: current = nil
            }
        }
        return results
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

    func commit(_ files: [WrittenFile]) throws(TransferError) -> [TransferredFile] {
        files.map {
            TransferredFile(
                index: $0.index, path: offer.entries[$0.index].path, storedPath: $0.storedPath, size: $0.size,
                root: $0.root)
        }
    }

    func finish(confirmed: Bool) {}
}
