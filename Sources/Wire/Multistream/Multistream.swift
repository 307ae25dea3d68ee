internal import DeP2PIdentity

/// multistream-select 1.0: how the two ends of a stream agree on the protocol it speaks.
///
/// Each message is a line ending in a newline behind its unsigned-varint length (the newline counted). Each side sends
/// ``header`` first; the dialer proposes a protocol; the listener echoes it or answers ``notAvailable``.
package enum Multistream {
    package static let header = "/multistream/1.0.0"
    package static let notAvailable = "na"
    /// The longest line taken, newline included, in bytes.
    package static let lineLimit = 1024
    /// The most proposals a listener answers, and a dialer makes, on one stream.
    package static let attemptLimit = 16

    /// `text` as a message.
    package static func line(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + 3)
        appendLine(text, to: &bytes)
        return bytes
    }

    /// ``header`` as a message.
    static let headerLine = line(header)

    static func appendLine(_ text: String, to bytes: inout [UInt8]) {
        Varint.append(UInt64(text.utf8.count + 1), to: &bytes)
        bytes.append(contentsOf: text.utf8)
        bytes.append(UInt8(ascii: "\n"))
    }

    /// The text of a received line.
    static func text(of frame: [UInt8]) throws(MultistreamError) -> String {
        guard frame.last == UInt8(ascii: "\n"), let text = String(validating: frame.dropLast(), as: UTF8.self) else {
            throw MultistreamError(.malformed)
        }
        return text
    }
}

/// Why two ends did not agree on a protocol.
package struct MultistreamError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: Equatable, Sendable {
        /// The listener speaks none of the protocols proposed.
        case notAvailable
        /// A line that the specification does not allow here.
        case malformed
        /// A line above ``Multistream/lineLimit``.
        case lineTooLong
        /// More proposals than ``Multistream/attemptLimit``.
        case tooManyAttempts
        /// The stream ended before an agreement.
        case truncated
    }

    package let code: Code
    /// What was proposed, where that helps.
    package let protocols: [String]

    package init(_ code: Code, protocols: [String] = []) {
        self.code = code
        self.protocols = protocols
    }

    package var description: String {
        let names = protocols.joined(separator: ", ")
        return switch code {
        case .notAvailable: "the peer does not speak \(names.isEmpty ? "the protocol asked for" : names)"
        case .malformed: "the peer's protocol negotiation is malformed"
        case .lineTooLong: "a line of the protocol negotiation exceeds \(Multistream.lineLimit) bytes"
        case .tooManyAttempts: "more than \(Multistream.attemptLimit) protocols were proposed on one stream"
        case .truncated: "the stream ended during protocol negotiation"
        }
    }
}

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
