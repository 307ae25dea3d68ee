internal import DeP2PIdentity

/// Reads lines: frames bounded by ``Multistream/lineLimit``.
struct MultistreamLines: Sendable {
    private var frames = FrameDecoder(limit: Multistream.lineLimit)

    mutating func append(_ bytes: [UInt8]) { frames.append(bytes) }

    mutating func next() throws(MultistreamError) -> String? {
        guard let frame = try nextFrame() else { return nil }
        return try Multistream.text(of: frame)
    }

    /// Takes the header; false when it has not arrived whole.
    ///
    /// Compared as bytes: every stream begins with it.
    mutating func nextIsHeader() throws(MultistreamError) -> Bool {
        guard let frame = try nextFrame() else { return false }
        guard frame.elementsEqual(Multistream.headerLine.dropFirst()) else { throw MultistreamError(.malformed) }
        return true
    }

    private mutating func nextFrame() throws(MultistreamError) -> [UInt8]? {
        do throws(FrameError) {
            return try frames.next()
        } catch {
            if case .oversized = error.code { throw MultistreamError(.lineTooLong) }
            throw MultistreamError(.malformed)
        }
    }

    mutating func takeRemaining() -> [UInt8] { frames.takeRemaining() }
}
