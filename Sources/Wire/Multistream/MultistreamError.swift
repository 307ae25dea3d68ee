internal import DeP2PIdentity

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
