package import DeP2PSessions

/// Why something that needs a realm did not work.
package struct RealmError: Error, Equatable, Sendable, CustomStringConvertible {
    package enum Code: Hashable, Sendable {
        /// This node is in a realm already; it must leave that one first.
        case alreadyInRealm
        /// This node is in no realm, or the peer is no member of it.
        case notMember
        /// The peer did not prove this realm's key: it has another, or none. Which of the two is not to be known.
        case refused
        /// The peer looks at no more proofs now.
        case busy
        /// The peer did not answer in time.
        case timeout
        /// The connection ended meanwhile.
        case closed(SessionEnd)
        /// The peer does not speak admission, or not as it should.
        case violation
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
            case .alreadyInRealm: "this node is in a realm already"
            case .notMember: "not a member of the realm"
            case .refused: "the other node is not in this realm"
            case .busy: "the other node is too busy for the realm admission"
            case .timeout: "the other node did not answer the realm admission in time"
            case .closed(let end): "the connection ended during the realm admission: \(end)"
            case .violation: "the other node does not speak realm admission"
            }
        return detail.isEmpty ? text : "\(text): \(detail)"
    }
}
