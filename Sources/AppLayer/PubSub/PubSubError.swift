/// Why something can't be published or subscribed to.
package struct PubSubError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// This node is in no realm.
        case notMember
        /// The topic is empty, too long or no UTF-8.
        case invalidTopic
        /// The payload exceeds the limit, in bytes.
        case tooLarge(limit: Int)
        /// No member that this node is connected with is subscribed.
        case nobodyListens
    }

    package let code: Code
    package let detail: String

    package init(_ code: Code, detail: String = "") {
        self.code = code
        self.detail = detail
    }

    package static func == (left: Self, right: Self) -> Bool { left.code == right.code }

    package var description: String {
        let text =
            switch code {
            case .notMember: "not a member of the realm"
            case .invalidTopic: "the name of the topic is not valid"
            case .tooLarge(let limit): "the message exceeds the limit of \(limit) bytes"
            case .nobodyListens: "nobody listens"
            }
        return detail.isEmpty ? text : "\(text): \(detail)"
    }
}
