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
